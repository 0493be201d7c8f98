"""A classifier in other processes: pickled, copied, spawned and forked, it opens its file again or refuses it."""

import copy
import multiprocessing
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from make_tiny_model import SIZE, TINY, build

from dermedge_runtime import Classifier, ModelFileError, Prediction, Rejection
from dermedge_runtime.explanation import Explanation

PIXELS = np.random.default_rng(3).integers(0, 256, (SIZE, SIZE, 3), np.uint8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Path(shutil.copy(TINY, tmp_path / "model.onnx"))


@pytest.mark.parametrize("again", [lambda model: pickle.loads(pickle.dumps(model)), copy.copy, copy.deepcopy])
def test_a_copy_answers_alike(path: Path, monkeypatch: pytest.MonkeyPatch, again) -> None:
    monkeypatch.chdir(path.parent)
    model = Classifier(path.name, "cpu", threads=1)
    monkeypatch.chdir("/")
    other = again(model)
    assert other is not model
    assert other.predict(PIXELS, age=55) == model.predict(PIXELS, age=55)
    assert (other.name, other.device, other.sha256, other._wanted) == ("model.onnx", "cpu", model.sha256, model._wanted)


def test_a_file_that_has_changed_or_is_gone_is_refused(path: Path) -> None:
    kept = pickle.dumps(Classifier(path, "cpu"))
    path.write_bytes(build(clinical=False).SerializeToString())
    with pytest.raises(ModelFileError, match=r"model\.onnx has changed since it was opened"):
        pickle.loads(kept)
    path.unlink()
    with pytest.raises(ModelFileError, match=r"model\.onnx"):
        pickle.loads(kept)


def test_answers_can_be_pickled(path: Path) -> None:
    model = Classifier(path, "cpu")
    explanation = Explanation("mel", np.ones((2, 2), np.float32), {"age": 1.0}, {"age": -0.5})
    result = model.predict(PIXELS, age=55)
    object.__setattr__(result, "explanation", explanation)
    again = pickle.loads(pickle.dumps(result))
    assert isinstance(again, Prediction)
    assert again == result
    assert again.overlay().tobytes() == result.overlay().tobytes()
    assert pickle.loads(pickle.dumps(Rejection("a", "b"))) == Rejection("a", "b")


def test_a_spawned_process_answers_alike(path: Path) -> None:
    model = Classifier(path, "cpu")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(model.predict, [PIXELS], {"age": 55}) == model.predict(PIXELS, age=55)


def in_a_fork(function) -> str:
    """Call a function in a forked process; gives what it returns, or its error."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = function()
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"
        os.write(writing, answer.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        answer = stream.read()
    assert os.waitpid(child, 0)[1] == 0
    return answer


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_forked_process_opens_the_file_again(path: Path) -> None:
    model = Classifier(path, "cpu", threads=4)
    session, expected = model._opened, model.predict(PIXELS).label

    def answer() -> str:
        assert model._opened is session
        label = model.predict(PIXELS).label
        return f"{label} {model._opened is session}"

    assert in_a_fork(answer) == f"{expected} False"
    assert model._opened is session
    path.write_bytes(build(clinical=False).SerializeToString())
    assert "ModelFileError" in in_a_fork(answer)
    assert model.predict(PIXELS).label == expected
