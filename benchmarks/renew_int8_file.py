"""Give an INT8 file whose float weights are gone weights of seven bits, from its own of eight.

    python benchmarks/renew_int8_file.py OLD.onnx NEW.onnx

How the model in the box was made safe on CPUs without VNNI (`dermedge_export.safe_weights`) and in OpenVINO
(`dermedge_export.own_weights`). A file whose run still
exists is better exported again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from dermedge_export.own_weights import own_weights
from dermedge_export.safe_weights import LARGEST_WEIGHT, balanced_rounding


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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    arguments = parser.parse_args()
    network = onnx.load(arguments.old)
    print(f"{narrow(network)} layers changed")
    print(f"{len(own_weights(network))} square weights got their own copy for the way back")
    onnx.save(network, arguments.new)
