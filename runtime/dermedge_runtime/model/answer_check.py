"""Run a network, and refuse what is no answer: a run that fails, another shape, NaN, numbers that are no probabilities.

The checks take some 20 microseconds a batch. Not covered: an answer that is possible and wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermedge_runtime.devices.session import DeviceSession
from dermedge_runtime.errors import DermedgeError, DeviceUnavailable, InputRejected, ModelFileError, UsageError

from .description import ModelSpec
from .strict_json import printable

OUTSIDE = 1e-3
"""How far a probability may be outside 0 to 1: a softmax in float16 rounds by half of that."""
SUM_OFF = 1e-2
"""How far the probabilities of a picture may be from a sum of 1: seven float16 numbers are off by 2e-3 at most."""
SCALED_OFF = 1e-2
"""How far heat map and relevance, a quotient of float16 numbers on some devices, may be outside 0 to 1."""
_SCORES = ("ood_score", "lesion_ood_score")
_UNBOUNDED = ("attribution", *_SCORES)
_KINDS = {"image": np.uint8, "numeric": np.float32, "categorical": np.int32}
_OUT_OF_MEMORY = ("bad_alloc", "bad allocation", "Failed to allocate memory", "out of memory", "MemoryError")

Outputs = Mapping[str, NDArray[np.float32]]


def run_checked(opened: DeviceSession, spec: ModelSpec, arrays: Mapping[str, Any], target: int, source: str) -> Outputs:
    """Run a network on prepared arrays.

    :param arrays: image, numeric and categorical; what the model does not read is left out. The first axis of all of
        them is the batch of B rows.
    :param target: index of the class to explain, -1 for the predicted one; a file without explanations ignores it.
    :param source: name of the model file, for messages.
    :return: the outputs of the model file's contract by name, each with B rows.
    :raises InputRejected: arrays of another kind or shape than the model reads.
    :raises UsageError: an unknown class to explain.
    :raises ModelFileError: the answer is none, or the network fails on the CPU.
    :raises DeviceUnavailable: another device than the CPU fails to run it.
    :raises DermedgeError: the memory is not enough.
    """
    feed = {name: arrays[name] for name in spec.array_inputs}
    rows = _rows(spec, feed)
    if spec.explains:
        if not -1 <= target < len(spec.classes):
            raise UsageError(f"There is no class number {target} to explain; there are {len(spec.classes)}.")
        feed["target"] = np.full(rows, target, dtype=np.int32)
    names = list(spec.outputs)
    try:
        found = opened.run(names, feed)
    except DermedgeError:
        raise
    except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
        raise _failure(opened, source, rows, error) from error
    if len(found) != len(names):
        raise _broken(opened, source, f"it gives {len(found)} outputs instead of {len(names)}")
    outputs = dict(zip(names, found, strict=True))
    trouble = _trouble(outputs, spec, rows)
    if trouble is not None:
        raise _broken(opened, source, trouble)
    return outputs


def _rows(spec: ModelSpec, feed: Mapping[str, Any]) -> int:
    """Compare the arrays with what the model reads; give the size of the batch."""
    size = spec.image.size if spec.image is not None else 0
    shapes = {
        "image": (size, size, 3),
        "numeric": (len(spec.clinical.numeric),),
        "categorical": (len(spec.clinical.categorical),),
    }
    rows = -1
    for name, kind in _KINDS.items():
        if name not in feed:
            continue
        array, shape = feed[name], shapes[name]
        fits = isinstance(array, np.ndarray) and array.dtype == kind and array.shape[1:] == shape and array.ndim
        if not fits or len(array) == 0 or rows not in (-1, len(array)):
            found = f"{array.dtype} {list(array.shape)}" if isinstance(array, np.ndarray) else type(array).__name__
            batch = "B" if rows == -1 else rows
            raise InputRejected(
                f"The network reads {name} as {np.dtype(kind)} [{', '.join(map(str, (batch, *shape)))}] with at least"
                f" one row, got {found}."
            )
        rows = len(array)
    return rows


def _trouble(outputs: Outputs, spec: ModelSpec, rows: int) -> str | None:
    """Give what is wrong with an answer, or None."""
    features = len(spec.clinical.features)
    shapes = {
        "probabilities": (rows, len(spec.classes)),
        "relevance": (rows, features),
        "attribution": (rows, features),
        "ood_score": (rows,),
        "lesion_ood_score": (rows,),
    }
    for name, values in outputs.items():
        shape = getattr(values, "shape", None)
        wanted = shapes.get(name)
        if getattr(values, "dtype", None) != np.float32 or (
            shape != wanted if wanted else shape is None or len(shape) != 3 or shape[0] != rows or 0 in shape
        ):
            return f"its output '{name}' has the shape {list(shape or ())} for {rows} rows"
        if not values.size:
            continue
        # Of numbers with a NaN among them both are NaN, and no comparison with NaN is true.
        least, most = np.minimum.reduce(values, axis=None), np.maximum.reduce(values, axis=None)
        if not (least > -np.inf and most < np.inf):
            return f"its output '{name}' holds NaN or infinity"
        if name in _SCORES and least < 0:
            return f"its output '{name}' has values from {least:.4g} on, which must be 0 or more"
        if name in _UNBOUNDED:
            continue
        room = OUTSIDE if name == "probabilities" else SCALED_OFF
        if least < -room or most > 1 + room:
            return f"its output '{name}' has values from {least:.4g} to {most:.4g}, which must be from 0 to 1"
    sums = np.add.reduce(outputs["probabilities"], axis=1)
    if not (np.maximum.reduce(sums) <= 1 + SUM_OFF and np.minimum.reduce(sums) >= 1 - SUM_OFF):
        worst = sums[np.abs(sums - 1).argmax()]
        return f"its probabilities add up to {worst:.4g}, not to 1"
    return None


def _broken(opened: DeviceSession, source: str, trouble: str) -> ModelFileError:
    device = opened.provider.device
    if device == "cpu":
        return ModelFileError(f"{source} is broken: {trouble}. Export it again.")
    return ModelFileError(
        f"{source} cannot be used on {device} ({opened.provider.name}, {opened.hardware}): {trouble}."
        " If it answers with --device cpu, the device computes it wrongly; else export it again."
    )


def _failure(opened: DeviceSession, source: str, rows: int, error: Exception) -> DermedgeError:
    device, said = opened.provider.device, printable(str(error)) or type(error).__name__
    if isinstance(error, MemoryError) or any(word in said for word in _OUT_OF_MEMORY):
        return DermedgeError(
            f"There is not enough memory to run {source} on {rows} rows at once on {device}: {said}. Use a smaller"
            " batch."
        )
    if device == "cpu":
        return ModelFileError(f"{source} is broken: it fails when it runs: {said}. Export it again.")
    return DeviceUnavailable(
        f"{source} failed when it ran on {device} ({opened.provider.name}, {opened.hardware}): {said}."
        " Pass --device cpu, or check the driver and its libraries.",
        cause=said,
    )
