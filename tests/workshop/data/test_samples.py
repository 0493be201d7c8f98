"""Reading a clinic's own table with its schema, and PAD-UFES-20 where it is there."""

import logging
import shutil
from collections import Counter
from pathlib import Path

import pytest
from clinic import HEADER, ROWS, SCHEMA, write_clinic

from dermedge.data.samples import Sample, read_samples
from dermedge.data.schema_file import load_schema
from dermedge.data.splits import Split, check_leaks, make_split
from dermedge_runtime.errors import InputRejected


def read(folder: Path, **options) -> list[Sample]:
    return read_samples(folder, load_schema(str(folder / "clinic.toml")), **options)


def rejection(folder: Path, **options) -> str:
    with pytest.raises(InputRejected) as caught:
        read(folder, **options)
    assert caught.value.exit_code == 3
    return str(caught.value)


def test_rows_are_read_as_the_schema_says(tmp_path):
    write_clinic(tmp_path)
    samples = read(tmp_path)
    assert [(s.lesion_id, s.label) for s in samples] == [("A / 1", 0), ("A / 1", 0), ("B / 1", 1), ("B / 2", 2)]
    assert [s.path.relative_to(tmp_path / "photos").as_posix() for s in samples] == [
        "2023/p1.jpg", "2024/p1.jpg", "2024/p2.jpg", "p3.jpg",
    ]  # fmt: skip
    assert [dict(s.clinical) for s in samples] == [
        {"age": 30.0, "site": "head", "itch": "true", "confirmed": "false"},
        {"age": 31.0, "site": "trunk", "itch": "false", "confirmed": "false"},
        {"site": "limb", "confirmed": "true"},
        {"age": 70.5, "itch": "true", "confirmed": "true"},
    ]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("nevus", "wart", "unknown diagnosis 'wart'; known are benign, malignant, other"),
        ("Kopf", "tail", "site 'tail' is not in the vocabulary: head, trunk, limb."),
        ("Kopf", "trunc", "Did you mean 'trunk'?"),
        ("Kopf", "Bein", "Leave it out if it is unknown. Or make it a synonym, in the schema."),
        ("yes", "ja", "itch 'ja' is not in the vocabulary: false, true."),
        (";30;", ";130;", "age must be a number from 0 to 110 years, got 130"),
        ("A;1;2023", "A;;2023", "Photo or Ward or Patient is empty."),
        ("nevus;", "nevus;;", "the row has not as many columns as the header."),
    ],
)
def test_a_bad_cell_is_named_with_its_line(tmp_path, old, new, says):
    write_clinic(tmp_path, (ROWS[1], ROWS[0].replace(old, new, 1)))
    message = rejection(tmp_path)
    assert message.startswith("cases.csv, line 3: ") and says in message


def test_a_missing_column_is_named_and_the_columns_there_are(tmp_path):
    write_clinic(tmp_path, header=HEADER.replace("Finding", "Diagnosis"))
    message = rejection(tmp_path)
    assert "lacks the columns Finding. The columns there are: Ward, Patient, Photo, Diagnosis, Age (years)" in message


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    write_clinic(tmp_path, header=HEADER.replace("Remark", "itch"))
    assert "has two columns called itch" in rejection(tmp_path)


def test_without_the_table_the_message_names_it_and_the_option(tmp_path):
    write_clinic(tmp_path)
    (tmp_path / "cases.csv").unlink()
    message = rejection(tmp_path)
    assert "holds no cases.csv" in message and "--schema" in message and "Example clinic 2024" in message


def test_two_pictures_of_one_name_are_never_chosen_between(tmp_path):
    write_clinic(tmp_path, (ROWS[3], *ROWS[:3]))
    (tmp_path / "photos" / "more").mkdir()
    shutil.copy(tmp_path / "photos" / "2024" / "p2.jpg", tmp_path / "photos" / "more" / "p3.jpg")
    message = rejection(tmp_path)
    assert message.startswith("cases.csv, line 2: several pictures are called 'p3.jpg'")
    assert "photos/more/p3.jpg" in message and "skip_folders" in message
    copies = SCHEMA.replace("[classes]", "[images]\nfirst_copy = true\n[classes]")
    (tmp_path / "clinic.toml").write_text(copies, encoding="utf-8")
    assert rejection(tmp_path) == message, "different pictures are no copies, whatever the schema says"


def test_of_byte_identical_copies_the_first_is_taken(tmp_path):
    write_clinic(tmp_path, (ROWS[3], *ROWS[:3]))
    (tmp_path / "photos" / "more").mkdir()
    shutil.copy(tmp_path / "photos" / "p3.jpg", tmp_path / "photos" / "more" / "p3.jpg")
    assert read(tmp_path)[0].path == tmp_path / "photos" / "p3.jpg"


def test_a_picture_with_the_very_ending_of_the_table_comes_first(tmp_path):
    write_clinic(tmp_path)
    shutil.copy(tmp_path / "photos" / "p3.jpg", tmp_path / "photos" / "p3.png")
    assert read(tmp_path)[3].path.name == "p3.jpg"


def test_folders_that_the_schema_skips_hold_no_pictures(tmp_path):
    write_clinic(tmp_path, schema=SCHEMA.replace("[classes]", '[images]\nskip_folders = ["MASK"]\n[classes]'))
    shutil.copytree(tmp_path / "photos", tmp_path / "photos" / "old masks")
    assert len(read(tmp_path)) == 4


def test_missing_images_are_an_error_unless_they_are_allowed_and_counted(tmp_path, caplog):
    write_clinic(tmp_path)
    (tmp_path / "photos" / "p3.jpg").unlink()
    message = rejection(tmp_path)
    assert f"1 of the 4 images named in cases.csv is not below {tmp_path}: p3.jpg." in message
    assert "--allow-missing-images" in message
    caplog.set_level(logging.INFO, "dermedge")
    assert len(read(tmp_path, allow_missing_images=True)) == 3
    (line,) = caplog.messages
    assert line.startswith("1 of the 4 images") and "left out" in line


def test_without_a_single_image_nothing_is_allowed(tmp_path):
    write_clinic(tmp_path)
    shutil.rmtree(tmp_path / "photos")
    message = rejection(tmp_path, allow_missing_images=True)
    assert "4 of the 4 images" in message and "--allow-missing-images" not in message


def several_diagnoses() -> list[Sample]:
    """30 patients with findings of class 0; 6 of them have another of class 1, the rarer."""
    both = [Sample(f"{n}-{label}", f"P{n}", Path("x"), label, {}) for n in range(30) for label in (0, 1)]
    return [sample for sample in both if sample.label == 0 or int(sample.lesion_id[1:]) < 6]


def test_a_patient_with_several_diagnoses_stays_on_one_side_and_counts_for_the_rarest(tmp_path):
    write_clinic(tmp_path)
    samples = several_diagnoses()
    split = make_split(samples, "grouped", 0, load_schema(str(tmp_path / "clinic.toml")))
    assert check_leaks(split) == 0
    rare = Counter(part for image, _, part in split.rows if image.endswith("-1"))
    assert rare == {"train": 4, "validation": 1, "test": 1}
    assert split.to_csv().startswith("image_id,patient_id,split\n")
    split.save(tmp_path / "split.csv")
    assert Split.load(tmp_path / "split.csv", "grouped") == split


def test_messages_about_a_split_name_the_group(tmp_path):
    write_clinic(tmp_path)
    schema = load_schema(str(tmp_path / "clinic.toml"))
    with pytest.raises(InputRejected, match=r"at least 3 patients.*too few: malignant \(2\)"):
        make_split(
            [s for s in several_diagnoses() if s.label == 0 or s.lesion_id in ("P0", "P1")], "grouped", 0, schema
        )
    rows = (("a", "P1", "train"), ("b", "P1", "test"))
    with pytest.raises(
        InputRejected,
        match=r"a patient that is also in training, or are a copy of .*, first b\. Train a new run split by patient",
    ):
        check_leaks(Split("grouped", rows, "patient"))


def test_the_real_pad_ufes_20_is_read_and_split_by_patient(pad_ufes_20, caplog):
    schema = load_schema("pad_ufes_20")
    caplog.set_level(logging.INFO, "dermedge")
    samples = read_samples(pad_ufes_20, schema, allow_missing_images=True)
    pictures = {path.stem for path in (pad_ufes_20 / "images").iterdir()}
    assert {Path(sample.image_id).stem for sample in samples} == pictures
    assert f"{2298 - len(samples)} of the 2298 images" in caplog.messages[0]
    assert {schema.classes[sample.label] for sample in samples} == set(schema.classes)
    assert {name for sample in samples for name in sample.clinical} == set(schema.clinical("paper").names)
    assert all(sample.image_id.startswith(f"{sample.lesion_id}_") for sample in samples)
    split = make_split(samples, "grouped", 0, schema)
    assert check_leaks(split) == 0
    for part in ("train", "validation", "test"):
        assert {sample.label for sample in split.select(samples, part)} == set(range(len(schema.classes)))
