"""Store the head's weight matrices in float16 and compute with them in float32.

The head is a small part of the work but its matrices are a tenth of an INT8 file. A float16 initializer followed by a
Cast halves them; ONNX Runtime folds the Cast when the session opens, so a prediction pays nothing, and products,
softmax and gradients keep float32.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def store_matrices_in_half(proto: onnx.ModelProto) -> None:
    """Replace every float32 matrix among the initializers by a float16 one and a Cast, in place."""
    graph = proto.graph
    casts = []
    for index, tensor in enumerate(graph.initializer):
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) != 2 or 1 in tensor.dims:
            continue
        values = numpy_helper.to_array(tensor)
        stored = f"{tensor.name}_half"
        casts.append(helper.make_node("Cast", [stored], [tensor.name], name=f"cast_{stored}", to=TensorProto.FLOAT))
        graph.initializer[index].CopyFrom(numpy_helper.from_array(values.astype(np.float16), stored))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
