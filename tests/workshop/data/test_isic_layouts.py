"""The published layouts of the ISIC challenges and its archive, a few rows of each; and what may be wrong with them."""

import logging
from pathlib import Path

import pytest

from dermedge.config import TrainConfig
from dermedge.data.samples import Sample, read_samples
from dermedge.data.schema_file import load_schema
from dermedge.data.splits import Split
from dermedge.training.train import check_ready
from dermedge_runtime.errors import InputRejected, UsageError

GROUND_TRUTH = "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC\nI1,0.0,1.0,0.0,0.0,0.0,0.0,0.0\nI2,1.0,0.0,0.0,0.0,0.0,0.0,0.0\n"
GROUPINGS = "image,lesion_id,diagnosis_confirm_type\nI2,HAM_1,histopathology\nI1,HAM_1,single image expert consensus\n"
METADATA = (
    "image,age_approx,anatom_site_general,lesion_id,sex\n"
    "I1,55,anterior torso,,female\nI2,,head/neck,BCN_1,\nI3,85,,BCN_1,male\nI4,300,palms/soles,MSK_9,male\n"
)
TRUTH = (
    "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK\n"
    "I4,0,0,0,0,0,0,0,0,1\nI3,0,0,0,0,0,0,0,1,0\nI2,1,0,0,0,0,0,0,0,0\nI1,0,0,0,1,0,0,0,0,0\n"
)
ARCHIVE = (
    "isic_id,age_approx,anatom_site_general,diagnosis_1,diagnosis_2,diagnosis_3,lesion_id,patient_id,sex\n"
    "I1,85+,oral/genital,Malignant,Malignant melanocytic proliferations (Melanoma),Melanoma Invasive,IL_1,IP_1,male\n"
    "I2,40,,Benign,Benign soft tissue proliferations - Vascular,,IL_1,,female\n"
    "I3,,,Benign,Benign melanocytic proliferations,Nevus,IL_2,,\n"
    "I4,,,Benign,Benign melanocytic proliferations,Nevus,,,\n"
    "I5,20,,Benign,Benign soft tissue proliferations - Fibro-histiocytic,Scar,,,\n"
    "I6,20,,,,,,,\n"
)


def read(folder: Path, schema: str, **tables: str) -> list[Sample]:
    """Write tables, by their names without the ending, and six empty pictures; read them."""
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    for number in range(1, 7):
        (folder / "Input").mkdir(exist_ok=True)
        (folder / "Input" / f"I{number}.jpg").touch()
    return read_samples(folder, load_schema(schema))


def rejection(folder: Path, schema: str, **tables: str) -> str:
    with pytest.raises(InputRejected) as caught:
        read(folder, schema, **tables)
    return str(caught.value)


def told(samples: list[Sample], schema: str) -> list[tuple[str, str, str]]:
    return [(s.image_id, s.lesion_id, load_schema(schema).classes[s.label]) for s in samples]


def test_isic_2018s_test_pictures_have_their_diagnosis_and_nothing_else(tmp_path, caplog):
    caplog.set_level(logging.INFO, "dermedge")
    samples = read(tmp_path, "isic_2018", ISIC2018_Task3_Test_GroundTruth=GROUND_TRUTH)
    assert told(samples, "isic_2018") == [("I1", "I1", "nv"), ("I2", "I2", "mel")]
    assert [dict(sample.clinical) for sample in samples] == [{}, {}]
    said = "2 of the 2 rows of ISIC2018_Task3_Test_GroundTruth.csv name no lesion: image stands in for it"
    assert said in caplog.messages
    assert load_schema("isic_2018").class_names == load_schema("ham10000").class_names


def test_isic_2018s_training_pictures_are_never_without_their_lesions(tmp_path):
    tables = {"ISIC2018_Task3_Training_GroundTruth": GROUND_TRUTH}
    assert "holds no ISIC2018_Task3_Training_LesionGroupings.csv or" in rejection(tmp_path, "isic_2018", **tables)
    samples = read(tmp_path, "isic_2018", ISIC2018_Task3_Training_LesionGroupings=GROUPINGS, **tables)
    assert told(samples, "isic_2018") == [("I2", "HAM_1", "mel"), ("I1", "HAM_1", "nv")]


def test_isic_2019_leaves_unk_out_and_takes_the_picture_for_an_empty_lesion(tmp_path, caplog):
    caplog.set_level(logging.INFO, "dermedge")
    tables = {"ISIC_2019_Training_Metadata": METADATA, "ISIC_2019_Training_GroundTruth": TRUTH}
    samples = read(tmp_path, "isic_2019", **tables)
    assert told(samples, "isic_2019") == [("I1", "I1", "ak"), ("I2", "BCN_1", "mel"), ("I3", "BCN_1", "scc")]
    assert [dict(sample.clinical) for sample in samples] == [
        {"age": 55.0, "sex": "female", "site": "anterior torso"}, {"site": "head/neck"}, {"age": 85.0, "sex": "male"},
    ]  # fmt: skip
    left_out, stands_in, unnamed = caplog.messages
    assert left_out == "1 of the 4 rows of ISIC_2019_Training_Metadata.csv are left out for their diagnosis: UNK 1"
    assert stands_in.startswith("1 of the 3 rows of ")
    assert unnamed.startswith("2 pictures below ") and "Input/I5.jpg, Input/I6.jpg" in unnamed
    (tmp_path / "Input" / "I4.jpg").unlink()
    assert read_samples(tmp_path, load_schema("isic_2019")) == samples, "no picture is needed of what is left out"


def test_isic_2019s_test_table_has_no_lesions_at_all(tmp_path):
    rows = [line.split(",") for line in METADATA.splitlines()]
    without = "\n".join(",".join((*cells[:3], cells[4])) for cells in rows)
    tables = {"ISIC_2019_Test_Metadata": without, "ISIC_2019_Test_GroundTruth": TRUTH}
    assert [s.lesion_id for s in read(tmp_path, "isic_2019", **tables)] == ["I1", "I2", "I3"]
    tables["ISIC_2019_Test_Metadata"] = METADATA.replace("lesion_id", "Lesion-ID")
    assert "lacks the columns lesion_id." in rejection(tmp_path, "isic_2019", **tables)
    assert "Its 'Lesion-ID' is not 'lesion_id': spell it so." in rejection(tmp_path, "isic_2019", **tables)


def test_the_archive_groups_by_patient_then_lesion_then_picture(tmp_path, caplog):
    caplog.set_level(logging.INFO, "dermedge")
    samples = read(tmp_path, "isic_archive", metadata=ARCHIVE)
    assert told(samples, "isic_archive") == [
        ("I1", "IP_1", "mel"), ("I2", "IP_1", "vasc"), ("I3", "IL_2", "nv"), ("I4", "I4", "nv"),
    ]  # fmt: skip
    assert samples[0].clinical == {"age": 85.0, "sex": "male", "site": "oral/genital"}
    assert caplog.messages[0].endswith("metadata.csv are left out for their diagnosis: Scar 1, empty 1")
    rows = [line.split(",") for line in ARCHIVE.splitlines()]
    bare = "\n".join(",".join((*cells[:7], cells[8])) for cells in rows)
    assert [s.lesion_id for s in read(tmp_path, "isic_archive", metadata=bare)] == ["IL_1", "IL_1", "IL_2", "I4"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("I3,0,0", "I9,0,0", "_Metadata.csv, line 4: ISIC_2019_Training_GroundTruth.csv has no row of its image."),
        ("I3,0,0", "I2,0,0", "ISIC_2019_Training_GroundTruth.csv, line 4: image is that of an earlier row."),
        ("I3,0,0", "I3,1,0", "line 3: just one of MEL, NV, BCC, AK, BKL, DF, VASC, SCC, UNK must hold 1, found that"),
        ("I3,0,0,0,0,0,0,0,1", "I3,0,0,0,0,0,0,0,0", "SCC, UNK must hold 1, found that none holds 1."),
        ("I3,0,0", "I3,0.5,0", "line 3: MEL must be 0 or 1, got '0.5'."),
        ("I3,0,0", "I3,,0", "line 3: MEL must be 0 or 1, got ''."),
        (",UNK", ",NONE", "GroundTruth.csv lacks the columns UNK."),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_truth_is_told(tmp_path, old, new, says):
    assert old in TRUTH
    tables = {"ISIC_2019_Training_Metadata": METADATA, "ISIC_2019_Training_GroundTruth": TRUTH.replace(old, new)}
    assert says in rejection(tmp_path, "isic_2019", **tables)


def test_the_truth_must_be_there_and_rows_that_are_not_all_left_out(tmp_path):
    message = rejection(tmp_path, "isic_2019", ISIC_2019_Training_Metadata=METADATA)
    assert "holds no ISIC_2019_Training_GroundTruth.csv, which has the diagnoses of ISIC_2019_Training_M" in message
    unknown = TRUTH[: TRUTH.index("\n")] + "".join(f"\nI{n},0,0,0,0,0,0,0,0,1" for n in range(1, 5))
    message = rejection(tmp_path, "isic_2019", ISIC_2019_Training_GroundTruth=unknown)
    assert "has no rows that the schema does not leave out." in message


def test_a_row_that_nothing_names_is_told_with_its_line(tmp_path):
    message = rejection(tmp_path, "isic_archive", metadata=ARCHIVE.replace("I4,,", " ,,"))
    assert message == ("metadata.csv, line 5: isic_id is empty. None of patient_id, lesion_id, isic_id has an id.")


def test_a_training_that_would_read_clinical_values_where_there_are_none_is_refused():
    schema, none = load_schema("isic_2018"), Split("grouped", (), "lesion")
    with pytest.raises(UsageError, match=r"^ISIC 2018 task 3 has no clinical fields, .* with --fusion image_only\.$"):
        check_ready(TrainConfig(data="x", device="cpu", fusion="concat"), [], none, schema)
    with pytest.raises(InputRejected, match="nothing to learn"):
        check_ready(TrainConfig(data="x", device="cpu", fusion="image_only"), [], none, schema)
