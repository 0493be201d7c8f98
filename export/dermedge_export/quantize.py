"""FP32 graph -> INT8 graph: static quantisation of the convolutions with QuantizeLinear/DequantizeLinear pairs.

Covered: the `cpu` flavour, uint8 activations and int8 weights per output channel, which ONNX Runtime's CPU provider
runs three times as fast as int8 activations. Everything after the pooling stays in float32, its matrices stored in
float16. Not covered: the flavour for TensorRT, and giving layers back to float32 (`mixed`).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from .calibration import DEFAULT_METHOD, RangeMethod
from .half import store_matrices_in_half
from .layers import trunk_nodes
from .quiet import quiet

_TRUNK_OPERATORS = ("Conv", "LeakyRelu", "Add")


def quantize_for_cpu(
    proto: onnx.ModelProto, reader: CalibrationDataReader, method: RangeMethod = DEFAULT_METHOD
) -> onnx.ModelProto:
    """Quantise the image branch; a network without one has its matrix products quantised instead.

    :param proto: FP32 graph of `to_onnx`; the quantiser empties it, so pass a copy of one that is needed again.
    :param reader: real training photographs.
    :param method: how the ranges of the activations are found.
    """
    trunk = [node.name for node in trunk_nodes(proto) if node.op_type in _TRUNK_OPERATORS]
    operators = list(_TRUNK_OPERATORS) if trunk else ["Gemm", "MatMul"]
    with tempfile.TemporaryDirectory() as folder, quiet():
        target = Path(folder) / "int8.onnx"
        quantize_static(
            proto,
            target,
            reader,
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=operators,
            nodes_to_quantize=trunk or None,
            calibrate_method=method.method,
            extra_options={**method.options, "CalibStridedMinMax": 1},
        )
        quantized = onnx.load(target)
    store_matrices_in_half(quantized)
    _drop_unused_domains(quantized)
    return quantized


def _drop_unused_domains(proto: onnx.ModelProto) -> None:
    used = {node.domain for node in proto.graph.node}
    kept = [entry for entry in proto.opset_import if entry.domain in used]
    del proto.opset_import[:]
    proto.opset_import.extend(kept)
