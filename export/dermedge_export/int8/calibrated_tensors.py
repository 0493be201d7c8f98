"""Tell ONNX Runtime's calibrator which tensors to look at: it chooses by operator, and so takes in the whole graph.

What prepares the picture and what explains it has the operators of an image branch too, and ranges that no histogram
can hold; every one of its tensors would only cost time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import onnx
from onnxruntime.quantization.calibrate import CalibraterBase


@contextmanager
def calibrating_only(nodes: Collection[onnx.NodeProto]) -> Iterator[None]:
    """Within this context, calibrate no tensor but those that these nodes read or write; without nodes, all."""
    own = {name for node in nodes for name in (*node.input, *node.output)}
    all_of_them = CalibraterBase.select_tensors_to_calibrate

    def chosen(calibrator: Any, model: onnx.ModelProto) -> Any:
        tensors, infos = all_of_them(calibrator, model)
        return (tensors & own if own else tensors), infos

    CalibraterBase.select_tensors_to_calibrate = chosen
    try:
        yield
    finally:
        CalibraterBase.select_tensors_to_calibrate = all_of_them
