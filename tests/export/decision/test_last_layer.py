"""Other weights for the last layer of a finished graph of every precision: the scores change as was asked, and what is
explained with them.
"""

import numpy as np
import onnx
import onnxruntime
import pytest
from scipy.special import softmax

from dermedge_export.decision.last_layer import rescale, scores_of
from dermedge_export.graph.graph_parts import run_all

SCALE = np.array([0.5, 0.8, 1.0, 1.2, 1.5, 2.0, 0.9])
OFFSET = np.array([1.0, -1.0, 0.5, 0.0, 2.0, -0.5, 0.1])
TARGET = 4


def answers(proto: onnx.ModelProto) -> dict[str, np.ndarray]:
    size = proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    pixels = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    feed = {
        "image": pixels,
        "numeric": np.array([[60.0], [np.nan]], dtype=np.float32),
        "categorical": np.array([[0, 3], [-1, 1]], dtype=np.int32),
        "target": np.full(2, TARGET, dtype=np.int32),
    }
    names = [value.name for value in proto.graph.output]
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    found = dict(zip(names, session.run(names, feed), strict=True))
    return found | {"scores": next(run_all(proto, [scores_of(proto)], [feed]))[scores_of(proto)]}


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_scores_are_scaled_and_the_explanations_with_them(exported: dict, precision: str):
    proto = onnx.load(exported[precision].path)
    before = answers(proto)
    rescale(proto, SCALE, OFFSET)
    after = answers(proto)
    wanted = before["scores"] * SCALE + OFFSET
    assert after["scores"] == pytest.approx(wanted, abs=2e-5)
    assert after["probabilities"] == pytest.approx(softmax(wanted, axis=1), abs=1e-5)
    assert after["attribution"] == pytest.approx(before["attribution"] * SCALE[TARGET], abs=1e-5)
    assert after["heatmap"] == pytest.approx(before["heatmap"], abs=1e-4)
    assert after["relevance"] == pytest.approx(before["relevance"], abs=1e-4)


def test_it_can_be_taken_back_and_leaves_nothing_behind(exported: dict):
    proto = onnx.load(exported["int8"].path)
    before = answers(proto)
    rescale(proto, SCALE, OFFSET)
    once = len(proto.SerializeToString())
    rescale(proto, 1 / SCALE, -OFFSET / SCALE)
    after = answers(proto)
    assert len(proto.SerializeToString()) == once
    for name, values in before.items():
        assert after[name] == pytest.approx(values, abs=1e-5)


@pytest.mark.parametrize("fusion", ["image_only", "clinical_only", "gated"])
def test_every_kind_of_head_can_be_scaled(traced, fusion: str):
    proto = traced(fusion)
    scores, graph_inputs = scores_of(proto), {value.name for value in proto.graph.input}
    size = 32
    feed = {
        "image": np.full((1, size, size, 3), 99, dtype=np.uint8),
        "numeric": np.array([[60.0]], dtype=np.float32),
        "categorical": np.array([[0, 3]], dtype=np.int32),
        "target": np.full(1, -1, dtype=np.int32),
    }
    size = next((v.type.tensor_type.shape.dim[1].dim_value for v in proto.graph.input if v.name == "image"), 32)
    feed["image"] = np.full((1, size, size, 3), 99, dtype=np.uint8)
    feed = {name: value for name, value in feed.items() if name in graph_inputs}
    before = next(run_all(proto, [scores], [feed]))[scores]
    rescale(proto, SCALE, OFFSET)
    assert next(run_all(proto, [scores], [feed]))[scores] == pytest.approx(before * SCALE + OFFSET, abs=1e-4)
