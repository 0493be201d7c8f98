"""Do ONNX Runtime's session options make a prediction on the CPU faster? Each changed alone, all in turn, in one run.

    python benchmarks/session_options.py --model models/cross_attention-int8.onnx [--batch 1] [--rounds 60]

Two of the contenders are the same, with nothing changed: what they differ by is what means nothing.
"""

from __future__ import annotations

import dermedge_runtime  # noqa: F401, first: it turns ONNX Runtime's telemetry off

# isort: split

import argparse
import json
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from dermedge.bench.bench import take_turns
from dermedge_runtime.devices.usable_cpus import usable_cpus


def _entry(key: str, value: str) -> Callable[[Any], None]:
    return lambda options: options.add_session_config_entry(key, value)


VARIANTS: dict[str, Callable[[Any], None]] = {
    "nothing changed": lambda options: None,
    "no spinning": _entry("session.intra_op.allow_spinning", "0"),
    "dynamic blocks": _entry("session.dynamic_block_base", "4"),
    "no prepacking": _entry("session.disable_prepacking", "1"),
    "no arena": lambda options: setattr(options, "enable_cpu_mem_arena", False),
    "no memory pattern": lambda options: setattr(options, "enable_mem_pattern", False),
    "denormals are zero": _entry("session.set_denormal_as_zero", "1"),
    "initializers outside the arena": _entry("session.use_device_allocator_for_initializers", "1"),
    "nothing changed, again": lambda options: None,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=60)
    arguments = parser.parse_args()
    sessions = {name: _open(arguments.model, change) for name, change in VARIANTS.items()}
    feed = _feed(next(iter(sessions.values())), arguments.batch)
    timed = take_turns({name: partial(s.run, None, feed) for name, s in sessions.items()}, arguments.rounds)
    base = timed["nothing changed"]
    rows = {
        name: {
            "median_ms": round(1000 * statistics.median(seconds), 2),
            "ratio": round(statistics.median(seconds) / statistics.median(base), 3),
            "ratio_of_25th_percentiles": round(float(np.percentile(seconds, 25) / np.percentile(base, 25)), 3),
        }
        for name, seconds in timed.items()
    }
    print(json.dumps({"batch": arguments.batch, "threads": usable_cpus(), "variants": rows}, indent=2))


def _open(path: Path, change: Callable[[Any], None]) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = usable_cpus()
    change(options)
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _feed(session: Any, batch: int) -> dict[str, np.ndarray]:
    kinds = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32, "tensor(int32)": np.int32}
    rng = np.random.default_rng(0)
    feed = {}
    for value in session.get_inputs():
        shape, kind = (batch, *value.shape[1:]), kinds[value.type]
        feed[value.name] = rng.integers(0, 256, shape, np.uint8) if kind == np.uint8 else np.zeros(shape, kind)
    return feed


if __name__ == "__main__":
    main()
