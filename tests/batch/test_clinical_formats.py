"""`dermedge infer` on what clinics have: DICOM with its patient and its frames, HEIC and AVIF, among plain pictures."""

import csv
import io
import json
from pathlib import Path

import pytest
from batch.pictures import folder_of
from dicom_files import DERMOSCOPIC, LITTLE, PIXELS, SECRETS, dicom
from PIL import Image

from dermedge_runtime import Classifier, model_in_the_box

TINY_BOX = model_in_the_box("tiny")
KNOWN = {"PatientAge": "055Y", "PatientSex": "M", "BodyPartExamined": "BACK"}


def rows_in(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_a_study_brings_its_own_patient(infer, here: Path) -> None:
    dicom(here / "study.dcm", PIXELS.tobytes(), SOPClassUID=DERMOSCOPIC, **KNOWN)
    done = infer("study.dcm", "--json", model=TINY_BOX)
    assert done.returncode == 0, done.stderr
    record, alone = (
        json.loads(done.stdout),
        Classifier(TINY_BOX, "cpu").predict(PIXELS, age=55, sex="male", site="back"),
    )
    assert record["given"] == {"age": 55.0, "sex": "male", "site": "back"}
    assert record["probabilities"] == pytest.approx(dict(alone.probabilities), abs=1e-6)
    assert json.loads(infer("study.dcm", "--age", 20, "--json", model=TINY_BOX).stdout)["given"]["age"] == 20
    assert "given: age 55, sex male, site back" in infer("study.dcm", model=TINY_BOX).stdout


def test_a_table_comes_before_the_file_and_fills_its_gaps(infer, here: Path) -> None:
    dicom(here / "pics" / "a.dcm", PIXELS.tobytes(), PatientSex="F", PatientAge="055Y")
    (here / "p.csv").write_text("image,age,sex,site\na.dcm,20,,face\n")
    assert infer("pics", "--table", "p.csv", "--out", "r.csv", model=TINY_BOX).returncode == 0
    [row] = rows_in(here / "r.csv")
    assert (row["given_age"], row["given_sex"], row["given_site"]) == ("20.0", "female", "face")


def test_every_frame_has_its_row_its_heat_map_and_its_report(infer, here: Path) -> None:
    frames = [PIXELS, PIXELS[::-1], PIXELS[:, ::-1]]
    content = b"".join(frame.tobytes() for frame in frames)
    dicom(here / "pics" / "in" / "m.dcm", content, syntax=LITTLE, NumberOfFrames=3, **KNOWN)
    options = ("--recursive", "--explain", "--overlays", "o", "--fhir", "f", "--out", "r.csv")
    done = infer("pics", *options, model=TINY_BOX)
    assert done.returncode == 0, done.stderr
    rows = rows_in(here / "r.csv")
    assert [row["frame"] for row in rows] == ["1", "2", "3"]
    assert len({row["sha256"] for row in rows}) == 1 and len({row["probability_mel"] for row in rows}) == 3
    model = Classifier(TINY_BOX, "cpu")
    for row, frame in zip(rows, frames, strict=True):
        alone = model.predict(frame, age=55, sex="male", site="back")
        assert float(row["probability_mel"]) == pytest.approx(alone.probabilities["mel"], abs=1e-6)
        assert Path(row["overlay"]).is_file()
    reports = sorted(str(path.relative_to(here)) for path in (here / "f").rglob("*.json"))
    assert reports == [f"f/in/m.dcm.frame-{number}.fhir.json" for number in (1, 2, 3)]
    assert infer("pics", *options, model=TINY_BOX).returncode == 0
    assert len(rows_in(here / "r.csv")) == 3


def test_nothing_that_names_the_patient_leaves_the_file(infer, here: Path) -> None:
    dicom(here / "pics" / "a.dcm", PIXELS.tobytes(), **KNOWN)
    dicom(here / "pics" / "b.dcm", PIXELS.tobytes()[:100], **KNOWN)
    arguments = ("--explain", "--overlays", "o", "--fhir", "f", "--report", "s.html")
    done = infer("pics", *arguments, "--out", "r.jsonl", model=TINY_BOX)
    printed = infer("pics", *arguments, "--json", model=TINY_BOX)
    written = [path for path in here.rglob("*") if path.is_file() and path.suffix != ".dcm"]
    assert len(written) >= 5
    told = [done.stdout, done.stderr, printed.stdout, printed.stderr]
    told += [path.read_bytes().decode("latin-1") + path.name for path in written]
    for secret in (*SECRETS.values(), "1.2.826.0.1.3680043.8.498.42", "Zwiebelfisch", "1968"):
        assert not [text for text in told if secret in text], secret


def test_a_file_without_pixels_is_rejected_among_others(infer, here: Path) -> None:
    folder_of(here / "pics", "a.png", "z.jpg")
    path = dicom(here / "pics" / "b.dcm", PIXELS.tobytes())
    import pydicom

    dataset = pydicom.dcmread(path)
    del dataset.PixelData
    dataset.save_as(path)
    (here / "pics" / "c.dcm").write_bytes(b"text")
    done = infer("pics", "--out", "r.csv", model=TINY_BOX)
    assert done.returncode == 3
    rows = rows_in(here / "r.csv")
    assert [bool(row["error"]) for row in rows] == [False, True, True, False]
    assert "without pixel data" in rows[1]["error"] and "DICOM" in rows[2]["error"]


def test_heic_and_avif_among_the_others(infer, here: Path) -> None:
    heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed (extra: heic)")
    picture = Image.fromarray(PIXELS)
    (here / "pics").mkdir()
    picture.save(here / "pics" / "a.avif", quality=95)
    encoded = io.BytesIO()
    heif.from_pillow(picture).save(encoded, quality=95)
    (here / "pics" / "b.HEIC").write_bytes(encoded.getvalue())
    assert infer("pics", "--out", "r.csv", model=TINY_BOX).returncode == 0
    rows = rows_in(here / "r.csv")
    assert [row["file"] for row in rows] == ["pics/a.avif", "pics/b.HEIC"] and all(row["label"] for row in rows)
    assert "pics/b.HEIC: " in infer("pics/b.HEIC", model=TINY_BOX).stdout
