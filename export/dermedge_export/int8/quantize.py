"""FP32 graph -> INT8 graph: static quantisation of the convolutions with QuantizeLinear/DequantizeLinear pairs.

Weights are int8 per output channel in both flavours, of seven bits, so that the file answers alike on every CPU
(`safe_weights`); the activations differ. `cpu`: uint8, which ONNX Runtime's CPU
provider runs three times as fast as int8. `rtx`: int8 around zero and biases left in float32, the only form that
TensorRT accepts. Everything after the pooling computes in float32; its matrices are stored in float16, for the CPU in
int8 (`byte_matrices`), and there very large ones compute in it too (`large_products.int8_matrices`). Not covered:
giving layers back to float32 (`float32_layers`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from dermedge_export.fp16.to_float16 import store_matrices_in_half
from dermedge_export.graph.folded_constants import with_constants
from dermedge_export.graph.layers import PRODUCTS, drop_unused, layer_of, trunk_layers
from dermedge_export.graph.normalised_input import readers
from dermedge_export.graph.silenced_libraries import silenced
from dermedge_export.large_products.int8_matrices import quantize_large_matrices

from .byte_matrices import store_matrices_in_bytes
from .calibrated_tensors import calibrating_only
from .calibration import DEFAULT_METHOD, RangeMethod
from .fitted_ranges import fitted_ranges
from .pixel_input import read_pixels_as_they_are, whole_pixels
from .safe_weights import rebalance

_TRUNK_OPERATORS = (
    *PRODUCTS,
    *("Add", "LeakyRelu", "Relu", "Clip", "MaxPool", "AveragePool", "Concat", "Split", "Reshape", "Transpose"),
)
"""Those for which bytes are faster than floats, or that only pass on what a faster one has made of them."""

_RECTIFIERS = ("Relu", "Clip")


@dataclass(frozen=True, slots=True)
class _Flavour:
    activation: QuantType
    symmetric: bool
    """Activations around zero, as the weights always are."""
    bias: bool
    """Biases become int32; TensorRT refuses an int32 DequantizeLinear."""

    @property
    def options(self) -> dict[str, bool]:
        """Give ONNX Runtime's options."""
        return {"ActivationSymmetric": self.symmetric, "QuantizeBias": self.bias}


_FLAVOURS = {
    "cpu": _Flavour(QuantType.QUInt8, symmetric=False, bias=True),
    "rtx": _Flavour(QuantType.QInt8, symmetric=True, bias=False),
}
FLAVOURS = tuple(_FLAVOURS)


def quantize(
    proto: onnx.ModelProto,
    reader: CalibrationDataReader,
    flavour: str = "cpu",
    method: RangeMethod = DEFAULT_METHOD,
    *,
    as_trained: bool = False,
) -> onnx.ModelProto:
    """Quantise the image branch; a network without one has its matrix products quantised instead.

    :param proto: FP32 graph of `to_onnx`; it stays as it is.
    :param reader: real training photographs.
    :param flavour: one of `FLAVOURS`.
    :param method: how the ranges of the activations are found.
    :param as_trained: the weights were trained with their rounding, to the nearest step: round them so, because any
        other rounding is new to the network.
    """
    form = _FLAVOURS[flavour]
    # By layer: what prepares the picture before the first convolution stays in float32.
    layers = trunk_layers(proto).values()
    trunk = [node for nodes in layers for node in nodes if _is_for_bytes(node)]
    operators = list(_TRUNK_OPERATORS) if trunk else ["Gemm", "MatMul"]
    if not trunk:
        proto = with_constants(proto)
    emptied = onnx.ModelProto()
    emptied.CopyFrom(proto)  # ONNX Runtime's quantiser takes the weights out of the graph it is given
    pixels = whole_pixels(emptied) if flavour == "cpu" else None
    # The range of a picture is known; calibration would find nearly the same, and a step that is nearly 1/255.
    known = {pixels.name: pixels.range} if pixels else {}
    if method.fitted:
        own = {node.name for node in trunk}  # by name: their inputs may have changed with the pixels
        nodes = [node for node in emptied.graph.node if (node.name in own if own else node.op_type in operators)]
        known, reader = _fitted(emptied, nodes, reader, symmetric=form.symmetric) | known, _OneBatch(reader)
    known_ranges = {name: [dict(zip(("rmin", "rmax"), ends, strict=True))] for name, ends in known.items()}
    with tempfile.TemporaryDirectory() as folder, silenced(), calibrating_only(trunk):
        target = Path(folder) / "int8.onnx"
        quantize_static(
            emptied,
            target,
            reader,
            quant_format=QuantFormat.QDQ,
            activation_type=form.activation,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            op_types_to_quantize=operators,
            nodes_to_quantize=[node.name for node in trunk] or None,
            calibrate_method=method.method,
            extra_options={
                **method.options,
                **form.options,
                "CalibStridedMinMax": 1,
                "TensorQuantOverrides": known_ranges,
            },
        )
        quantized = onnx.load(target)
    if not as_trained:
        rebalance(quantized, proto)
    _rectify_before_rounding(quantized)
    _drop_unused_domains(quantized)
    return quantized


class _OneBatch(CalibrationDataReader):  # type: ignore[misc]
    """The first batch of a reader: ONNX Runtime looks at all tensors in it, whose ranges are known already."""

    def __init__(self, reader: CalibrationDataReader) -> None:
        reader.set_range(0, 1)
        self._batch = reader.get_next()
        self._pending = iter([self._batch])

    def __len__(self) -> int:
        return 1

    def set_range(self, start_index: int, end_index: int) -> None:
        """Give it again."""
        self._pending = iter([self._batch])

    def get_next(self) -> dict[str, Any] | None:
        """Give the batch, then None."""
        return next(self._pending, None)


def _fitted(
    proto: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], reader: CalibrationDataReader, *, symmetric: bool
) -> dict[str, tuple[np.float32, np.float32]]:
    """Give the ranges of all activations that these nodes read or write."""
    constants = {tensor.name for tensor in proto.graph.initializer} | {""}
    names = dict.fromkeys(name for node in nodes for name in (*node.input, *node.output) if name not in constants)
    reader.set_range(0, len(reader))
    batches = iter(reader.get_next, None)
    found = fitted_ranges(proto, list(names), batches, symmetric=symmetric)
    return {name: (np.float32(low), np.float32(high)) for name, (low, high) in found.items()}


def _is_for_bytes(node: onnx.NodeProto) -> bool:
    # A product of two activations is named after the layer before it.
    both = node.op_type in PRODUCTS and node.name.startswith(f"{layer_of(node)}/{node.op_type}")
    return node.op_type in _TRUNK_OPERATORS and not both


def packed(quantised: onnx.ModelProto, flavour: str) -> onnx.ModelProto:
    """Give a copy of a QDQ graph whose remaining matrices take less room in the file; the last step of a conversion."""
    proto = onnx.ModelProto()
    proto.CopyFrom(quantised)
    if flavour == "cpu":
        read_pixels_as_they_are(proto)
        quantize_large_matrices(proto)
        store_matrices_in_bytes(proto)
    store_matrices_in_half(proto)
    return proto


def _rectify_before_rounding(proto: onnx.ModelProto) -> None:
    """Round what a product gives after the rectifier alone, in place: one kernel computes both, on every device.

    ONNX Runtime's quantiser takes a rectifier out where the step of its output does the same; where it is left, with
    steps around zero, it rounds before it as well.
    """
    producer = {output: node for node in proto.graph.node for output in node.output}
    for node in proto.graph.node:
        if node.op_type not in _RECTIFIERS:
            continue
        back = producer.get(node.input[0])
        if back is None or back.op_type != "DequantizeLinear" or readers(proto, back.output[0]) != 1:
            continue
        rounding = producer.get(back.input[0])
        source = None if rounding is None else producer.get(rounding.input[0])
        if rounding is not None and source is not None and source.op_type in (*PRODUCTS, "Add"):
            node.input[0] = rounding.input[0]
    drop_unused(proto, [value.name for value in proto.graph.output])


def _drop_unused_domains(proto: onnx.ModelProto) -> None:
    used = {node.domain for node in proto.graph.node}
    kept = [entry for entry in proto.opset_import if entry.domain in used]
    del proto.opset_import[:]
    proto.opset_import.extend(kept)
