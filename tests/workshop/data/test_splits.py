import csv
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from dermedge.data.ham10000 import CLASSES, HAM10000, read_samples
from dermedge.data.samples import Sample
from dermedge.data.splits import SPLITS, Split, check_leaks, count_leaks, make_split
from dermedge_runtime.errors import InputRejected

LESIONS = {"akiec": 20, "bcc": 41, "bkl": 60, "df": 7, "mel": 63, "nv": 400, "vasc": 3}


def made(lesions: dict[str, int]) -> list[Sample]:
    """Samples of so many lesions per class, on 1, 2, 3, 1, 2, 3 ... photographs, in a shuffled order."""
    samples = [
        Sample(f"{code}-{lesion}-{photo}", f"{code}-{lesion}", Path("p.jpg"), CLASSES.index(code), {})
        for code, number in lesions.items()
        for lesion in range(number)
        for photo in range(1 + lesion % 3)
    ]
    return [samples[i] for i in np.random.default_rng(5).permutation(len(samples))]


def parts_of_lesions(split: Split) -> dict[str, set[str]]:
    return {name: {lesion for _, lesion, part in split.rows if part == name} for name in SPLITS}


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_grouped_puts_every_lesion_on_one_side(seed):
    samples = made(LESIONS)
    split = make_split(samples, "grouped", seed)
    parts = parts_of_lesions(split)
    assert not parts["train"] & parts["validation"]
    assert not parts["train"] & parts["test"]
    assert not parts["validation"] & parts["test"]
    assert count_leaks(split) == check_leaks(split) == 0
    assert [row[:2] for row in split.rows] == [(s.image_id, s.lesion_id) for s in samples]


def test_grouped_is_stratified_70_15_15():
    split = make_split(made(LESIONS), "grouped", 0)
    counts = Counter((lesion.split("-")[0], part) for part, own in parts_of_lesions(split).items() for lesion in own)
    for code, number in LESIONS.items():
        for part, share in zip(SPLITS, (0.7, 0.15, 0.15), strict=True):
            assert counts[code, part] == pytest.approx(share * number, abs=1.2), (code, part)
    images = Counter(part for _, _, part in split.rows)
    assert images["train"] / len(split.rows) == pytest.approx(0.7, abs=0.03)
    assert images["test"] / len(split.rows) == pytest.approx(0.15, abs=0.03)


@pytest.mark.parametrize("protocol", ["grouped", "refit", "paper"])
def test_a_split_is_decided_by_its_seed(protocol):
    samples = made(LESIONS)
    first, again, other = (make_split(samples, protocol, seed) for seed in (3, 3, 4))
    assert first == again
    assert first.sha256 != other.sha256
    assert set(first.ids("test")) != set(other.ids("test"))


def test_grouped_does_not_depend_on_the_order_of_the_table():
    samples = made(LESIONS)
    split, turned = make_split(samples, "grouped", 0), make_split(samples[::-1], "grouped", 0)
    assert sorted(split.rows) == sorted(turned.rows)


def test_three_lesions_of_a_class_reach_all_three_parts():
    parts = parts_of_lesions(make_split(made({"nv": 30, "vasc": 3, "df": 4}), "grouped", 0))
    for code in ("vasc", "df"):
        assert all(any(lesion.startswith(code) for lesion in parts[name]) for name in SPLITS)


def test_classes_with_two_lesions_are_refused_by_name():
    with pytest.raises(InputRejected, match=r"at least 3 lesions.*too few: df \(2\), vasc \(1\)\.") as caught:
        make_split(made({"nv": 30, "df": 2, "vasc": 1}), "grouped", 0)
    assert caught.value.exit_code == 3


def test_paper_is_70_30_of_the_images_without_validation():
    samples = made(LESIONS)
    split = make_split(samples, "paper", 0)
    assert split.ids("validation") == []
    assert len(split.ids("test")) == pytest.approx(0.3 * len(samples), abs=1)
    assert len(split.ids("train")) + len(split.ids("test")) == len(samples)


def test_refit_tests_on_the_lesions_of_grouped_and_trains_on_all_others():
    samples = made(LESIONS)
    grouped, refit = make_split(samples, "grouped", 3), make_split(samples, "refit", 3)
    assert refit.ids("test") == grouped.ids("test")
    assert refit.ids("validation") == []
    assert set(refit.ids("train")) == {*grouped.ids("train"), *grouped.ids("validation")}
    assert check_leaks(refit) == 0


@pytest.mark.parametrize("protocol", ["grouped", "refit"])
def test_a_split_by_lesion_that_leaks_is_refused_whatever_its_name(protocol):
    with pytest.raises(InputRejected, match="1 of 1 test images"):
        check_leaks(Split(protocol, (("a", "L1", "test"), ("b", "L1", "train"))))


def test_paper_refuses_three_images():
    with pytest.raises(InputRejected, match="3 images are too few to split 70/30"):
        make_split(made({"nv": 2}), "paper", 0)


def test_leaks_equal_a_brute_force_count_and_paper_may_have_them():
    split = make_split(made(LESIONS), "paper", 0)
    brute = 0
    for _, lesion, part in split.rows:
        brute += part == "test" and any(other == lesion and side == "train" for _, other, side in split.rows)
    assert brute > 50
    assert count_leaks(split) == check_leaks(split) == brute


@pytest.mark.parametrize("seen", ["train", "validation"])
def test_a_grouped_split_that_leaks_is_refused(seen):
    rows = (("a", "L1", "test"), ("b", "L2", "test"), ("c", "L1", seen), ("d", "L3", "train"))
    assert count_leaks(Split("grouped", rows)) == 1
    with pytest.raises(InputRejected, match="1 of 2 test images show a lesion that is also in training") as caught:
        check_leaks(Split("grouped", rows))
    assert "--protocol grouped" in str(caught.value) and "--protocol paper" in str(caught.value)


def test_a_saved_split_is_read_back_and_its_hash_is_the_files(tmp_path):
    split = make_split(made(LESIONS), "grouped", 0)
    split.save(tmp_path / "split.csv")
    assert Split.load(tmp_path / "split.csv", "grouped") == split
    assert split.sha256 == hashlib.sha256((tmp_path / "split.csv").read_bytes()).hexdigest()


def test_ids_that_look_like_something_else_are_texts(tmp_path):
    ids = ("007", "1e5", "NA", "", " x ", "a,b", 'say "a"', "two\nlines", "12.0", "None", "ä")
    split = Split("grouped", tuple((name, f"L{name}", "train") for name in ids))
    split.save(tmp_path / "split.csv")
    assert Split.load(tmp_path / "split.csv", "grouped") == split


@pytest.mark.parametrize(
    "text",
    [
        "",
        "image_id,lesion_id\na,L1\n",
        "image_id,lesion,split\na,L1,train\n",
        "image_id,lesion_id,split\na,L1\n",
        "image_id,lesion_id,split\na,L1,train,more\n",
        "image_id,lesion_id,split\na,L1,train\nb,L2,test,more\n",
        "image_id,lesion_id,split\na,L1,train\n\nb,L2,test\n",
        'image_id,lesion_id,split\na,"L1,train\n',
    ],
)
def test_another_table_is_no_split(tmp_path, text):
    (tmp_path / "split.csv").write_text(text, encoding="utf-8")
    with pytest.raises((ValueError, csv.Error)):
        Split.load(tmp_path / "split.csv", "grouped")


def test_the_hash_changes_when_one_image_moves():
    rows = (("a", "L1", "train"), ("b", "L2", "test"))
    moved = (("a", "L1", "train"), ("b", "L2", "validation"))
    assert Split("grouped", rows).sha256 != Split("grouped", moved).sha256


def test_select_gives_each_part_in_the_order_of_the_table():
    samples = made(LESIONS)
    split = make_split(samples, "grouped", 0)
    chosen = {name: split.select(samples[::-1], name) for name in SPLITS}
    assert {name: [s.image_id for s in own] for name, own in chosen.items()} == {n: split.ids(n) for n in SPLITS}
    assert sum(map(len, chosen.values())) == len(samples)


def test_select_counts_absent_images_and_names_the_first_five():
    samples = made({"nv": 40})
    split = make_split(samples, "grouped", 0)
    gone = split.ids("train")[:7]
    with pytest.raises(InputRejected, match=r"^7 images of the run's train split") as caught:
        split.select([s for s in samples if s.image_id not in gone], "train")
    assert f"first {', '.join(gone[:5])}. Give the folder" in str(caught.value)
    assert len(split.select([s for s in samples if s.image_id not in gone], "test")) == len(split.ids("test"))


def test_only_the_paper_protocol_reads_dx_type():
    assert HAM10000.clinical("grouped").names == HAM10000.clinical("refit").names == ("age", "sex", "site")
    assert HAM10000.clinical("paper").names == ("age", "sex", "site", "dx_type")


def test_on_real_data_the_papers_split_leaks_a_third_and_ours_nothing(ham10000):
    samples = read_samples(ham10000)
    paper, grouped = make_split(samples, "paper", 0), make_split(samples, "grouped", 0)
    assert count_leaks(paper) / len(paper.ids("test")) == pytest.approx(0.345, abs=0.03)
    assert check_leaks(grouped) == 0
    assert len(grouped.ids("train")) / len(samples) == pytest.approx(0.7, abs=0.01)
    assert len(grouped.ids("test")) / len(samples) == pytest.approx(0.15, abs=0.01)
