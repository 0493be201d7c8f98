"""The golden vector is the answer of the model in the box, and tells a client that is wrong from one that is right."""

import hashlib
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from any_size_models import write_box_of_any_size
from golden_vector import GOLDEN, PICTURE, furthest
from PIL import Image

from dermedge_runtime import Classifier, model_in_the_box
from dermedge_runtime.inputs.image import load_image

TOLERANCE = GOLDEN["tolerance"]
INPUTS = GOLDEN["inputs"]
SIZE = INPUTS["image_shape"][1]


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    with Image.open(PICTURE) as opened:
        return opened.convert("RGB")


@pytest.fixture(scope="module")
def session() -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model_in_the_box(), providers=["CPUExecutionProvider"])


def seen(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def run(
    session: onnxruntime.InferenceSession, pixels: np.ndarray, numeric: object = None, categorical: object = None
) -> dict[str, np.ndarray]:
    feed = {
        "image": np.ascontiguousarray(pixels)[None],
        "numeric": np.array(INPUTS["numeric"] if numeric is None else numeric, np.float32),
        "categorical": np.array(INPUTS["categorical"] if categorical is None else categorical, np.int32),
        "target": np.array(INPUTS["target"], np.int32),
    }
    names = list(GOLDEN["outputs"])
    return dict(zip(names, session.run(names, feed), strict=True))


def test_it_is_of_the_model_in_the_box() -> None:
    assert GOLDEN["model_file"] == model_in_the_box().name
    assert GOLDEN["model_sha256"] == hashlib.sha256(model_in_the_box().read_bytes()).hexdigest()
    assert GOLDEN["picture_sha256"] == hashlib.sha256(PICTURE.read_bytes()).hexdigest()
    spec = Classifier(model_in_the_box(), "cpu").spec
    assert (GOLDEN["classes"], GOLDEN["features"]) == (list(spec.classes), list(spec.clinical.features))


def test_the_bytes_after_resizing(picture: Image.Image) -> None:
    for pixels in (seen(picture), load_image(PICTURE, SIZE)):
        assert [1, *pixels.shape] == INPUTS["image_shape"]
        assert hashlib.sha256(pixels.tobytes()).hexdigest() == INPUTS["image_sha256"]
        for place in INPUTS["image_pixels"]:
            assert pixels[place["row"], place["column"]].tolist() == place["rgb"]


def test_the_runtime_gives_the_outputs() -> None:
    classifier = Classifier(model_in_the_box(), "cpu")
    numeric, categorical = classifier.spec.clinical.encode([GOLDEN["clinical"]])
    assert (numeric.tolist(), categorical.tolist()) == (INPUTS["numeric"], INPUTS["categorical"])
    assert furthest(dict(classifier.run(load_image(PICTURE, SIZE)[None], numeric, categorical))) < TOLERANCE
    found = classifier.predict(PICTURE, **GOLDEN["clinical"])
    right = dict(zip(GOLDEN["classes"], GOLDEN["outputs"]["probabilities"][0], strict=True))
    assert found.probabilities == pytest.approx(right, abs=TOLERANCE)
    assert found.explanation is not None
    attribution = dict(zip(GOLDEN["features"], GOLDEN["outputs"]["attribution"][0], strict=True))
    assert found.explanation.attribution == pytest.approx(attribution, abs=TOLERANCE)


def test_plain_onnx_runtime_gives_the_outputs(session: onnxruntime.InferenceSession, picture: Image.Image) -> None:
    assert furthest(run(session, seen(picture))) < TOLERANCE


def test_a_file_of_any_size_gives_the_outputs(picture: Image.Image, tmp_path: Path) -> None:
    path = write_box_of_any_size(tmp_path)
    free = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert furthest(run(free, np.asarray(picture))) < TOLERANCE


def test_pixels_that_are_one_level_off_here_and_there(
    session: onnxruntime.InferenceSession, picture: Image.Image
) -> None:
    pixels = seen(picture)
    off = np.random.default_rng(0).random(pixels.shape) < 0.001
    found = run(session, pixels + off.astype(np.uint8))
    assert furthest({**found, "heatmap": GOLDEN["outputs"]["heatmap"]}) < TOLERANCE
    # The heat map is scaled by its own largest value, so it moves most.
    assert furthest(found) < 5 * TOLERANCE


def without_antialias(picture: Image.Image) -> np.ndarray:
    """As OpenCV's INTER_LINEAR: four pixels, however much the picture shrinks."""
    frame = (0, 0, *picture.size)
    return np.asarray(picture.transform((SIZE, SIZE), Image.Transform.EXTENT, frame, Image.Resampling.BILINEAR))


WRONG = {
    "blue first": lambda picture: seen(picture)[..., ::-1],
    "without antialias": without_antialias,
    "nearest": lambda picture: np.asarray(picture.resize((SIZE, SIZE), Image.Resampling.NEAREST)),
    "cropped": lambda picture: seen(picture.crop((50, 0, 350, 300))),
    "columns first": lambda picture: seen(picture).transpose(1, 0, 2),
    "planes": lambda picture: seen(picture).transpose(2, 0, 1).reshape(SIZE, SIZE, 3),
    "upside down": lambda picture: seen(picture)[::-1],
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_picture_is_told(name: str, session: onnxruntime.InferenceSession, picture: Image.Image) -> None:
    assert furthest(run(session, WRONG[name](picture))) > 2 * TOLERANCE


@pytest.mark.parametrize(
    "wrong",
    [
        {"numeric": [[np.nan]]},
        {"numeric": [[0.55]]},
        {"categorical": [[1, 2]]},
        {"categorical": [[-1, 2]]},
        {"categorical": [[0, 3]]},
        {"categorical": [[2, 0]]},
    ],
    ids=lambda wrong: str(next(iter(wrong.values()))),
)
def test_a_wrong_value_is_told(
    wrong: dict[str, object], session: onnxruntime.InferenceSession, picture: Image.Image
) -> None:
    assert furthest(run(session, seen(picture), **wrong)) > 2 * TOLERANCE
