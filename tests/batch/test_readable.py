"""Every file gives pictures, by its name and its first bytes, and no file stops a batch."""

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from batch.pictures import encoded, folder_of
from dicom_files import HAM10000, PIXELS, RLE, SECRETS, dicom, run_length
from PIL import Image

from dermedge.batch.dicom.frame import DicomFrame
from dermedge.batch.heic_file import HeicFile
from dermedge.batch.readable import ENDINGS, pictures_in
from dermedge.batch.refused_picture import RefusedPicture
from dermedge.batch.walk import Walk
from dermedge_runtime import InputRejected
from dermedge_runtime.inputs.later_picture import HashedFile, is_later

pytest.importorskip("pydicom")


def test_what_each_file_gives(here: Path) -> None:
    dicom(here / "one.dcm", PIXELS.tobytes(), PatientSex="F")
    dicom(here / "IM0001", PIXELS.tobytes())
    dicom(here / "three.dcm", [run_length(PIXELS)] * 3, syntax=RLE)
    (here / "a.jpg").write_bytes(encoded(1, "JPEG"))
    (here / "notes.txt").write_text("text")
    kinds = {
        name: [(type(found.picture), found.frame, sorted(found.clinical)) for found in pictures_in(name, HAM10000)]
        for name in ("one.dcm", "IM0001", "three.dcm", "a.jpg", "b.HEIC", "notes.txt", "nothing", "nothing.dcm")
    }
    assert kinds == {
        "one.dcm": [(DicomFrame, None, ["age", "sex"])],
        "IM0001": [(DicomFrame, None, ["age"])],
        "three.dcm": [(DicomFrame, k, ["age"]) for k in (1, 2, 3)],
        "a.jpg": [(HashedFile, None, [])],
        "b.HEIC": [(HeicFile, None, [])],
        "notes.txt": [(HashedFile, None, [])],
        "nothing": [(HashedFile, None, [])],
        "nothing.dcm": [(RefusedPicture, None, [])],
    }


def test_no_content_stops_a_batch(here: Path) -> None:
    whole = dicom(here / "whole.dcm", PIXELS.tobytes()).read_bytes()
    contents = [b"", b"text", whole[:131], whole[:140], whole[:400], whole[:-9], encoded(1), os.urandom(300)]
    for name in ("a.dcm", "a.heic", "a.avif", "a"):
        for content in contents:
            (here / name).write_bytes(content)
            (found,) = pictures_in(name, HAM10000)
            assert (found.path, found.picture.name, found.frame) == (name, name, None)
            assert is_later(found.picture)
            if name in ("a.dcm", "a.heic"):
                with pytest.raises(InputRejected, match=f" {name}|image {name} "):
                    found.picture.fetch()
    (here / "folder.dcm").mkdir()
    (found,) = pictures_in("folder.dcm", HAM10000)
    with pytest.raises(InputRejected, match=r"folder\.dcm: it is no regular file\.$"):
        found.picture.fetch()


def test_folders_stand_for_them_too(here: Path) -> None:
    assert {".jpg", ".avif", ".dcm", ".dicom", ".heic", ".heif"} < ENDINGS
    folder_of(here, "a.jpg", "b.txt")
    for name in ("c.DCM", "d.dicom", "e.heic", "f.HEIF", "g.avif"):
        (here / name).touch()
    names = ["a.jpg", "c.DCM", "d.dicom", "e.heic", "f.HEIF", "g.avif"]
    assert [os.path.normpath(file.path) for file in Walk(["."])] == names


def test_another_process_can_fetch_them(here: Path) -> None:
    dicom(here / "three.dcm", [run_length(PIXELS)] * 3, syntax=RLE)
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, "PNG")
    (here / "a.png").write_bytes(stream.getvalue())
    for name in ("three.dcm", "a.png", "b.heic", "c.dcm"):
        found = pictures_in(name, HAM10000)
        again = pickle.loads(pickle.dumps(found))
        assert [(each.path, each.frame, each.clinical) for each in again] == [
            (each.path, each.frame, each.clinical) for each in found
        ]
        if name == "three.dcm":
            assert all(np.array_equal(each.picture.fetch(), PIXELS) for each in again)


def test_the_batch_answers_dicom_files(here: Path, infer) -> None:
    """By the command: frames have rows of their own, what cannot be read says why, and nothing of the patient leaks."""
    import csv

    dicom(here / "one.dcm", PIXELS.tobytes(), PatientSex="F")
    dicom(here / "three.dcm", [run_length(PIXELS)] * 3, syntax=RLE)
    dicom(here / "wide.dcm", PIXELS.tobytes() * 2, BitsAllocated=16, BitsStored=12)
    done = infer(".", "--out", "out.csv")
    rows = list(csv.DictReader((here / "out.csv").open(encoding="utf-8")))
    assert [(row["file"], row["frame"], bool(row["label"])) for row in rows] == [
        ("./one.dcm", "", True),
        ("./three.dcm", "1", True),
        ("./three.dcm", "2", True),
        ("./three.dcm", "3", True),
        ("./wide.dcm", "", False),
    ]
    assert "samples of 12 in 16 bits" in rows[-1]["error"]
    assert [row["given_age"] for row in rows[:2]] == ["54.0", "54.0"]
    assert len({row["sha256"] for row in rows[:4]}) == 2
    said = done.stdout + done.stderr + "".join(path.read_text("utf-8") for path in here.glob("out*") if path.is_file())
    assert not [secret for secret in SECRETS.values() if secret in said]
