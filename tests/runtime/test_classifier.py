"""The classifier: one picture or many, from any source, with any clinical values known."""

import hashlib
import io
import json
import pickle
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from make_tiny_model import CLASSES, SIZE, TINY, build, describe_as, tiny_spec, with_synonyms
from PIL import Image

import dermedge
from dermedge_runtime import Classifier, DermedgeError, InputRejected, Prediction, Rejection, classifier
from dermedge_runtime.inputs.kept_source import keep
from dermedge_runtime.inputs.patients import read_patient
from dermedge_runtime.inputs.prepared_picture import prepare

PIXELS = np.random.default_rng(3).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
PATIENT: dict[str, Any] = {"age": 55, "sex": "male", "site": "back"}


@pytest.fixture(scope="module")
def model() -> Classifier:
    return Classifier(TINY, "cpu")


def variant(folder: Path, **parts: bool) -> Classifier:
    path = folder / "variant.onnx"
    path.write_bytes(build(**parts).SerializeToString())
    return Classifier(path, "cpu")


def picture(level: int) -> np.ndarray:
    return np.full((SIZE, SIZE, 3), level, np.uint8)


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def test_a_prediction_names_its_parts(model: Classifier, tmp_path: Path) -> None:
    path = tmp_path / "lesion.png"
    path.write_bytes(png(PIXELS))
    result = model.predict(path, **PATIENT)
    assert tuple(result.probabilities) == tuple(CLASSES)
    assert sum(result.probabilities.values()) == pytest.approx(1, abs=1e-6)
    assert result.label == max(CLASSES, key=lambda code: result.probabilities[code])
    assert (result.source, result.model, result.device) == (str(path), "tiny.onnx", "cpu")
    assert result.provider == "CPUExecutionProvider"
    assert model.spec == tiny_spec()


@pytest.mark.parametrize(("age", "label"), [(0, "mel"), (120, "nv")])
def test_the_label_is_the_most_probable_class(model: Classifier, age: int, label: str) -> None:
    assert model.predict(picture(0), age=age).label == label


def test_the_answer_is_the_one_of_the_graph(model: Classifier) -> None:
    expected = model.run(PIXELS[None], np.array([[55]], np.float32), np.array([[1, 0]], np.int32))["probabilities"][0]
    assert list(model.predict(PIXELS, **PATIENT).probabilities.values()) == expected.tolist()


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_the_size_is_that_of_the_upright_picture(model: Classifier, orientation: int) -> None:
    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (20 * SIZE, 10 * SIZE + 3)).save(stream, "JPEG", exif=exif)
    expected = (20 * SIZE, 10 * SIZE + 3)
    assert model.predict(stream.getvalue()).size == (expected[::-1] if orientation == 6 else expected)


def test_the_record_is_json_and_says_everything(model: Classifier) -> None:
    result = model.predict(PIXELS, age="55", site=" BACK ")
    record = json.loads(json.dumps(result.to_record(), allow_nan=False))
    assert (record["given"], record["unknown"]) == ({"age": 55.0, "site": "back"}, ["sex"])
    assert list(record["probabilities"]) == list(record["class_names"]) == list(CLASSES)
    assert (record["label"], record["label_name"]) == (result.label, CLASSES[result.label])
    assert record["model_sha256"] == hashlib.sha256(TINY.read_bytes()).hexdigest()
    assert record["versions"] == {"dermedge": dermedge.__version__, "onnxruntime": onnxruntime.__version__}
    assert (record["file"], record["model"], record["notice"]) == ("<ndarray>", "tiny.onnx", "tests")
    assert abs((datetime.fromisoformat(record["time"]) - datetime.now(UTC)).total_seconds()) < 60


def test_the_record_of_a_rejection() -> None:
    record = json.loads(json.dumps(Rejection("a.png", "why").to_record()))
    assert datetime.fromisoformat(record.pop("time")).utcoffset() == timedelta(0)
    assert record == {"file": "a.png", "error": "why"}


def test_equal_pixels_give_equal_probabilities_from_every_source(model: Classifier, tmp_path: Path) -> None:
    path = tmp_path / "lesion.png"
    content = png(PIXELS)
    path.write_bytes(content)
    sources = [PIXELS, path, str(path), content, io.BytesIO(content), Image.fromarray(PIXELS), Image.open(path)]
    results = [model.predict(source, **PATIENT).probabilities for source in sources]
    assert results == [results[0]] * len(sources)


@pytest.mark.parametrize("name", PATIENT)
def test_every_clinical_field_counts(model: Classifier, name: str) -> None:
    less = {key: value for key, value in PATIENT.items() if key != name}
    assert model.predict(PIXELS, **less).probabilities != model.predict(PIXELS, **PATIENT).probabilities


def test_synonyms_that_the_file_carries_are_read_in_python_and_on_the_command_line(tmp_path: Path) -> None:
    path, shown = tmp_path / "synonyms.onnx", tmp_path / "picture.png"
    path.write_bytes(describe_as(build(), with_synonyms(tiny_spec())).SerializeToString())
    shown.write_bytes(png(PIXELS))
    own = Classifier(path, "cpu").predict(PIXELS, age=85, site="face")
    assert Classifier(path, "cpu").predict(PIXELS, age="85+", site="GESICHT") == own
    given = ("--model", path, "--device", "cpu", "--field", "age=85+", "--field", "site=gesicht", "--json")
    done = subprocess.run(
        [sys.executable, "-m", "dermedge_runtime", "infer", shown, *given], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["probabilities"] == pytest.approx(dict(own.probabilities), abs=1e-6)
    with pytest.raises(InputRejected, match=r"got 85\+\."):
        Classifier(TINY, "cpu").predict(PIXELS, age="85+")


@pytest.mark.parametrize("word", [None, "unknown", ""])
def test_unknown_equals_leaving_out(model: Classifier, word: str | None) -> None:
    left_out = model.predict(PIXELS).probabilities
    assert model.predict(PIXELS, age=word, sex=word, site=word).probabilities == left_out
    raw = model.run(PIXELS[None], np.full((1, 1), np.nan, np.float32), np.full((1, 2), -1, np.int32))["probabilities"][
        0
    ]
    assert raw.tolist() == list(left_out.values())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"age": 200}, "age must be a number from 0 to 120 years, got 200"),
        ({"site": "bakc"}, "Did you mean 'back'?"),
        ({"weight": 70}, "This model has no clinical field 'weight'; it reads age, sex, site."),
    ],
)
def test_bad_clinical_values(model: Classifier, values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputRejected) as caught:
        model.predict(PIXELS, **values)
    assert message in str(caught.value)
    found = model.predict_many([PIXELS, PIXELS], [values, {}])
    assert isinstance(found[0], Rejection)
    assert message in found[0].reason
    assert isinstance(found[1], Prediction)


def test_a_picture_is_needed(model: Classifier) -> None:
    with pytest.raises(InputRejected, match=r"^tiny\.onnx reads an image; give one\.$"):
        model.predict(age=55)
    assert model.predict_many([None]) == [Rejection("<no image>", "tiny.onnx reads an image; give one.")]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 8, 100])
def test_many_equal_one_by_one_in_order(model: Classifier, batch_size: int) -> None:
    pictures = [picture(level) for level in range(0, 250, 50)]
    patients = [PATIENT, {}, {"age": 3}, {"site": "face"}, {"sex": "female"}]
    found = model.predict_many(pictures, patients, batch_size=batch_size)
    for one, image, patient in zip(found, pictures, patients, strict=True):
        assert isinstance(one, Prediction)
        assert one.probabilities == pytest.approx(model.predict(image, **patient).probabilities, abs=1e-6)


def test_one_patient_for_all_pictures(model: Classifier) -> None:
    pictures = [picture(10), picture(200)]
    assert model.predict_many(pictures, PATIENT) == model.predict_many(pictures, [PATIENT, PATIENT])
    assert model.predict_many(pictures) == model.predict_many(pictures, {})


@pytest.mark.parametrize("batch_size", [1, 2, 5, 8])
def test_an_unreadable_picture_stops_nothing(model: Classifier, tmp_path: Path, batch_size: int) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for number, path in enumerate(paths):
        path.write_bytes(b"text" if number == 2 else png(picture(50 * number)))
    patients = [{"age": 20 * number} for number in range(5)]
    found = model.predict_many(paths, patients, batch_size=batch_size)
    assert [result.source for result in found] == [str(path) for path in paths]
    assert [type(result) for result in found] == [Prediction, Prediction, Rejection, Prediction, Prediction]
    assert isinstance(found[2], Rejection)
    assert "its content is no picture of a known format" in found[2].reason
    last = found[4]
    assert isinstance(last, Prediction)
    assert last.probabilities == pytest.approx(model.predict(paths[4], age=80).probabilities, abs=1e-6)


def test_answers_come_while_later_pictures_are_still_unread(model: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Any] = []
    monkeypatch.setattr(classifier, "prepare", lambda image, spec: read.append(image) or prepare(image, spec))
    answers = model.predict_each([picture(level) for level in range(100)], batch_size=2)
    assert isinstance(next(answers), Prediction)
    assert 2 <= len(read) <= 10
    answers.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("look-ahead")]


def test_pictures_that_were_read_elsewhere(model: Classifier) -> None:
    pictures = [picture(level) for level in (10, 100, 200)]
    patients = [{"age": 5}, {}, {"sex": "male", "site": "back"}]
    prepared = [pickle.loads(pickle.dumps(prepare(keep(each), model.spec.image))) for each in pictures]
    read = [read_patient(model.spec.clinical, each) for each in patients]
    together = model.predict_prepared(list(zip(prepared, read, strict=True)))
    for result, each, clinical in zip(together, pictures, patients, strict=True):
        alone = model.predict(each, **clinical)
        assert result.probabilities == pytest.approx(alone.probabilities, abs=1e-6)
        assert (result.given, result.size, result.picture_faults) == (alone.given, alone.size, alone.picture_faults)
    assert model.predict_prepared([]) == []


def test_an_error_of_the_network_leaves_no_thread(model: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arrays: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(model, "run", fail)
    with pytest.raises(KeyboardInterrupt):
        model.predict_many([picture(level) for level in range(100)])
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("look-ahead")]


def test_one_file_open_twice_is_read_twice(model: Classifier) -> None:
    """Two threads that read one stream or one lazy image would steal each other's bytes."""
    stream = io.BytesIO(png(PIXELS))
    lazy = Image.open(io.BytesIO(png(PIXELS)))
    expected = model.predict(PIXELS).probabilities
    for result in model.predict_many([stream, lazy] * 20):
        assert isinstance(result, Prediction)
        assert result.probabilities == pytest.approx(expected, abs=1e-6)


def test_nothing_but_unreadable_pictures(model: Classifier) -> None:
    assert [type(result) for result in model.predict_many([b"", b"text", "no.png"])] == [Rejection] * 3


def test_no_pictures_at_all(model: Classifier) -> None:
    assert model.predict_many([]) == []
    assert model.predict_many(iter([]), []) == []


@pytest.mark.parametrize("patients", [[], [{}], [{}, {}, {}]])
def test_as_many_patients_as_pictures(model: Classifier, patients: list[dict[str, Any]]) -> None:
    with pytest.raises(InputRejected, match=rf"^2 images came with {len(patients)} sets of clinical values"):
        model.predict_many([PIXELS, PIXELS], patients)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_holds_at_least_one_picture(model: Classifier, batch_size: int) -> None:
    with pytest.raises(DermedgeError, match="batch"):
        model.predict_many([PIXELS], batch_size=batch_size)


def test_a_model_without_clinical_fields(tmp_path: Path) -> None:
    model = variant(tmp_path, clinical=False)
    assert model.spec.array_inputs == ("image",)
    assert model.predict(PIXELS) == model.predict_many([PIXELS])[0]
    with pytest.raises(InputRejected, match=r"no clinical field 'age'; it reads the image alone\."):
        model.predict(PIXELS, age=55)


def test_a_model_without_a_picture(tmp_path: Path) -> None:
    model = variant(tmp_path, image=False)
    assert model.spec.array_inputs == ("numeric", "categorical")
    result = model.predict(age=55, site="face")
    assert result.source == "<no image>"
    assert model.predict_many([None, None], [{}, {"age": 55, "site": "face"}])[1] == result
    with pytest.raises(InputRejected, match=r"^variant\.onnx reads clinical values alone; leave the image a\.jpg out"):
        model.predict("a.jpg", age=55)
    assert isinstance(model.predict_many(["a.jpg"])[0], Rejection)
