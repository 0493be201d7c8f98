from collections import Counter

import numpy as np
import pytest
from PIL import Image

from dermedge.data.ham10000 import CLASSES, read_samples
from dermedge.data.splits import check_leaks, make_split
from dermedge.data.synthetic import write_dataset
from dermedge.data.synthetic_picture import HEIGHT, LOOKS, WIDTH, picture


def test_the_generated_data_is_read_as_ham10000_with_every_class_alike(samples):
    assert Counter(sample.label for sample in samples) == dict.fromkeys(range(len(CLASSES)), 6)
    lesions = Counter(sample.lesion_id for sample in samples)
    assert Counter(lesions.values()) == {2: 14, 1: 14}, "of 4 lesions the first and the fourth have two photographs"


def test_it_can_be_split_by_lesion(samples):
    assert check_leaks(make_split(samples, "grouped", 0)) == 0


def test_photographs_of_one_lesion_show_one_patient(samples):
    by_lesion: dict[str, list] = {}
    for sample in samples:
        by_lesion.setdefault(sample.lesion_id, []).append((sample.label, dict(sample.clinical)))
    assert len(by_lesion) == 28
    assert all(entry == own[0] for own in by_lesion.values() for entry in own)


def test_the_same_seed_writes_the_same_files_and_another_seed_others(tmp_path):
    contents = []
    for name, seed in (("one", 3), ("two", 3), ("three", 4)):
        assert write_dataset(tmp_path / name, lesions_per_class=1, seed=seed) == 14
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        contents.append({path.relative_to(tmp_path / name).as_posix(): path.read_bytes() for path in files})
    assert contents[0] == contents[1]
    assert contents[0].keys() == contents[2].keys()
    assert all(contents[0][name] != contents[2][name] for name in contents[0])


def test_some_values_are_unknown_and_ages_depend_on_the_class():
    from dermedge.data.synthetic import _patients

    rows = list(_patients(200, np.random.default_rng(0)))
    for column, unknown in (("age", ""), ("sex", "unknown"), ("localization", "unknown")):
        assert 0.01 < sum(row[column] == unknown for row in rows) / len(rows) < 0.06
    mean = {code: np.mean([float(r["age"]) for r in rows if r["dx"] == code and r["age"]]) for code in CLASSES}
    assert mean["akiec"] > mean["df"] + 10 > mean["nv"] + 15


@pytest.mark.parametrize("code", CLASSES)
def test_a_picture_shows_a_lesion_of_its_classs_colour_on_brighter_skin(code):
    image = picture(code, np.random.default_rng(1))
    assert (image.mode, image.size) == ("RGB", (WIDTH, HEIGHT))
    pixels = np.asarray(image).astype(float)
    skin = pixels[:15, :15].mean(axis=(0, 1))
    centre = pixels[HEIGHT // 2 - 15 : HEIGHT // 2 + 15, WIDTH // 2 - 15 : WIDTH // 2 + 15].reshape(-1, 3)
    nearest = min(np.abs(np.median(centre, axis=0) - np.array(c)).max() for c in _mixtures(code))
    assert nearest < 40
    assert np.abs(skin - (224, 178, 158)).max() < 45


def _mixtures(code: str) -> list[np.ndarray]:
    """Colours between a class's two (a patch is at most 80 % of the second)."""
    first, second = np.array(LOOKS[code].colour, float), np.array(LOOKS[code].second_colour, float)
    return [first * (1 - share) + second * share for share in np.linspace(0, 0.8, 9)]


def test_a_picture_can_be_drawn_in_another_size():
    assert picture("nv", np.random.default_rng(0), 600, 450).size == (600, 450)


def test_the_pictures_are_jpegs_in_the_two_published_folders(synthetic_data):
    for part in (1, 2):
        paths = list((synthetic_data / f"HAM10000_images_part_{part}").iterdir())
        assert len(paths) == 21
        with Image.open(paths[0]) as image:
            assert image.format == "JPEG"


def test_the_data_hold_what_the_reader_documents(synthetic_data):
    samples = read_samples(synthetic_data)
    assert len(samples) == 42
    assert all(sample.path.parent.parent == synthetic_data for sample in samples)
