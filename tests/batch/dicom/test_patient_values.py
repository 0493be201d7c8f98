"""Age, sex and site of a DICOM file in the model's words; and that nothing else of the patient comes out."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dicom_files import HAM10000, ISIC, PIXELS, SECRETS, dicom

from dermedge.batch.dicom import patient_values
from dermedge.batch.dicom.found import dicom_pictures
from dermedge_runtime.inputs.clinical import CategoricalField, ClinicalSchema, NumericField

pytest.importorskip("pydicom")
NOBODY = {"PatientBirthDate": None, "StudyDate": None}


def coded(code: str, scheme: str = "SCT", modifier: str = "") -> list[Any]:
    """Make a sequence of one region, with a side."""
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, scheme, "Secret meaning"
    if modifier:
        side = Dataset()
        side.CodeValue, side.CodingSchemeDesignator, side.CodeMeaning = modifier, "SCT", "Left"
        item.AnatomicRegionModifierSequence = Sequence([side])
    return Sequence([item])


def told(folder: Path, fields: ClinicalSchema = HAM10000, **tags: Any) -> dict[str, Any]:
    path = dicom(folder / "a.dcm", PIXELS.tobytes(), **tags)
    return dict(dicom_pictures(str(path), fields)[0].clinical)


@pytest.fixture(autouse=True)
def nothing_told_yet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(patient_values, "_told", set())
    yield


@pytest.mark.parametrize(
    ("age", "years"),
    [("055Y", 55), ("000Y", 0), ("018M", 1.5), ("006M", 0.5), ("026W", 0.5), ("010D", 0.03), ("55Y", 55), ("055y", 55)],
)
def test_age(age: str, years: float, tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", PIXELS.tobytes(), PatientAge="999Y", **NOBODY)
    path.write_bytes(path.read_bytes().replace(b"999Y", age.encode().ljust(4)))
    assert dict(dicom_pictures(str(path), HAM10000)[0].clinical) == {"age": years}


@pytest.mark.parametrize(
    ("tags", "years"),
    [
        ({}, 54),  # the day before a birthday on the 29th of February
        ({"StudyDate": "20230301"}, 55),
        ({"StudyDate": None, "ContentDate": "20240229"}, 56),
        ({"StudyDate": "20240229", "ContentDate": "20200101"}, 56),
        ({"PatientAge": "061Y"}, 61),
        ({"PatientAge": ""}, 54),
        ({"StudyDate": None}, None),
        ({"StudyDate": "19600101"}, None),
        ({"PatientBirthDate": "19681399"}, None),
        ({"PatientBirthDate": "1968"}, None),
        ({"PatientBirthDate": "18000101"}, None),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value")  # of pydicom, which writes the file
def test_age_from_dates(tags: dict[str, Any], years: float | None, tmp_path: Path) -> None:
    assert told(tmp_path, **tags) == ({} if years is None else {"age": years})


@pytest.mark.parametrize(("sex", "word"), [("M", "male"), ("F", "female"), ("O", None), ("", None), (None, None)])
def test_sex(sex: str | None, word: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert told(tmp_path, PatientSex=sex, **NOBODY) == ({} if word is None else {"sex": word})
    assert not caplog.records


@pytest.mark.parametrize(
    ("tags", "ham10000", "isic"),
    [
        ({"code": "14975008"}, "upper extremity", "upper extremity"),  # forearm
        ({"code": "70559009"}, "upper extremity", "upper extremity"),  # skin of the front of the forearm
        ({"code": "T-D8500", "scheme": "SRT"}, "upper extremity", "upper extremity"),  # forearm
        ({"code": "T-02102", "scheme": "SRT"}, "scalp", "head/neck"),
        ({"code": "T-02102", "scheme": "SNM3"}, "scalp", "head/neck"),
        ({"code": "T-02102", "scheme": "99SDM"}, "scalp", "head/neck"),
        ({"code": "43067004", "scheme": "SRT"}, None, None),
        ({"code": "75093004"}, "abdomen", "anterior torso"),
        ({"code": "818981001"}, "abdomen", "anterior torso"),
        ({"code": "113345001"}, "abdomen", "anterior torso"),
        ({"code": "74160004"}, "chest", "anterior torso"),
        ({"code": "T-D3000", "scheme": "SRT"}, "chest", "anterior torso"),
        ({"code": "66643007"}, "back", "posterior torso"),
        ({"code": "58602004"}, "trunk", "lateral torso"),
        ({"code": "22943007"}, "trunk", None),
        ({"code": "181491009"}, "trunk", "anterior torso"),
        ({"code": "1902009"}, "ear", "head/neck"),
        ({"code": "113179006"}, "face", "head/neck"),  # nose
        ({"code": "69536005"}, None, "head/neck"),  # head: face, scalp or ear
        ({"code": "43081002"}, "neck", "head/neck"),
        ({"code": "33712006"}, "hand", "upper extremity"),
        ({"code": "70887009"}, "acral", "palms/soles"),
        ({"code": "770810008"}, "acral", "upper extremity"),  # nail of the thumb
        ({"code": "130317", "scheme": "DCM"}, "acral", "palms/soles"),
        ({"code": "60496002"}, "foot", "lower extremity"),
        ({"code": "61248009"}, "lower extremity", "lower extremity"),
        ({"code": "35900000"}, "genital", "oral/genital"),
        ({"code": "113277000"}, None, "oral/genital"),
        ({"code": "76261009"}, None, None),  # axilla
        ({"code": "39937001"}, None, None),  # skin
        ({"code": "43067004", "modifier": "7771000"}, "scalp", "head/neck"),
        ({"part": "FOREARM"}, "upper extremity", "upper extremity"),
        ({"part": "LOWERLEG"}, "lower extremity", "lower extremity"),
        ({"part": "THORAX"}, "chest", "anterior torso"),
        ({"part": "SKULL"}, None, None),
        ({"code": "66643007", "part": "CHEST"}, "back", "posterior torso"),
        ({"code": "1", "part": "CHEST"}, "chest", "anterior torso"),
    ],
)
def test_site(tags: dict[str, str], ham10000: str | None, isic: str | None, tmp_path: Path) -> None:
    given: dict[str, Any] = dict(NOBODY)
    if "code" in tags:
        given["AnatomicRegionSequence"] = coded(tags["code"], tags.get("scheme", "SCT"), tags.get("modifier", ""))
    if "part" in tags:
        given["BodyPartExamined"] = tags["part"]
    for fields, word in ((HAM10000, ham10000), (ISIC, isic)):
        assert told(tmp_path, fields, **given) == ({} if word is None else {"site": word})


def test_every_site_of_ham10000_and_isic_can_be_told() -> None:
    from dermedge.batch.dicom.sites import _table, word_for

    for fields in (HAM10000, ISIC):
        site = fields.categorical[1]
        assert {word_for(region, site) for region in _table().words} - {None} == set(site.vocabulary)


def test_the_codes_are_those_of_pydicoms_dictionary() -> None:
    """SNOMED-RT and SNOMED CT codes of one row are of one concept; every code of the standard's groups is known."""
    from pydicom.sr._concepts_dict import concepts
    from pydicom.sr._snomed_dict import mapping

    from dermedge.batch.dicom.sites import _table

    newer = {"63337009", "67734004", "82038008"}  # lower and upper trunk, skin of breast: of DICOM 2026
    known = {code for entry in concepts["SCT"].values() for code in entry} | set(mapping["SCT"]) | newer
    regions = _table().by_code
    assert len(regions) > 300
    for (scheme, code), region in regions.items():
        if scheme == "SRT":
            assert regions["SCT", mapping["SRT"][code]] == region
        elif scheme == "SCT":
            assert code in known


def test_fields_by_their_names_and_words(tmp_path: Path) -> None:
    fields = ClinicalSchema(
        (NumericField("Age_Approx", "years", 0, 90), NumericField("diameter", "mm", 0, 100)),
        (
            CategoricalField("gender", ("FEMALE", "MALE")),
            CategoricalField("region", ("ARM", "BACK", "FOREARM", "NOSE", "THIGH")),
            CategoricalField("location", ("north", "south")),  # of a clinic, not of a lesion
        ),
    )
    tags = {"PatientSex": "F", "BodyPartExamined": "FOREARM"}
    assert told(tmp_path, fields, **tags) == {"Age_Approx": 54, "gender": "FEMALE", "region": "FOREARM"}
    days = ClinicalSchema((NumericField("age", "days", 0, 40_000),), ())
    assert told(tmp_path, days) == {}
    assert told(tmp_path, ClinicalSchema()) == {}


def test_what_the_model_cannot_take_is_unknown_and_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    narrow = ClinicalSchema((NumericField("age", "years", 60, 90),), (HAM10000.categorical[1],))
    with caplog.at_level(logging.DEBUG):
        for _ in range(3):
            assert told(tmp_path, narrow, PatientAge="017Y", BodyPartExamined="SECRETPART") == {}
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert "a value for age that this model cannot take" in messages[0]
    assert "a value for site" in messages[1]
    assert not any(word in message for message in messages for word in ("17", "SECRET", "a.dcm"))


_LEAKS = """
import logging, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
from dermedge.batch.dicom.found import dicom_pictures
from dicom_files import HAM10000
for path in sys.argv[1:]:
    try:
        for found in dicom_pictures(path, HAM10000):
            print(found, dict(found.clinical))
            found.picture.fetch()
    except Exception as error:
        print(error)
"""


def test_nothing_else_of_the_patient_comes_out(tmp_path: Path) -> None:
    """Of whole files, of such with broken values, and of files cut off: nothing is printed, warned or logged."""
    path = dicom(tmp_path / "a.dcm", PIXELS.tobytes(), PatientSex="M", AnatomicRegionSequence=coded("43067004"))
    raw = path.read_bytes()
    end = raw.rindex(b"\xe0\x7f\x10\x00")
    files = [path]
    for k, (find, put) in enumerate(
        [
            (b"19680229", b"SECRETBD"),
            (b"20230228", b"SECRETSD"),
            (b"43067004", b"SECRETCD"),
            (b"1.2.840.10008.1.2.1\0", b"SECRET.TRANSFER.SYN\0"),
            (b"RGB ", b"SECR"),
            (b"PID-4711-SECRET ", b"PID-4711-SECRET\xff"),
            (b"\x08\0\x05\0CS", b"\x08\0\x05\0CS"),
        ]
    ):
        files.append(tmp_path / f"b{k}.dcm")
        files[-1].write_bytes(raw.replace(find, put))
    for place in range(140, end, 60):
        files.append(tmp_path / f"c{place}.dcm")
        files[-1].write_bytes(raw[:place])
    # pydicom would say which character set it does not know.
    files.append(dicom(tmp_path / "d.dcm", PIXELS.tobytes(), SpecificCharacterSet="ISO_IR 6"))
    files[-1].write_bytes(files[-1].read_bytes().replace(b"ISO_IR 6", b"SECRETCS"))
    command = [sys.executable, "-W", "always", "-c", _LEAKS, *map(str, files)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}  # it imports a module of the tests
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    said = (done.stdout + done.stderr).upper()
    assert "'AGE': 54.0" in said
    assert "PYDICOM" not in done.stderr.upper()
    for secret in (*SECRETS.values(), "SECRET", "ZWIEBEL", "1.2.826", "ADALBERT", "1968", "2023"):
        assert secret.upper() not in said


def test_pydicoms_own_users_still_hear_it(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    from pydicom import dcmread

    path = dicom(tmp_path / "d.dcm", PIXELS.tobytes(), SpecificCharacterSet="ISO_IR 6")
    path.write_bytes(path.read_bytes().replace(b"ISO_IR 6", b"SECRETCS"))
    dicom_pictures(str(path), HAM10000)
    assert not caplog.records
    dcmread(path)
    assert any("SECRETCS" in record.getMessage() for record in caplog.records)


def test_a_broken_sequence_tells_nothing(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", PIXELS.tobytes(), AnatomicRegionSequence=coded("43067004"), **NOBODY)
    raw = path.read_bytes()
    place = raw.index(b"\xfe\xff\x00\xe0") + 8
    path.write_bytes(raw[:place] + b"\xff" * 12 + raw[place + 12 :])
    assert dict(dicom_pictures(str(path), HAM10000)[0].clinical) == {}
