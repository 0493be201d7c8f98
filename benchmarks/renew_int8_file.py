"""Bring an INT8 file whose float weights are gone to what an export makes today.

    python benchmarks/renew_int8_file.py OLD.onnx NEW.onnx

How the model in the box was renewed: weights of seven bits from its own of eight (`safe_weights`), a copy of square
weights for the way back (`own_weights`), imputed values in its description, and a digest. A file whose run still exists
is better exported again.
"""

from __future__ import annotations

import dermedge_runtime  # noqa: F401, first: it turns ONNX Runtime's telemetry off

# isort: split

import argparse
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from dermedge_export.description import write_described
from dermedge_export.graph.own_weights import own_weights
from dermedge_export.int8.safe_weights import LARGEST_WEIGHT, balanced_rounding
from dermedge_runtime.files import atomic_path
from dermedge_runtime.inputs.clinical import ClinicalSchema
from dermedge_runtime.model.description import SAFE_WEIGHT_BITS
from dermedge_runtime.model.model_file import read_model_file


def narrow(proto: onnx.ModelProto) -> int:
    """Halve the range of every convolution's int8 weights, in place; their steps double, as do those of the biases.

    :return: how many layers were changed.
    """
    stored = {tensor.name: tensor for tensor in proto.graph.initializer}
    producer = {output: node for node in proto.graph.node for output in node.output}

    def halved(name: str, values: np.ndarray) -> None:
        stored[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), name))

    changed = 0
    for node in proto.graph.node:
        if node.op_type != "Conv" or node.input[1] not in producer:
            continue
        weight, bias = producer[node.input[1]], producer[node.input[2]]
        values = numpy_helper.to_array(stored[weight.input[0]])
        if np.abs(values.astype(int)).max() <= LARGEST_WEIGHT:
            continue
        halved(weight.input[0], balanced_rounding(values / 2))
        halved(bias.input[0], np.rint(numpy_helper.to_array(stored[bias.input[0]]) / 2).astype(np.int32))
        for step in (weight.input[1], bias.input[1]):
            halved(step, numpy_helper.to_array(stored[step]) * np.float32(2))
        changed += 1
    return changed


def imputed(proto: onnx.ModelProto, clinical: ClinicalSchema) -> dict[str, float | str]:
    """Read the median of the age and the modes of the vocabularies out of the graph, by field name."""
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    median = next(values for name, values in stored.items() if name.endswith("encoder.median"))
    mode = next(values for name, values in stored.items() if name.endswith("encoder.mode"))
    numbers = {field.name: float(value) for field, value in zip(clinical.numeric, median, strict=True)}
    words = {field.name: field.vocabulary[word] for field, word in zip(clinical.categorical, mode, strict=True)}
    return numbers | words


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    arguments = parser.parse_args()
    file = read_model_file(arguments.old)
    network = onnx.load_from_string(file.content)
    print(f"{narrow(network)} layers narrowed; own copies of {', '.join(own_weights(network)) or 'none'}")
    clinical = file.spec.clinical.with_imputed(imputed(network, file.spec.clinical))
    conversion = {
        **file.spec.conversion,
        "weight_bits": SAFE_WEIGHT_BITS,
        "renewed_from_sha256": hashlib.sha256(file.content).hexdigest(),
    }
    with atomic_path(arguments.new) as temporary:
        write_described(network, replace(file.spec, clinical=clinical, conversion=conversion), temporary)


if __name__ == "__main__":
    main()
