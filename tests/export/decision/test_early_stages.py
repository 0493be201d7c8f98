"""Stages of finished graphs, and statistics that are those of numpy, at every precision."""

import numpy as np
import onnx
import pytest

from dermedge_export.decision.early_stages import add_statistics, early_stages, last_features
from dermedge_export.graph.graph_parts import run_all


def feed(proto: onnx.ModelProto, rows: int = 3) -> dict[str, np.ndarray]:
    size = proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    pixels = np.random.default_rng(0).integers(0, 256, (rows, size, size, 3), dtype=np.uint8)
    return {
        "image": pixels,
        "numeric": np.full((rows, 1), 60, dtype=np.float32),
        "categorical": np.zeros((rows, 2), dtype=np.int32),
        "target": np.full(rows, -1, dtype=np.int32),
    }


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_statistics_are_those_of_the_stage(exported: dict, precision: str):
    proto = onnx.load(exported[precision].path)
    given = feed(proto)
    stages = early_stages(proto, given)
    sides = [stage.side for stage in stages]
    assert len(stages) >= 2 and sides == sorted(sides, reverse=True)
    assert {stage.half for stage in stages} == {precision == "fp16"}
    for stage in stages:
        add_statistics(proto, stage)
    names = [name for stage in stages for name in (stage.tensor, stage.statistics)]
    found = next(run_all(proto, [*names, *last_features(proto)], [given]))
    for stage in stages:
        map_, statistics = found[stage.tensor].astype(np.float64), found[stage.statistics]
        assert map_.shape[1:] == (stage.channels, stage.side, stage.side)
        wanted = np.concatenate([map_.mean(axis=(2, 3)), map_.std(axis=(2, 3))], axis=1)
        assert statistics.dtype == np.float32 and statistics == pytest.approx(wanted, abs=2e-3)
    assert found[last_features(proto)[0]].dtype == np.float32


def test_a_rounded_tensor_is_looked_at_after_its_rounding(exported: dict):
    proto = onnx.load(exported["int8"].path)
    rounded = {node.input[0] for node in proto.graph.node if node.op_type == "QuantizeLinear"}
    assert rounded.isdisjoint(stage.tensor for stage in early_stages(proto, feed(proto)))


def test_a_network_of_bottlenecks_is_looked_at_where_it_is_narrow():
    from dermedge_runtime.model.shipped_model import model_in_the_box

    proto = onnx.load(model_in_the_box())
    narrow = [(stage.channels, stage.side) for stage in early_stages(proto, feed(proto, rows=1))]
    assert narrow == [(16, 96), (24, 48), (40, 24), (80, 12), (192, 6)]
