"""The floor on paper: no prediction takes less than its operations at the peak, or its bytes at the bandwidth.

The peak of this CPU is given twice: derived from clock, cores and the width of its dot-product instructions, and
measured as one large uint8 x int8 matrix product in ONNX Runtime. Its bandwidth is a measured copy. The graphics card
is on paper alone, from published figures: nothing here was measured on one.
"""

from __future__ import annotations

import dermedge_runtime  # noqa: F401, first: it turns ONNX Runtime's telemetry off

# isort: split

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from operations import Operations

from dermedge.bench.bench import take_turns
from dermedge_runtime.devices.usable_cpus import usable_cpus

RTX_4060 = {
    "fp16, 30 TFLOPS": (30e12, 2),
    "fp16, 60 TFLOPS": (60e12, 2),
    "int8, 121 TOPS": (121e12, 1),
}
"""Operations per second and bytes per element; the two FP16 rates are without and with halved accumulation."""
_RTX_4060_BYTES_PER_S = 272e9


def floor(operations: Operations, ghz: float | None, per_cycle: int) -> dict[str, Any]:
    """Give the floor of one INT8 prediction here, and of one on an RTX 4060.

    :param ghz: clock; by default what the system tells, which on virtual machines is the nominal one.
    :param per_cycle: INT8 operations of one core in one cycle.
    """
    clock = ghz or _clock_ghz()
    derived = None if clock is None else usable_cpus() * clock * 1e9 * per_cycle
    measured, bandwidth = _matmul_peak(), _copy_bandwidth()
    moved = operations.weights + operations.activations
    return {
        "operations": operations.operations,
        "by_operator": {name: 2 * count for name, count in operations.by_operator.items()},
        "bytes_int8": moved,
        "this_cpu": {
            "assumed": {"cpus": usable_cpus(), "ghz": clock, "int8_operations_per_cycle_and_cpu": per_cycle},
            "derived_tops": None if derived is None else round(derived / 1e12, 3),
            "measured_tops": round(measured / 1e12, 3),
            "measured_copy_gb_per_s": round(bandwidth / 1e9, 1),
            "floor_ms": {
                "operations, derived peak": None if derived is None else _ms(operations.operations / derived),
                "operations, measured peak": _ms(operations.operations / measured),
                "bytes": _ms(moved / bandwidth),
            },
        },
        "rtx_4060_on_paper_not_measured": {
            name: {
                "operations_ms": _ms(operations.operations / peak),
                "bytes_ms": _ms(moved * size / _RTX_4060_BYTES_PER_S),
            }
            for name, (peak, size) in RTX_4060.items()
        },
    }


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 4)


def _clock_ghz() -> float | None:
    table = Path("/proc/cpuinfo")
    if not table.is_file():
        return None
    found = [float(line.partition(":")[2]) for line in table.read_text().splitlines() if line.startswith("cpu MHz")]
    return max(found) / 1000 if found else None


def _matmul_peak(size: int = 1024) -> float:
    """Operations per second of one large uint8 x int8 product on all usable CPUs."""
    rng = np.random.default_rng(0)
    weight = onnx.numpy_helper.from_array(rng.integers(-127, 128, (size, size), dtype=np.int8), "w")
    node = helper.make_node("MatMulInteger", ["x", "w"], ["y"])
    graph = helper.make_graph(
        [node],
        "peak",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [size, size])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [size, size])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cpus()
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {"x": rng.integers(0, 256, (size, size), dtype=np.uint8)}
    return 2 * size**3 / _median({"matmul": lambda: session.run(None, feed)})


def _copy_bandwidth(megabytes: int = 256) -> float:
    """Bytes per second, read and written, of one large copy by one thread."""
    source = np.ones(megabytes * 2**20, np.uint8)
    target = np.empty_like(source)
    return 2 * source.nbytes / _median({"copy": lambda: np.copyto(target, source)})


def _median(actions: Mapping[str, Any]) -> float:
    (seconds,) = take_turns(actions, 15).values()
    return statistics.median(seconds)
