"""A network that gives no answer, or none that is possible: one sentence, whichever way it was asked."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from make_tiny_model import SIZE, TINY, build, describe_as, tiny_spec
from onnx import TensorProto, helper, numpy_helper

from dermedge_runtime import (
    Classifier,
    DermedgeError,
    DeviceUnavailable,
    InputRejected,
    ModelFileError,
    Rejection,
    UsageError,
    renew_digest,
)
from dermedge_runtime.devices.providers import PROVIDERS
from dermedge_runtime.model.answer_check import run_checked
from dermedge_runtime.model.description import ModelSpec

PICTURE = np.full((SIZE, SIZE, 3), 90, np.uint8)
FEATURES = tiny_spec().clinical.features
EXPLAINED = replace(tiny_spec(), outputs=("probabilities", "heatmap", "relevance", "attribution"))


def behind(operator: str, constant: Any, **attributes: Any) -> onnx.ModelProto:
    """Give the tiny model with one more node behind its probabilities."""
    model = build()
    model.graph.node[-1].output[0] = "inner"
    inputs = ["inner"]
    if constant is not None:
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(constant), "constant"))
        inputs.append("constant")
    model.graph.node.append(helper.make_node(operator, inputs, ["probabilities"], **attributes))
    return model


def opened(model: onnx.ModelProto, folder: Path) -> Classifier:
    path = folder / "x.onnx"
    path.write_bytes(model.SerializeToString())
    renew_digest(path)
    return Classifier(path, "cpu")


WRONG: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "NaN": (lambda: behind("Mul", np.float32(np.nan)), "its output 'probabilities' holds NaN or infinity"),
    "NaN in one": (lambda: behind("Add", np.float32([0, np.nan, 0])), "holds NaN or infinity"),
    "infinity": (lambda: behind("Add", np.float32([np.inf, 0, 0])), "holds NaN or infinity"),
    "minus infinity": (lambda: behind("Log", None), ""),
    "twice": (lambda: behind("Mul", np.float32(2)), ""),
    "half": (lambda: behind("Mul", np.float32(0.5)), "its probabilities add up to 0.5, not to 1"),
    "negative": (lambda: behind("Add", np.float32([2, -2, 0])), "which must be from 0 to 1"),
    "scores": (lambda: behind("Neg", None), "has values from -"),
    "a sum": (lambda: behind("Add", np.float32([0.02, 0, 0])), "its probabilities add up to 1.02, not to 1"),
    "zero": (lambda: behind("Mul", np.float32(0)), "its probabilities add up to 0, not to 1"),
    "fails": (lambda: behind("Gather", np.array([0, 1, 99]), axis=1), "it fails when it runs: "),
}


@pytest.mark.parametrize("name", WRONG)
def test_no_answer(tmp_path: Path, name: str) -> None:
    make, message = WRONG[name]
    model = opened(make(), tmp_path)
    for ask in (
        lambda: model.predict(PICTURE),
        lambda: model.predict_many([PICTURE] * 3),
        lambda: list(model.predict_each([PICTURE])),
        lambda: model.run(PICTURE[None], *model.spec.clinical.encode([{}])),
    ):
        with pytest.raises(ModelFileError) as caught:
            ask()
        assert str(caught.value).startswith("x.onnx is broken: ") and message in str(caught.value)
        assert caught.value.exit_code == 4
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", [np.float32([0.0005, 0, 0]), np.float32([-0.004, 0.004, 0]), np.float32(0.002)])
def test_what_rounding_does_is_accepted(tmp_path: Path, change: np.ndarray) -> None:
    model = opened(behind("Add", change), tmp_path)
    assert model.predict(PICTURE).label == Classifier(TINY, "cpu").predict(PICTURE).label


def test_a_failing_run_leaves_nothing_on_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = opened(WRONG["fails"][0](), tmp_path)
    with pytest.raises(ModelFileError):
        model.predict(PICTURE)
    assert capfd.readouterr() == ("", "")


def explained(heatmap: Any, relevance: Any, attribution: Any) -> onnx.ModelProto:
    """Give the tiny model with explanations that are constants."""
    model = build()
    for name, values in (("heatmap", heatmap), ("relevance", relevance), ("attribution", attribution)):
        array = np.asarray(values, np.float32)
        shape = ["batch", *array.shape[1:]]
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        model.graph.initializer.append(numpy_helper.from_array(array, f"{name}_constant"))
        # Times one for each row of the batch.
        axes = np.arange(1, array.ndim, dtype=np.int64)
        model.graph.initializer.append(numpy_helper.from_array(axes, f"{name}_axes"))
        model.graph.node.append(helper.make_node("ReduceMax", ["probabilities"], [f"{name}_m"], keepdims=0))
        model.graph.node[-1].input.append("one_axis")
        model.graph.node.append(helper.make_node("Div", [f"{name}_m", f"{name}_m"], [f"{name}_1"]))
        model.graph.node.append(helper.make_node("Unsqueeze", [f"{name}_1", f"{name}_axes"], [f"{name}_row"]))
        model.graph.node.append(helper.make_node("Mul", [f"{name}_row", f"{name}_constant"], [name]))
    model.graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "one_axis"))
    model.graph.input.append(helper.make_tensor_value_info("target", TensorProto.INT32, ["batch"]))
    return describe_as(model, EXPLAINED)


GOOD = {
    "heatmap": np.linspace(0, 1, 6).reshape(1, 2, 3),
    "relevance": np.linspace(0, 1, len(FEATURES))[None],
    "attribution": np.linspace(-5, 5, len(FEATURES))[None],
}


def test_good_explanations(tmp_path: Path) -> None:
    result = opened(explained(**GOOD), tmp_path).predict(PICTURE)
    assert result.explanation is not None and result.explanation.grid is not None
    np.testing.assert_allclose(result.explanation.grid, GOOD["heatmap"][0], atol=1e-6)


def scored(name: str, value: float, *, columns: bool = False) -> onnx.ModelProto:
    """Give the tiny model with a score for unfamiliar pictures that is a constant, [batch] or [batch, 1]."""
    model = build()
    shape: list[str | int] = ["batch", 1] if columns else ["batch"]
    model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    model.graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "one_axis"))
    model.graph.initializer.append(numpy_helper.from_array(np.float32(value), "score"))
    most = helper.make_node("ReduceMax", ["probabilities", "one_axis"], ["most"], keepdims=int(columns))
    model.graph.node.extend([most, helper.make_node("Div", ["most", "most"], ["one"])])
    model.graph.node.append(helper.make_node("Mul", ["one", "score"], [name]))
    return describe_as(model, replace(tiny_spec(), outputs=("probabilities", name)))


@pytest.mark.parametrize("name", ["ood_score", "lesion_ood_score"])
@pytest.mark.parametrize("value", [0, 1.2, 1e30, -1e-3, np.nan, np.inf])
def test_scores_that_are_none(tmp_path: Path, name: str, value: float) -> None:
    model = opened(scored(name, value), tmp_path)
    if value >= 0 and np.isfinite(value):
        assert getattr(model.predict(PICTURE), name) == pytest.approx(value)
        return
    with pytest.raises(ModelFileError, match=rf"x\.onnx is broken: its output '{name}' (has values|holds NaN)"):
        model.predict(PICTURE)


@pytest.mark.parametrize("name", ["ood_score", "lesion_ood_score"])
def test_scores_that_are_not_as_promised(tmp_path: Path, name: str) -> None:
    unsaid = describe_as(scored(name, 1), tiny_spec())
    absent = describe_as(build(), replace(tiny_spec(), outputs=("probabilities", name)))
    for model in (unsaid, absent, scored(name, 1, columns=True)):
        with pytest.raises(ModelFileError, match=f"the graph and its description disagree on {name}"):
            opened(model, tmp_path)


@pytest.mark.parametrize("name", list(GOOD))
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1.5, -0.5])
def test_explanations_that_are_none(tmp_path: Path, name: str, value: float) -> None:
    changed = {key: array.copy() for key, array in GOOD.items()}
    changed[name].flat[1] = value
    model = opened(explained(**changed), tmp_path)
    if name == "attribution" and np.isfinite(value):
        assert model.predict(PICTURE).explanation is not None
        return
    with pytest.raises(ModelFileError, match=rf"x\.onnx is broken: its output '{name}' h(as|olds)"):
        model.predict_many([PICTURE, PICTURE])


class Other:
    """A session on a device that gives or raises what a test says."""

    hardware = "a card"

    def __init__(self, answer: Any, device: str = "cpu") -> None:
        self.answer, self.provider = answer, PROVIDERS[device]

    def run(self, outputs: list[str], feed: Mapping[str, Any]) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def ask(answer: Any, device: str = "cpu", spec: ModelSpec | None = None) -> Any:
    spec = spec or tiny_spec()
    numeric, categorical = spec.clinical.encode([{}, {}])
    arrays = {"image": np.stack([PICTURE, PICTURE]), "numeric": numeric, "categorical": categorical}
    return run_checked(Other(answer, device), spec, arrays, -1, "x.onnx")  # type: ignore[arg-type]


ROWS = np.full((2, 3), 1 / 3, np.float32)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([], "it gives 0 outputs instead of 1"),
        ([ROWS, ROWS], "it gives 2 outputs instead of 1"),
        ([ROWS[:1]], r"its output 'probabilities' has the shape \[1, 3\] for 2 rows"),
        ([ROWS[:0]], r"has the shape \[0, 3\] for 2 rows"),
        ([np.vstack([ROWS, ROWS])], r"has the shape \[4, 3\] for 2 rows"),
        ([ROWS.T], r"has the shape \[3, 2\] for 2 rows"),
        ([ROWS[0]], r"has the shape \[3\] for 2 rows"),
        ([ROWS[:, :, None]], r"has the shape \[2, 3, 1\] for 2 rows"),
        ([ROWS.astype(np.float64)], "'probabilities'"),
        ([None], "'probabilities'"),
        ([[[1.0, 0, 0]]], "'probabilities'"),
    ],
)
def test_answers_of_another_shape(answer: Any, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        ask(answer)


@pytest.mark.parametrize("shape", [(2, 0, 3), (2, 3), (1, 3, 3), (2, 3, 3, 1)])
def test_heat_maps_of_another_shape(shape: tuple[int, ...]) -> None:
    rows = np.zeros((2, len(FEATURES)), np.float32)
    with pytest.raises(ModelFileError, match="its output 'heatmap' has the shape"):
        ask([ROWS, np.zeros(shape, np.float32), rows, rows], spec=EXPLAINED)


@pytest.mark.parametrize("error", [RuntimeError("went\nwrong"), ValueError("went wrong"), KeyError("x"), OSError("io")])
def test_any_error_of_a_run_becomes_ours(error: Exception) -> None:
    with pytest.raises(ModelFileError, match=r"^x\.onnx is broken: it fails when it runs: .*\. Export it again\.$"):
        ask(error)
    with pytest.raises(DeviceUnavailable) as caught:
        ask(error, "cuda")
    assert "x.onnx failed when it ran on cuda (CUDAExecutionProvider, a card): " in str(caught.value)
    assert caught.value.exit_code == 5


def test_an_answer_that_is_none_names_the_device() -> None:
    with pytest.raises(ModelFileError) as caught:
        ask([ROWS * np.float32(np.nan)], "rtx")
    assert str(caught.value) == (
        "x.onnx cannot be used on rtx (NvTensorRTRTXExecutionProvider, a card): its output 'probabilities' holds NaN or"
        " infinity. If it answers with --device cpu, the device computes it wrongly; else export it again."
    )


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("Failed to allocate memory for requested buffer")])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_too_little_memory_is_not_the_files_fault(error: Exception, device: str) -> None:
    with pytest.raises(DermedgeError, match=f"not enough memory to run x.onnx on 2 rows at once on {device}") as caught:
        ask(error, device)
    assert type(caught.value) is DermedgeError


def test_our_own_errors_pass() -> None:
    with pytest.raises(UsageError, match="mine"):
        ask(UsageError("mine"))


def test_arrays_that_the_network_does_not_read() -> None:
    model, (numeric, categorical) = Classifier(TINY, "cpu"), tiny_spec().clinical.encode([{}])
    good: dict[str, Any] = {"image": PICTURE[None], "numeric": numeric, "categorical": categorical}
    for name, array in good.items():
        for wrong in (None, array.astype(np.float64), array[:0], array[0], np.repeat(array, 2, 0), array.tolist()):
            with pytest.raises(InputRejected, match="The network reads"):
                model.run(**{**good, name: wrong})


def test_a_class_that_there_is_not(tmp_path: Path) -> None:
    model = opened(explained(**GOOD), tmp_path)
    with pytest.raises(UsageError, match="There is no class number 3 to explain; there are 3"):
        model.run(PICTURE[None], *model.spec.clinical.encode([{}]), 3)


def test_a_rejected_picture_and_a_broken_file_are_two_things(tmp_path: Path) -> None:
    good = Classifier(TINY, "cpu").predict_many([PICTURE, b"no picture"])
    assert isinstance(good[1], Rejection)
    broken = opened(WRONG["NaN"][0](), tmp_path)
    assert all(isinstance(answer, Rejection) for answer in broken.predict_many([b"no picture"]))
    with pytest.raises(ModelFileError):
        broken.predict_many([b"no picture", PICTURE])
