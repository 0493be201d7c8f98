"""Which layers of the image branch float16 can hold, measured on photographs in float32.

A layer stays in float32 when float16 would spoil one of its tensors: weights, inputs or outputs that come near the
largest float16 number, or that are so small that rounding takes too much of them. The head is not judged here: it
computes in float32 anyway.

The comparison of an export cannot stand in for this: ONNX Runtime's CPU provider computes float16 nodes in float32 and
does not round between them, so an overflow first shows on a GPU.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from dermedge_export.graph.layers import drop_unused, float_tensors, trunk_layers

from .to_float16 import LARGEST_HALF, LARGEST_LOSS, rounding_loss, to_half

SAFETY = 4.0
"""Other photographs may exceed the largest activation of the measured ones by this factor."""


@dataclass(slots=True)
class _Range:
    """What photographs showed of one tensor."""

    largest: float = 0.0
    squares: float = 0.0
    """Sum of the squares."""
    lost: float = 0.0
    """Sum of the squares of what rounding to float16 takes."""

    def add(self, values: NDArray[np.float32]) -> None:
        """Count one more batch in."""
        self.largest = max(self.largest, float(np.abs(values).max()))
        self.squares += float(np.square(values, dtype=np.float64).sum())
        if self.largest * SAFETY <= LARGEST_HALF:  # beyond it the rounding no longer matters
            self.lost += float(np.square(values - to_half(values), dtype=np.float64).sum())

    def trouble(self) -> str | None:
        """Say why float16 cannot hold the tensor; None where it can."""
        if not self.largest * SAFETY <= LARGEST_HALF:
            return f"reaches {self.largest:.3g}"
        loss = (self.lost / self.squares) ** 0.5 if self.squares > 0 else 0.0
        return f"loses {loss:.2%} to rounding" if loss > LARGEST_LOSS else None


@dataclass(frozen=True, slots=True)
class HalfRanges:
    """The judgement on an image branch."""

    images: int
    largest_activation: Mapping[str, float]
    """Largest absolute output of every layer."""
    kept: Mapping[str, str]
    """Layers that stay in float32, each with the reason."""

    def to_record(self) -> dict[str, Any]:
        """Give a JSON-ready dictionary."""
        return {
            "largest_activation": {layer: float(f"{v:.4g}") for layer, v in self.largest_activation.items()},
            "float32_layers": dict(self.kept),
        }


def measure_half_ranges(proto: onnx.ModelProto, batches: Iterable[Mapping[str, Any]]) -> HalfRanges:
    """Run the FP32 graph on photographs and judge every layer of its image branch.

    :param proto: FP32 graph of `to_onnx`; not changed.
    :param batches: graph inputs of real training photographs.
    """
    layers = trunk_layers(proto)
    weights = {t.name: t for t in proto.graph.initializer if t.data_type == TensorProto.FLOAT}
    activations = float_tensors(proto) - set(weights)
    touched = {
        layer: dict.fromkeys(name for node in nodes for name in (*node.input, *node.output) if name in activations)
        for layer, nodes in layers.items()
    }
    ranges = {name: _Range() for names in touched.values() for name in names}
    images = _collect(proto, ranges, batches)
    kept: dict[str, str] = {}
    for layer, nodes in layers.items():
        reasons = [_weights_trouble(weights[name]) for node in nodes for name in node.input if name in weights]
        own = {output for node in nodes for output in node.output}
        reasons += [
            f"{'an activation' if name in own else 'an input'} {trouble}"
            for name in touched[layer]
            if (trouble := ranges[name].trouble())
        ]
        if reason := next(filter(None, reasons), None):
            kept[layer] = reason
    largest = {
        layer: max(ranges[output].largest for node in nodes for output in node.output)
        for layer, nodes in layers.items()
    }
    return HalfRanges(images, largest, kept)


def _weights_trouble(tensor: TensorProto) -> str | None:
    values = numpy_helper.to_array(tensor)
    loss = rounding_loss(values)
    if loss <= LARGEST_LOSS:
        return None
    return (
        f"the weights {'lose %.2f%% to rounding' % (100 * loss) if loss <= 1 else f'reach {np.abs(values).max():.3g}'}"
    )


def _collect(proto: onnx.ModelProto, ranges: Mapping[str, _Range], batches: Iterable[Mapping[str, Any]]) -> int:
    trunk = onnx.ModelProto()
    trunk.CopyFrom(proto)
    del trunk.graph.output[:]
    trunk.graph.output.extend(onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ranges)
    drop_unused(trunk, ranges)
    session = onnxruntime.InferenceSession(trunk.SerializeToString(), providers=["CPUExecutionProvider"])
    wanted = {value.name for value in session.get_inputs()}
    images = 0
    for batch in batches:
        images += len(batch["image"])
        outputs = session.run(list(ranges), {name: batch[name] for name in batch if name in wanted})
        for found, values in zip(ranges.values(), outputs, strict=True):
            found.add(values)
    return images
