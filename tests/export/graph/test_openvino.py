"""One file, one answer: OpenVINO gives all outputs of ONNX Runtime, for every fusion and precision."""

import numpy as np
import onnx
import pytest
from export_networks import open_session, random_inputs
from needs_openvino import run_openvino

EXACT = 1e-4
ROUNDED = 0.1
"""INT8 activations on the border of two steps fall on either side; a weight that is read wrongly is off by 0.3 to 1."""


def _inputs(proto: onnx.ModelProto, target: list[int]) -> dict[str, np.ndarray]:
    inputs = {name: value.numpy() for name, value in random_inputs(len(target), seed=1).items()}
    inputs["target"] = np.array(target, np.int32)
    return {value.name: inputs[value.name] for value in proto.graph.input}


def _largest_differences(proto: onnx.ModelProto, target: list[int]) -> dict[str, float]:
    """By output: the largest difference, as a share of the largest value of its row."""
    feed = _inputs(proto, target)
    names = [value.name for value in proto.graph.output]
    right = dict(zip(names, open_session(proto).run(names, feed), strict=True))
    found = run_openvino(proto.SerializeToString(), feed)
    assert set(found) == set(names)
    differences = {}
    for name in names:
        one, other = (values.reshape(len(target), -1).astype(float) for values in (found[name], right[name]))
        scale = np.maximum(np.abs(other).max(axis=1), 1e-12)
        # A map of a class that nothing speaks for is empty, or a rounding error scaled to 1.
        counts = np.ones(len(target), bool) if name != "heatmap" else (one.max(axis=1) > 0) & (other.max(axis=1) > 0)
        assert name == "heatmap" or counts.all()
        differences[name] = float((np.abs(one - other).max(axis=1) / scale)[counts].max(initial=0))
    return differences


@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
def test_every_output_is_onnxruntimes(fusion: str, half: bool, converted) -> None:
    proto = converted(fusion, "fp16" if half else "fp32")
    differences = _largest_differences(proto, [-1, 2, 5])
    assert max(differences.values()) < EXACT, differences


@pytest.mark.parametrize(
    ("fusion", "flavour"),
    [("clinical_only", "cpu"), ("concat", "cpu"), ("concat", "rtx"), ("gated", "cpu")],
)
def test_every_output_of_int8_is_onnxruntimes(fusion: str, flavour: str, converted) -> None:
    proto = converted(fusion, "int8", flavour)
    differences = _largest_differences(proto, [-1, -1, -1])
    assert max(differences.values()) < ROUNDED, differences
