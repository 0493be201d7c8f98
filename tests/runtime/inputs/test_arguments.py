"""Silly arguments of the classifier: one sentence each, before anything runs."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from make_tiny_model import SIZE, TINY
from PIL import Image

from dermedge_runtime import Classifier, DeviceUnavailable, UsageError

PIXELS = np.random.default_rng(3).integers(0, 256, (SIZE, SIZE, 3), np.uint8)


@pytest.fixture(scope="module")
def model() -> Classifier:
    return Classifier(TINY, "cpu")


@pytest.mark.parametrize("threads", [0, -1, True, 10**6, "4", 2.5, float("nan"), [2]])
def test_threads_that_make_no_sense(threads: Any) -> None:
    with pytest.raises(UsageError, match=r"^threads must be a whole number from 1 to \d+ on this machine, got "):
        Classifier(TINY, "cpu", threads=threads)


@pytest.mark.parametrize("threads", [1, np.int64(2)])
def test_threads_that_do(threads: Any) -> None:
    assert Classifier(TINY, "cpu", threads=threads).predict(PIXELS)


@pytest.mark.parametrize("size", [0, -1, True, 10**9, 1025, "8", 8.0, None])
def test_batch_sizes_that_make_no_sense(model: Classifier, size: Any) -> None:
    with pytest.raises(UsageError, match=r"^batch_size must be a whole number from 1 to 1024, got "):
        model.predict_each([PIXELS], batch_size=size)


@pytest.mark.parametrize(
    ("device", "hint"),
    [
        (None, "Leave it out for auto."),
        ("CPU", "Did you mean 'cpu'?"),
        ("gpu", "For an NVIDIA card: cuda or rtx."),
        ("cuda:0", "Did you mean 'cuda'?"),
        ("open vino", "Did you mean 'openvino'?"),
        (0, "known are auto, rtx, cuda, tensorrt, openvino, cpu."),
        (["cpu"], "Unknown device ['cpu']"),
    ],
)
def test_devices_that_are_none(device: Any, hint: str) -> None:
    with pytest.raises(DeviceUnavailable, match=r"^Unknown device ") as caught:
        Classifier(TINY, device)
    assert hint in str(caught.value)


@pytest.mark.parametrize("path", [None, 5, b"tiny.onnx"])
def test_a_model_file_is_named_by_a_path(path: Any) -> None:
    with pytest.raises(UsageError, match=r"^A model file is named by its path, got "):
        Classifier(path)


@pytest.mark.parametrize(
    "images",
    [
        PIXELS,
        PIXELS[..., 0],
        PIXELS[None].astype(np.float32),
        PIXELS[None, ..., :2],
        np.zeros(100, np.uint8),
        np.zeros((1, 1, 2, 2, 3), np.uint8),
        Image.fromarray(PIXELS),
        io.BytesIO(b"x"),
        bytearray(b"x"),
        memoryview(b"x"),
        b"x",
        "a.jpg",
        Path("a.jpg"),
        {"a": PIXELS},
        None,
        5,
    ],
    ids=lambda images: type(images).__name__,
)
def test_one_picture_where_many_are_wanted(model: Classifier, images: Any) -> None:
    with pytest.raises(UsageError, match="take a list of pictures; give one picture to predict") as caught:
        model.predict_many(images)
    assert "\n" not in str(caught.value)


def test_an_array_of_several_pictures(model: Classifier) -> None:
    batch = np.stack([PIXELS, 255 - PIXELS, PIXELS // 2])
    assert model.predict_many(batch) == model.predict_many(list(batch))
    assert len(model.predict_many(batch[:0])) == 0


def test_an_array_of_paths(model: Classifier, tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    paths = np.array([str(tmp_path / "a.png")] * 2)
    assert [result.source for result in model.predict_many(paths)] == list(paths)


def test_one_classifier_for_eight_threads(model: Classifier) -> None:
    pictures = [np.full((SIZE, SIZE, 3), level, np.uint8) for level in range(0, 240, 10)]
    expected = [model.predict(picture).probabilities for picture in pictures]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(model.predict, pictures * 8))
    assert [result.probabilities for result in found] == expected * 8
