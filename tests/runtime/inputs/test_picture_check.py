"""A picture that can show no lesion is told, in words, at every size of a model; a sound one is not."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from make_tiny_model import TINY
from PIL import Image, ImageFilter

from dermedge.data.synthetic_picture import picture
from dermedge_runtime import Classifier, Prediction
from dermedge_runtime.inputs.image import load_sized
from dermedge_runtime.inputs.picture_check import BLURRED, BRIGHT, DARK, UNIFORM, picture_faults
from dermedge_runtime.inputs.picture_check import TINY as TINY_FILE

SIZES = (96, 160, 192, 512)


def sound() -> Image.Image:
    """Draw a lesion with the grain of skin, which generated ones lack."""
    rng = np.random.default_rng(0)
    grain = Image.fromarray(rng.normal(128, 15, (150, 200)).clip(0, 255).astype(np.uint8)).resize((600, 450))
    drawn = np.asarray(picture("nv", rng, 600, 450), np.float64) + np.asarray(grain)[..., None] - 128.0
    return Image.fromarray(drawn.clip(0, 255).astype(np.uint8))


def ramp(height: float, lines: int) -> Image.Image:
    """A level that rises from left to right, under fine lines that lie along it."""
    rows, columns = np.mgrid[0:450, 0:600]
    level = 120 + height * columns / 600 + lines * (rows // 8 % 2)
    return Image.fromarray(level.astype(np.uint8)).convert("RGB")


SOUND = sound()


def faults(image: Image.Image, size: int) -> tuple[str, ...]:
    return picture_faults(*load_sized(image, size))


def levels(change: Callable[[np.ndarray], np.ndarray]) -> Image.Image:
    return Image.fromarray(change(np.asarray(SOUND, np.float64)).clip(0, 255).astype(np.uint8))


def blurred(share: float) -> Image.Image:
    return SOUND.filter(ImageFilter.GaussianBlur(share * SOUND.height))


def rimmed() -> Image.Image:
    """Through a round field, black around it."""
    rows, columns = np.mgrid[-1:1:450j, -1:1:600j]
    return Image.fromarray(np.asarray(SOUND) * (rows**2 + columns**2 < 0.4)[..., None].astype(np.uint8))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (SOUND, ()),
        (SOUND.resize((64, 64)), ()),
        (SOUND.resize((63, 90)), (TINY_FILE.format(width=63, height=90),)),
        (rimmed(), ()),
        (levels(lambda pixels: 0.15 * pixels), (DARK,)),
        (levels(lambda pixels: 0.5 * pixels), ()),
        (levels(lambda pixels: pixels + 140), (BRIGHT,)),
        (levels(lambda pixels: 160 + 0.02 * pixels), (UNIFORM,)),
        (ramp(12, 0), (UNIFORM,)),  # smooth, but there is nothing to be blurred
        (ramp(80, 0), (BLURRED,)),
        (ramp(80, 30), ()),  # what is fine across the rows alone is fine
        (ramp(80, 30).rotate(90, expand=True), ()),
        (Image.new("RGB", (300, 200)), (UNIFORM, DARK)),
        (Image.new("RGB", (300, 200), "white"), (UNIFORM, BRIGHT)),
        (Image.new("RGB", (300, 200), "red"), (UNIFORM,)),
        (blurred(0.02), (BLURRED,)),
        (blurred(0.04), (BLURRED,)),
        (blurred(0.002), ()),
    ],
)
def test_each_fault_is_told_at_every_size(size: int, image: Image.Image, expected: tuple[str, ...]) -> None:
    assert faults(image, size) == expected


@pytest.mark.parametrize("size", [1, 2, 7, 16, 95])
def test_small_models_are_not_told_that_everything_is_blurred(size: int) -> None:
    assert BLURRED not in faults(blurred(0.04), size)


def test_a_prediction_carries_what_is_wrong_with_its_picture() -> None:
    model, grey = Classifier(TINY, "cpu"), np.full((1, 1, 3), 120, np.uint8)
    expected = (TINY_FILE.format(width=1, height=1), UNIFORM)
    result, good = model.predict_many([grey, SOUND])
    assert isinstance(result, Prediction) and isinstance(good, Prediction)
    assert (result.picture_faults, good.picture_faults) == (expected, ())
    assert model.predict(grey).picture_faults == expected
    assert json.loads(json.dumps(result.to_record()))["picture_faults"] == list(expected)
