"""Name in a description the values that a graph imputes: files from before descriptions named them have them inside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from dermedge_runtime.inputs.clinical import CATEGORY
from dermedge_runtime.model.description import ModelSpec


def with_imputed_values(spec: ModelSpec, proto: onnx.ModelProto) -> ModelSpec:
    """Give the description of a graph with the values that it computes with where they are unknown.

    :param proto: a graph of our exporter, in any precision.
    :return: `spec` itself where unknown is a category of its own; a field that the graph does not impute stays as it
        is.
    """
    if spec.clinical.unknown == CATEGORY:
        return spec
    values: dict[str, float | str] = {}
    numbers, words = _filled_in(proto, "numeric"), _filled_in(proto, "categorical")
    if numbers is not None:
        values |= {field.name: float(value) for field, value in zip(spec.clinical.numeric, numbers, strict=True)}
    if words is not None:
        fields = zip(spec.clinical.categorical, words, strict=True)
        values |= {field.name: field.vocabulary[int(index)] for field, index in fields}
    return replace(spec, clinical=spec.clinical.with_imputed(values))


def _filled_in(proto: onnx.ModelProto, name: str) -> NDArray[np.generic] | None:
    """Find the constant that stands in for unknown entries of an input, one value a column."""
    constants = {tensor.name: tensor for tensor in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type == "Where" and node.input[2] == name and node.input[1] in constants:
            return numpy_helper.to_array(constants[node.input[1]]).reshape(-1)
    return None
