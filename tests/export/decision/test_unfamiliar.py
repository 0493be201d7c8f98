"""The score for unfamiliar rows: the graph computes what numpy does, and the best of what is tried is taken."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from dermedge_export.decision.unfamiliar import KINDS, MAHALANOBIS, RESIDUAL, add_score, fit, try_all

D = 20


def rows(count: int, seed: int) -> np.ndarray:
    """Rows that vary in 6 directions, and a little in all others."""
    rng = np.random.default_rng(seed)
    directions = np.random.default_rng(99).normal(size=(6, D))
    return (rng.normal(size=(count, 6)) @ directions + 0.1 * rng.normal(size=(count, D)) + 5).astype(np.float32)


@pytest.mark.parametrize("in_bytes", [True, False])
@pytest.mark.parametrize("method", [MAHALANOBIS, RESIDUAL])
def test_the_graph_gives_what_numpy_gives(method: str, in_bytes: bool):
    score = fit("x", method, 8, rows(300, 0), rows(200, 1))
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", D])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [value], [])
    graph.output.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", D]))
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    add_score(proto, score, "ood_score", in_bytes=in_bytes)
    onnx.checker.check_model(proto, full_check=True)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    given = np.concatenate([rows(50, 2), rows(10, 3) * 3])
    found = session.run(["ood_score"], {"x": given})[0]
    assert found.shape == (60,) and found == pytest.approx(score(given), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize(("method", "components"), [(m, c) for m, c in KINDS if c < D])
def test_1_is_the_95th_percentile_of_validation(method: str, components: int):
    validation = rows(400, 1)
    score = fit("x", method, components, rows(300, 0), validation)(validation)
    assert np.mean(score > 1) == pytest.approx(0.05, abs=0.003)


def test_what_leaves_the_usual_directions_is_told_by_what_they_leave_over():
    far = rows(60, 4) + np.random.default_rng(5).normal(size=(60, D)).astype(np.float32)
    tried = try_all(["x"], {"x": rows(300, 0)}, {"x": rows(200, 1)}, {"far": {"x": far}})
    found = {(each.score.method, each.score.components): each.worst for each in tried}
    assert found[RESIDUAL, 8] > 0.99 > found[MAHALANOBIS, 8] and tried[0].worst > 0.99
    assert len({(each.score.method, each.score.components) for each in tried}) == len(tried)


def test_of_those_as_good_the_earliest_tensor_is_taken():
    both = {"early": rows(300, 0), "late": rows(300, 0)}
    far = rows(60, 4) + 4
    tried = try_all(["early", "late"], both, {name: rows(200, 1) for name in both}, {"far": dict.fromkeys(both, far)})
    assert tried[0].score.tensor == "early"
    blind = {"early": rows(60, 6), "late": far}  # the early tensor cannot tell these
    tried = try_all(["early", "late"], both, {name: rows(200, 1) for name in both}, {"far": blind})
    assert tried[0].score.tensor == "late"


def test_a_constant_column_is_no_division_by_zero():
    still = np.concatenate([rows(300, 0), np.ones((300, 1), dtype=np.float32)], axis=1)
    assert np.isfinite(fit("x", MAHALANOBIS, 8, still, still)(still)).all()
