"""A graph that takes pictures of any height and width: it squashes them to the model's own size itself, as Pillow does.

So no client can resize otherwise than training did. ONNX Runtime computes a bilinear Resize with antialias on bytes
as Pillow does, in whole numbers, first along the rows and then along the columns. Where a value lies on the border
between two grey levels, its float32 scale can fall on the other side than Pillow's double: one value in ten thousand
of 250 dermatoscopic photographs is one level off, one in seventy of 250 others that shrink from 256 to 224 pixels, a
few of these by two. A picture of the own size passes unchanged.

Covered: graphs of every precision whose filter is bilinear. Not covered: decoding, turning pictures upright,
transparency, and other runtimes than ONNX Runtime. TensorRT refuses antialias. OpenVINO (2026.4.1) takes the graph and
leaves antialias out in silence, so that pictures larger than the own size come out up to 50 grey levels off.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

from dermedge_runtime.devices.providers import NO_ANTIALIAS
from dermedge_runtime.errors import UsageError
from dermedge_runtime.model.description import ModelSpec

IMAGE = "image"
_OWN = "image_of_own_size"


def described_as_any_size(spec: ModelSpec) -> ModelSpec:
    """Give the description of the same model with a graph that takes pictures of any size.

    :raises UsageError: the model reads no picture, was trained with another filter than bilinear, or is for TensorRT.
    """
    if spec.image is None:
        raise UsageError(f"--any-size is for models that read a picture, and {spec.fusion} reads none. Leave it out.")
    if spec.image.resample != "bilinear":
        raise UsageError(
            f"--any-size resizes with the bilinear filter, and this run was trained with {spec.image.resample}."
            " Leave it out."
        )
    if spec.flavour == "rtx":
        raise UsageError(f"--any-size and --target rtx exclude each other: {NO_ANTIALIAS}. Leave one of them out.")
    return replace(spec, image=replace(spec.image, any_size=True))


def taking_any_size(proto: onnx.ModelProto, spec: ModelSpec) -> onnx.ModelProto:
    """Give a copy of a graph whose input `image` is uint8 [B, H, W, 3] of any H and W, one size in a batch.

    :param proto: a graph of the model file's contract, `image` uint8 [B, size, size, 3]; opset 18 or later.
    :param spec: its description; the filter is bilinear.
    """
    image = spec.image
    assert image is not None and image.resample == "bilinear", image
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    graph = made.graph
    (given,) = (value for value in graph.input if value.name == IMAGE)
    own = onnx.ValueInfoProto()
    own.CopyFrom(given)
    own.name = _OWN
    graph.value_info.append(own)
    for axis, name in ((1, "height"), (2, "width")):
        given.type.tensor_type.shape.dim[axis].dim_param = name
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name == IMAGE:
                node.input[index] = _OWN
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*_squash(), *nodes])
    shape = np.array([3, image.size, image.size], np.int64)
    graph.initializer.append(numpy_helper.from_array(shape, f"{_OWN}/planes"))
    return made


def _squash() -> list[NodeProto]:
    """Map `image` to `_OWN`; sizes of all four axes, because ONNX Runtime 1.32 fails on a Resize of some axes."""
    rows, sizes, planes, squashed = (f"{_OWN}/{part}" for part in ("rows", "sizes", "laid_out", "squashed"))
    return [
        helper.make_node("Shape", [IMAGE], [rows], name=rows, start=0, end=1),
        helper.make_node("Concat", [rows, f"{_OWN}/planes"], [sizes], name=sizes, axis=0),
        helper.make_node("Transpose", [IMAGE], [planes], name=planes, perm=[0, 3, 1, 2]),
        helper.make_node(
            "Resize",
            [planes, "", "", sizes],
            [squashed],
            name=squashed,
            mode="linear",
            antialias=1,
            coordinate_transformation_mode="half_pixel",
            exclude_outside=1,
        ),
        helper.make_node("Transpose", [squashed], [_OWN], name=_OWN, perm=[0, 2, 3, 1]),
    ]
