"""A sample is its picture and its lesion: masks, thumbnails, copies, two names of one file, ids that name nothing."""

import logging
import os
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dermedge.data.files.mask_check import is_mask
from dermedge.data.files.same_content import same_content
from dermedge.data.groups import group_key, groups_of
from dermedge.data.samples import Sample, read_samples
from dermedge.data.schema_file import load_schema
from dermedge.data.spelling import names_nothing
from dermedge.data.splits import Split, check_leaks, count_leaks, make_split
from dermedge_runtime.errors import InputRejected

HEADER = "lesion_id,image_id,dx,dx_type,age,sex,localization\n"
ROW = "L1,I1,nv,histo,55,male,back\n"
HAM10000 = load_schema("ham10000")


def photograph(path: Path, seed: int = 0, size: int = 40, mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(path)
    return path


def mask(path: Path, mode: str = "1", size: int = 40) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = np.zeros((size, size), dtype=np.uint8)
    drawn[size // 4 : size // 2, size // 4 : size // 2] = 255
    Image.fromarray(drawn).convert(mode).save(path)
    return path


def table(folder: Path, rows: str = ROW) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "HAM10000_metadata.csv").write_text(HEADER + rows, encoding="utf-8")
    return folder


def taken(folder: Path, **options) -> list[str]:
    return [sample.path.relative_to(folder).as_posix() for sample in read_samples(folder, HAM10000, **options)]


def rejection(folder: Path, **options) -> str:
    with pytest.raises(InputRejected) as caught:
        read_samples(folder, HAM10000, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    "other",
    [
        "Masks/I1.png", "thumbs/I1.jpg", "images/Thumbnails/I1.jpg", "preview/I1.jpg", "overlays/I1.png",
        "heatmaps/I1.png", "labels/I1.png", "GroundTruth/I1.png", "images/I1_segmentation.png", "images/I1_mask.jpg",
        "@eaDir/I1.jpg", ".thumbnails/I1.jpg", "__MACOSX/images/._I1.jpg", "images/._I1.jpg", "images/I1.heatmap.png",
    ],
)  # fmt: skip
def test_the_photograph_is_taken_and_not_what_lies_beside_it(tmp_path, other):
    photograph(table(tmp_path) / "images" / "I1.jpg")
    photograph(tmp_path / other, seed=1)
    assert taken(tmp_path) == ["images/I1.jpg"]


@pytest.mark.parametrize("other", ["images/I1.png", "Umrisse/I1.png", "маски/I1.png", "掩码/I1.bmp", "a/I1.tif"])
@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P"])
@pytest.mark.parametrize("name", ["I1", "I1.png"])
def test_a_mask_gives_way_to_the_photograph_of_its_name_in_any_language(tmp_path, other, mode, name):
    photograph(table(tmp_path, ROW.replace("I1", name)) / "images" / "I1.jpg")
    mask(tmp_path / other, mode)
    if (name, other) == ("I1.png", "images/I1.png"):
        assert "no photograph but a mask" in rejection(tmp_path)  # the very file that the table names
    else:
        assert taken(tmp_path) == ["images/I1.jpg"]


@pytest.mark.parametrize("other", ["images/small/I1.jpg", "Vorschau/I1.jpg", "images/I1.png", "miniaturas/I1.webp"])
def test_two_photographs_of_one_name_are_refused_and_both_are_named(tmp_path, other):
    photograph(table(tmp_path) / "images" / "I1.jpg")
    photograph(tmp_path / other, seed=1, size=20)
    message = rejection(tmp_path)
    assert message.startswith("HAM10000_metadata.csv, line 2: several pictures are called 'I1'")
    assert "images/I1.jpg" in message and other in message and "skip_folders" in message


@pytest.mark.parametrize("name", ["images/I1", "images/I1.jpg", "./images/I1.jpg", "images\\I1"])
def test_a_folder_in_the_table_says_which(tmp_path, name):
    table(tmp_path, ROW.replace("I1", name))
    for folder in ("images", "old/images", "images/small"):
        photograph(tmp_path / folder / "I1.jpg", seed=len(folder))
    assert taken(tmp_path) == ["images/I1.jpg"]


def test_a_folder_named_in_the_table_is_read_whatever_its_name(tmp_path):
    photograph(table(tmp_path, ROW.replace("I1", "thumbs/I1")) / "thumbs" / "I1.jpg")
    assert taken(tmp_path) == ["thumbs/I1.jpg"]


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "bmp"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_mask_alone_is_no_photograph(tmp_path, ending, mode):
    mask(table(tmp_path) / "Umrisse" / f"I1.{ending}", mode, size=64)
    rows = [ROW] + [ROW.replace("I1", f"P{n}") for n in range(3)]
    table(tmp_path, "".join(rows))
    for number in range(3):
        photograph(tmp_path / "images" / f"P{number}.jpg", seed=number, size=200)
    for allowed in (False, True):
        message = rejection(tmp_path, allow_missing_images=allowed)
        assert message.startswith("HAM10000_metadata.csv, line 2: the picture called 'I1', Umrisse/I1.")
        assert "no photograph but a mask" in message


def test_a_thumbnail_alone_is_no_photograph_and_the_message_says_where_it_lies(tmp_path):
    table(tmp_path, ROW + ROW.replace("I1", "I2"))
    photograph(tmp_path / "images" / "I2.jpg")
    photograph(tmp_path / "thumbs" / "I1.jpg", seed=1)
    message = rejection(tmp_path)
    assert "1 of the 2 images named in HAM10000_metadata.csv is not below" in message
    assert "thumbs/I1.jpg: write the folder before the name" in message
    assert taken(tmp_path, allow_missing_images=True) == ["images/I2.jpg"]


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_photographs_in_grey_or_with_a_palette_are_no_masks(tmp_path, mode, ending):
    if (mode, ending) != ("P", "jpg"):
        assert not is_mask(photograph(tmp_path / f"a.{ending}", mode=mode))


def test_deep_greys_are_judged_by_their_own_values(tmp_path):
    values = np.random.default_rng(0).integers(20_000, 60_000, (30, 30), dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    Image.fromarray((values > 40_000).astype(np.uint16) * 65_535).save(tmp_path / "mask.png")
    assert not is_mask(tmp_path / "deep.png") and is_mask(tmp_path / "mask.png")


def test_what_cannot_be_read_is_no_mask(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    (tmp_path / "empty.png").touch()
    assert not any(is_mask(tmp_path / name) for name in ("broken.png", "empty.png", "absent.png"))


@pytest.mark.parametrize(
    ("first", "second"), [("I1", "I1.jpg"), ("I1", "images/I1"), ("I1.jpg", "I1.png"), ("images/I1", "./images/I1.jpg")]
)
def test_two_rows_of_one_file_are_refused_with_both_lines(tmp_path, first, second):
    table(tmp_path, ROW.replace("I1", first) + ROW.replace("I1", second).replace("L1", "L2"))
    photograph(tmp_path / "images" / "I1.jpg")
    assert f"line 3: '{second}' is the picture of line 2, '{first}': images/I1.jpg." in rejection(tmp_path)


def twins(folder: Path, rows: str, link=shutil.copy) -> Path:
    table(folder, rows)
    link(photograph(folder / "images" / "I1.jpg"), folder / "images" / "I2.jpg")
    return folder


@pytest.mark.parametrize("link", [shutil.copy, os.link, os.symlink])
def test_one_content_of_two_lesions_stays_on_one_side_and_is_told(tmp_path, link, caplog):
    rows = "".join(f"L{n},I{n},{dx},histo,5,male,back\n" for n, dx in ((1, "nv"), (2, "nv")))
    caplog.set_level(logging.INFO, "dermedge")
    samples = read_samples(twins(tmp_path, rows, link), HAM10000)
    assert samples[0].content == samples[1].content != ""
    assert groups_of(samples) == ["L1", "L1"]
    assert caplog.messages == [
        "1 photographs are, byte for byte, one of another lesion, and stay on its side of a split: I1 = I2"
    ]


def test_one_content_with_two_diagnoses_is_refused_with_both_rows(tmp_path):
    message = rejection(twins(tmp_path, ROW + ROW.replace("I1", "I2").replace("nv", "mel")))
    assert message == (
        "HAM10000_metadata.csv, line 3: I2 is, byte for byte, I1, but its diagnosis is mel, and nv in line 2."
    )


def test_copies_across_lesions_never_lie_on_both_sides_of_a_split():
    samples = [Sample(f"I{n}", f"L{n}", Path(f"{n}.jpg"), n % 2, {}, f"c{n // 4}-{n % 2}") for n in range(80)]
    for seed in range(5):
        for protocol in ("grouped", "refit"):
            split = make_split(samples, protocol, seed)
            assert check_leaks(split, samples) == 0
            sides = {content: set() for content in (sample.content for sample in samples)}
            for sample, (_, _, part) in zip(samples, split.rows, strict=True):
                sides[sample.content].add(part)
            assert {len(parts) for parts in sides.values()} == {1}
    paper = make_split(samples, "paper", 0)
    assert count_leaks(paper) == 0 < count_leaks(paper, samples) == check_leaks(paper, samples)


def test_a_split_with_a_copy_on_both_sides_is_refused_by_name():
    samples = [Sample(name, f"L-{name}", Path(name), 0, {}, "c") for name in ("a", "b")]
    split = Split("grouped", (("a", "L-a", "train"), ("b", "L-b", "test")))
    with pytest.raises(InputRejected, match=r"1 of 1 test images show a lesion .* copy of a training image, first b"):
        check_leaks(split, samples)


@pytest.mark.parametrize(
    "word",
    ["NaN", "nan", "NA", "n/a", "N.A.", "#N/A", "<NA>", "none", "NULL", "-", "--", "—", "?", "???", "Unknown",
     "\uff2e\uff21", "\u00a0", "\u200b", "...", "-1", "HAM_nan", "missing", "NaT", "(none)"],
)  # fmt: skip
def test_a_lesion_id_that_names_nothing_is_refused_with_its_line(tmp_path, word):
    table(tmp_path, ROW.replace("L1", "L0").replace("I1", "I0") + ROW.replace("L1", word))
    for name in ("I0", "I1"):
        photograph(tmp_path / f"{name}.jpg", seed=int(name[1]))
    message = rejection(tmp_path)
    assert message.startswith("HAM10000_metadata.csv, line 3: ")
    assert "names no lesion" in message or "is empty" in message


@pytest.mark.parametrize("word", ["0", "NA12", "HAM_1", "nanette", "L-1", "none-such", "Ünal", "7"])
def test_ordinary_ids_are_ids(word):
    assert not names_nothing(word)


@pytest.mark.parametrize("other", ["ham_1", "HAM_1 ", "HAM 1", "\uff28AM_1", "HAM_\u200b1", "HAM_001", "ham\u00a0_1"])
def test_ids_that_differ_in_spelling_alone_are_one_group(other):
    assert group_key(other) == group_key("HAM_1")
    assert group_key("12.0") == group_key("12") and group_key("12.5") != group_key("12")
    assert group_key("HAM_1") != group_key("HAM_10") != group_key("HAM_11")


def test_one_lesion_in_two_spellings_stays_on_one_side():
    samples = [Sample(f"I{n}", f"HAM_{n // 2}" if n % 2 else f"ham_{n // 2} ", Path("x"), 0, {}) for n in range(60)]
    split = make_split(samples, "grouped", 0)
    assert check_leaks(split) == 0
    assert all(one[2] == two[2] for one, two in zip(split.rows[::2], split.rows[1::2], strict=True))
    moved = Split("grouped", (("a", "HAM_1", "train"), ("b", "ham_1 ", "test")))
    with pytest.raises(InputRejected, match="1 of 1 test images"):
        check_leaks(moved)


@pytest.mark.parametrize(("in_table", "on_disk"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_are_one_however_they_are_encoded(tmp_path, in_table, on_disk):
    name = "Mädchen/Müller.é.1"
    table(tmp_path, ROW.replace("I1", unicodedata.normalize(in_table, name)))
    photograph(tmp_path / unicodedata.normalize(on_disk, f"{name}.JPG"))
    assert len(taken(tmp_path)) == 1


def test_pictures_that_no_row_names_are_counted_and_named(tmp_path, caplog):
    photograph(table(tmp_path) / "images" / "I1.jpg")
    for number in range(7):
        photograph(tmp_path / "images" / f"X{number}.jpg", seed=number)
    mask(tmp_path / "HAM10000_segmentations" / "I1.png")
    caplog.set_level(logging.INFO, "dermedge")
    assert taken(tmp_path) == ["images/I1.jpg"]
    (line,) = caplog.messages
    assert line.startswith("7 pictures below") and "are in no row of HAM10000_metadata.csv and left out" in line
    assert line.endswith(": images/X0.jpg, images/X1.jpg, images/X2.jpg, images/X3.jpg, images/X4.jpg and others")


def test_a_picture_in_a_format_that_is_not_read_is_told(tmp_path):
    table(tmp_path, ROW + ROW.replace("I1", "I2") + ROW.replace("I1", "i3"))
    photograph(tmp_path / "I1.jpg")
    photograph(tmp_path / "I3.jpg", seed=3)
    (tmp_path / "I2.heic").write_bytes(b"x")
    message = rejection(tmp_path)
    assert "2 of the 3 images" in message and "I2.heic: convert" in message and "I3.jpg: write the name as" in message


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    photograph(table(tmp_path) / "images" / "I1.jpg")
    (tmp_path / "more").mkdir()
    scandir = os.scandir

    def denied(path):
        if Path(path).name == "more":
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    assert "more cannot be read: Permission denied." in rejection(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with a name are POSIX")
def test_a_pipe_of_a_pictures_name_does_not_hang(tmp_path):
    os.mkfifo(table(tmp_path) / "I1.jpg")
    assert "I1.jpg is no regular file." in rejection(tmp_path)


def test_equal_ends_are_no_equal_files_and_hashes_are_remembered(tmp_path, monkeypatch):
    monkeypatch.setenv("DERMEDGE_CACHE", os.fspath(tmp_path / "cache"))
    large = bytes(range(256)) * 1024
    files = {"a": large, "b": large, "c": b"x" + large[1:], "d": b"small", "e": b"small", "f": b"", "g": b""}
    paths = [tmp_path / name for name in files]
    for path in paths:
        path.write_bytes(files[path.name])
    for _ in range(2):
        found = same_content([*paths, tmp_path / "absent"])
        assert {path.name for path in found} == {"a", "b", "d", "e"}
        assert found[paths[0]] == found[paths[1]] != found[paths[3]] == found[paths[4]]
    (tmp_path / "cache" / "pixels" / "content-hashes.json").write_text("[]", encoding="utf-8")
    assert same_content(paths) == found
    paths[1].write_bytes(b"y" + large[1:])
    os.utime(paths[1], ns=(1, 1))
    assert {path.name for path in same_content(paths)} == {"d", "e"}


def test_without_a_cache_folder_nothing_is_lost(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DERMEDGE_CACHE", os.fspath(tmp_path / "file" / "below"))
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(bytes(100_000))
    assert len(same_content([tmp_path / "a", tmp_path / "b"])) == 2
