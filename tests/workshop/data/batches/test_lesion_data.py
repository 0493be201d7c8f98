import math
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from dermedge.config import TrainConfig
from dermedge.data.batches.lesion_data import LesionData, balanced_epoch
from dermedge.data.ham10000 import CLASSES, HAM10000, SITES
from dermedge.data.samples import Sample
from dermedge_runtime.inputs.image import load_image

LABELS = np.repeat(np.array([0, 1, 3]), (3, 20, 6))
SETTINGS = TrainConfig(data="", image_size=32)
CPU = torch.device("cpu")


def drawn(per_class: int, balance: float = 1.0, seed: int = 0, labels=LABELS) -> np.ndarray:
    return balanced_epoch(labels, per_class, np.random.default_rng(seed), balance)


@pytest.mark.parametrize("per_class", [1, 2, 6, 7, 20, 50])
def test_every_class_present_is_drawn_exactly_as_often(per_class):
    assert Counter(LABELS[drawn(per_class)].tolist()) == dict.fromkeys((0, 1, 3), per_class)


def test_a_large_class_is_undersampled_without_repetition():
    order = drawn(15)
    large = order[LABELS[order] == 1]
    assert len(set(large.tolist())) == 15


@pytest.mark.parametrize("per_class", [6, 7, 8, 31])
def test_a_small_class_is_repeated_evenly(per_class):
    order = drawn(per_class)
    times = Counter(order[LABELS[order] == 0].tolist())
    assert set(times) == {0, 1, 2}
    assert max(times.values()) - min(times.values()) <= 1


def test_an_epoch_is_shuffled_and_decided_by_its_generator():
    order = drawn(20)
    assert order.dtype == np.int64
    np.testing.assert_array_equal(order, drawn(20))
    assert (order != drawn(20, seed=1)).any()
    assert (np.diff(LABELS[order]) != 0).sum() > 20, "the classes come in blocks"


@pytest.mark.parametrize(("balance", "expected"), [(0.0, (3, 21, 6)), (0.5, (6, 16, 8)), (1.0, (10, 10, 10))])
def test_balance_leads_from_the_datas_frequencies_to_equal_ones(balance, expected):
    # By hand: 30 draws in the ratio of 3, 20, 6 or of their square roots 1.73, 4.47, 2.45, rounded.
    order = drawn(10, balance)
    counts = Counter(LABELS[order].tolist())
    assert tuple(counts[label] for label in (0, 1, 3)) == expected


def test_even_the_rarest_class_is_drawn_once():
    labels = np.repeat(np.array([0, 1]), (1, 1000))
    assert Counter(labels[drawn(5, balance=0.0, labels=labels)].tolist())[0] == 1


def made(count: int = 7) -> LesionData:
    rng = np.random.default_rng(0)
    return LesionData(
        rng.integers(0, 256, (count, 5, 4, 3), dtype=np.uint8),
        rng.random((count, 1), dtype=np.float32),
        rng.integers(-1, 3, (count, 2), dtype=np.int32),
        rng.integers(0, 7, count, dtype=np.int64),
    )


def test_batches_hold_the_photographs_asked_for_and_the_last_is_smaller():
    data, order = made(), np.array([6, 0, 0, 3, 5])
    batches = list(data.batches(order, 2, CPU))
    assert [len(batch.label) for batch in batches] == [2, 2, 1]
    image = torch.cat([batch.image for batch in batches])
    assert image.dtype == torch.float32
    expected = data.pixels[order].transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(image.numpy(), expected)
    np.testing.assert_array_equal(torch.cat([batch.numeric for batch in batches]).numpy(), data.numeric[order])
    np.testing.assert_array_equal(torch.cat([b.categorical for b in batches]).numpy(), data.categorical[order])
    np.testing.assert_array_equal(torch.cat([batch.label for batch in batches]).numpy(), data.labels[order])
    assert batches[0].image.is_contiguous(memory_format=torch.channels_last)
    assert (batches[0].categorical.dtype, batches[0].label.dtype) == (torch.int32, torch.int64)


def test_drawing_never_changes_the_data():
    data, before = made(), made().pixels
    for batch in data.batches(np.arange(7), 3, CPU):
        batch.image.zero_()
    np.testing.assert_array_equal(data.pixels, before)


@pytest.fixture
def three(tmp_path) -> list[Sample]:
    """A JPEG on its side (EXIF), a greyscale one, and an ordinary one of another size."""
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)).save(tmp_path / "side.jpg", exif=exif)
    Image.fromarray(rng.integers(0, 256, (50, 40), dtype=np.uint8)).save(tmp_path / "grey.jpg")
    Image.fromarray(rng.integers(0, 256, (70, 33, 3), dtype=np.uint8)).save(tmp_path / "plain.jpg")
    known = {"age": 40.0, "sex": "male", "site": "back", "dx_type": "histo"}
    return [
        Sample("side", "L1", tmp_path / "side.jpg", CLASSES.index("mel"), known),
        Sample("grey", "L2", tmp_path / "grey.jpg", CLASSES.index("nv"), {"age": 0.0}),
        Sample("plain", "L3", tmp_path / "plain.jpg", CLASSES.index("df"), {"sex": "female"}),
    ]


def test_clinical_values_and_labels_are_encoded_with_unknown_kept_unknown(three):
    data = LesionData.load(three, HAM10000.clinical("grouped"), SETTINGS)
    assert len(data) == 3
    np.testing.assert_array_equal(data.labels, [CLASSES.index(code) for code in ("mel", "nv", "df")])
    np.testing.assert_array_equal(data.numeric, np.array([[40], [0], [math.nan]], dtype=np.float32))
    np.testing.assert_array_equal(data.categorical, [[1, SITES.index("back")], [-1, -1], [0, -1]])


def test_dx_type_is_read_under_the_papers_protocol_alone(three):
    assert LesionData.load(three, HAM10000.clinical("grouped"), SETTINGS).categorical.shape == (3, 2)
    np.testing.assert_array_equal(
        LesionData.load(three, HAM10000.clinical("paper"), SETTINGS).categorical[:, 2], [3, -1, -1]
    )


def test_pictures_are_not_even_opened_for_a_fusion_that_reads_none(three):
    three[0].path.unlink()
    data = LesionData.load(three, HAM10000.clinical("grouped"), TrainConfig(data="", fusion="clinical_only"))
    (batch,) = data.batches(np.arange(3), 3, CPU)
    assert data.pixels is None and batch.image is None
    assert batch.label.tolist() == data.labels.tolist()


@pytest.mark.parametrize("resample", ["bilinear", "lanczos"])
def test_training_sees_the_very_pixels_that_the_runtime_serves(three, resample):
    data = LesionData.load(three, HAM10000.clinical("grouped"), TrainConfig(data="", image_size=40, resample=resample))
    (batch,) = data.batches(np.arange(3), 3, CPU)
    for sample, image in zip(three, batch.image, strict=True):
        served = load_image(sample.path.read_bytes(), 40, resample)  # as bytes: the way of an upload
        np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), served.astype(np.float32) / np.float32(255))
