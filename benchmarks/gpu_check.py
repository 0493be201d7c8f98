"""Do GPUs answer as the CPU does, and how fast? All outputs and latencies on every NVIDIA device, in one JSON.

    pip install '.[cuda]'                 # or .[rtx], or .[tensorrt]
    make gpu-check                        # or: python benchmarks/gpu_check.py models/*.onnx --out gpu-check.json

Needs no PyTorch and no data: pictures and patients are generated. Checked are the model in the box and every model file
that is named. A device that cannot be had is in the record with its cause, and the exit code is 5 where none could.
Nothing is sent anywhere. The record names the card, the driver, the CPU and the versions, and no user, path or host.
"""

from __future__ import annotations

import dermedge_runtime  # noqa: F401, first: it turns ONNX Runtime's telemetry off

# isort: split

import argparse
import datetime
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermedge.bench.bench import machine_record, take_turns
from dermedge.data.synthetic_picture import picture
from dermedge_runtime import Classifier, __version__, model_in_the_box
from dermedge_runtime.devices.installed import versions
from dermedge_runtime.devices.nvidia_driver import find_driver
from dermedge_runtime.devices.providers import PROVIDERS
from dermedge_runtime.errors import DermedgeError, DeviceUnavailable
from dermedge_runtime.files import write_json
from dermedge_runtime.inputs.image import load_image
from dermedge_runtime.model.description import ModelSpec

DEVICES = ("cuda", "tensorrt", "rtx")
PICTURES = 64
BATCHES = (1, 8, 32)
_KINDS = ("mel", "nv", "bcc", "akiec", "bkl", "df", "vasc")
Arrays = tuple[NDArray[np.uint8] | None, NDArray[np.float32] | None, NDArray[np.int32] | None]


def inputs_of(spec: ModelSpec, count: int) -> Arrays:
    """Generate pictures and patients, every third value of a patient unknown.

    :return: uint8 [count, H, W, 3], float32 [count, Nn], int32 [count, Nc]; what the model does not read is None.
    """
    generator = np.random.default_rng(0)
    pixels = None
    if spec.image is not None:
        shown = [picture(_KINDS[index % len(_KINDS)], generator, 320, 240) for index in range(count)]
        pixels = np.stack([load_image(each, spec.image.size, spec.image.resample) for each in shown])
    patients = []
    for index in range(count):
        values: dict[str, Any] = {
            field.name: float(generator.uniform(field.minimum, field.maximum)) for field in spec.clinical.numeric
        }
        values |= {field.name: str(generator.choice(field.vocabulary)) for field in spec.clinical.categorical}
        patients.append({name: value for place, (name, value) in enumerate(values.items()) if (index + place) % 3})
    return (pixels, *spec.clinical.encode(patients))


def _rows(arrays: Arrays, count: int) -> Arrays:
    pixels, numeric, categorical = (None if array is None else array[:count] for array in arrays)
    return pixels, numeric, categorical


def compared(reference: dict[str, NDArray[Any]], answer: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Compare all outputs: the largest difference of each, and how many rows have another class.

    :raises ValueError: other outputs, or other shapes.
    """
    if set(reference) != set(answer):
        raise ValueError(f"outputs {sorted(answer)} instead of {sorted(reference)}")
    differences = {}
    for name, expected in reference.items():
        if expected.shape != answer[name].shape:
            raise ValueError(f"{name} has the shape {answer[name].shape} instead of {expected.shape}")
        differences[name] = float(np.abs(expected.astype(np.float64) - answer[name]).max())
    one, other = reference["probabilities"].argmax(1), answer["probabilities"].argmax(1)
    return {"images": len(one), "other_class": int((one != other).sum()), "largest_difference": differences}


def check(path: Path, devices: Sequence[str], rounds: int) -> list[dict[str, Any]]:
    """Open one model file on every device, compare all outputs with the CPU's, and time it beside the CPU."""
    cpu = Classifier(path, "cpu")
    arrays = inputs_of(cpu.spec, PICTURES)
    reference = cpu.run(*arrays)
    rows = []
    for device in devices:
        graphs = (False, True) if PROVIDERS[device].graph_option else (False,)
        rows += [_checked(cpu, reference, arrays, path, device, rounds, cuda_graphs=each) for each in graphs]
    return rows


def _checked(
    cpu: Classifier,
    reference: dict[str, NDArray[Any]],
    arrays: Arrays,
    path: Path,
    device: str,
    rounds: int,
    *,
    cuda_graphs: bool,
) -> dict[str, Any]:
    row: dict[str, Any] = {"model": path.stem, "precision": cpu.spec.precision, "device": device}
    row["cuda_graphs"] = cuda_graphs
    try:
        classifier = Classifier(path, device, cuda_graphs=cuda_graphs)
        row |= {"provider": classifier.provider, "provider_version": classifier.provider_version}
        row |= {"hardware": classifier.hardware, **compared(reference, classifier.run(*arrays))}
    except (DermedgeError, ValueError) as error:
        cause = error.cause if isinstance(error, DeviceUnavailable) else str(error)
        return row | {"runs": False, "cause": cause}
    row["latency_ms"] = {}
    for batch in BATCHES:
        part = _rows(arrays, batch)
        timed = take_turns(
            {device: lambda part=part: classifier.run(*part), "cpu": lambda part=part: cpu.run(*part)}, rounds
        )
        row["latency_ms"][str(batch)] = {name: _milliseconds(seconds) for name, seconds in timed.items()}
    return row | {"runs": True}


def _milliseconds(seconds: list[float]) -> dict[str, float]:
    return {
        "median": round(1000 * statistics.median(seconds), 3),
        "p95": round(1000 * float(np.percentile(seconds, 95)), 3),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, write the JSON, print one line a device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, help="model files besides the one in the box")
    parser.add_argument("--devices", default=",".join(DEVICES), help="comma-separated; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=50, help="timed turns; default: %(default)s")
    parser.add_argument("--out", type=Path, default=Path("gpu-check.json"), help="default: %(default)s")
    options = parser.parse_args(arguments)
    devices = options.devices.split(",")
    driver = find_driver()
    rows = [row for path in [model_in_the_box(), *options.models] for row in check(path, devices, options.rounds)]
    record = {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": machine_record(),
        "driver": None if driver is None else str(driver),
        "versions": {"dermedge": __version__, **versions()},
        "settings": {"rounds": options.rounds, "pictures": PICTURES, "batches": BATCHES},
        "results": rows,
    }
    write_json(options.out, record)
    for row in rows:
        told = row.get("cause") or (
            f"{row['other_class']} of {row['images']} other classes, probabilities within"
            f" {row['largest_difference']['probabilities']:.1e}, {row['latency_ms']['1'][row['device']]['median']} ms"
        )
        print(f"{row['model']} on {row['device']}{' with CUDA graphs' if row['cuda_graphs'] else ''}: {told}")
    print(f"written to {options.out}")
    return 0 if any(row["runs"] for row in rows) else DeviceUnavailable.exit_code


if __name__ == "__main__":
    sys.exit(main())
