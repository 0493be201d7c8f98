"""What a decoding process makes of uploads: DICOM with its patient and frames, HEIC, and nothing on any disk."""

import io
import os
from pathlib import Path

import httpx
import numpy as np
import pytest
from batch.pictures import encoded
from dicom_files import PIXELS, SECRETS, dicom
from make_tiny_model import TINY
from PIL import Image

from dermedge.service.decoding_process import Decoded, Upload, decode_upload
from dermedge_runtime import Classifier
from dermedge_runtime.inputs.kept_source import keep
from dermedge_runtime.inputs.prepared_picture import prepare

MODEL = Classifier(TINY, "cpu")


def decoded(content: bytes, name: str = "a.bin") -> Decoded:
    assert MODEL.spec.image is not None
    return decode_upload(Upload(name, content), MODEL.spec.image, MODEL.spec.clinical)


def test_a_study_brings_its_patient_and_all_its_frames(tmp_path: Path) -> None:
    frames = [PIXELS, PIXELS[::-1]]
    path = dicom(tmp_path / "m.dcm", b"".join(each.tobytes() for each in frames), NumberOfFrames=2, PatientAge="055Y")
    before = set(os.listdir("/proc/self/fd"))
    found = decoded(path.read_bytes())
    assert set(os.listdir("/proc/self/fd")) == before
    assert [each["age"] for each in found.clinical] == [55.0, 55.0] and found.refused == ""
    for picture, frame in zip(found.pictures, frames, strict=True):
        np.testing.assert_array_equal(picture.pixels, prepare(keep(frame), MODEL.spec.image).pixels)


def test_what_cannot_be_read_is_named_as_it_was_sent(tmp_path: Path) -> None:
    broken = dicom(tmp_path / "m.dcm", PIXELS.tobytes()[:50]).read_bytes()
    refused = decoded(broken, "lesion.dcm").refused
    assert "lesion.dcm" in refused and "/proc" not in refused
    assert not [secret for secret in SECRETS.values() if secret in refused]
    assert "lesion.heic" in decoded(b"\0\0\0\x18ftypheic" + bytes(90), "lesion.heic").refused


def test_heic_from_a_phone() -> None:
    heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed (extra: heic)")
    stream = io.BytesIO()
    heif.from_pillow(Image.fromarray(PIXELS)).save(stream, quality=95)
    found = decoded(stream.getvalue())
    assert (len(found.pictures), found.refused) == (1, "")
    assert found.pictures[0].size == PIXELS.shape[1::-1]


def test_through_the_service(client: httpx.Client, tmp_path: Path) -> None:
    content = dicom(tmp_path / "m.dcm", PIXELS.tobytes(), PatientAge="055Y", PatientSex="F").read_bytes()
    answer = client.post("/v1/predict", files={"image": ("m.dcm", content)})
    assert answer.json()["given"] == {"age": 55.0, "sex": "female"}, answer.text
    two = dicom(tmp_path / "n.dcm", PIXELS.tobytes() * 2, NumberOfFrames=2).read_bytes()
    refused = client.post("/v1/predict", files={"image": ("n.dcm", two)})
    assert (refused.status_code, "/v1/predict/batch" in refused.json()["detail"]) == (422, True)
    many = client.post("/v1/predict/batch", files=[("images", ("n.dcm", two)), ("images", ("a.png", encoded(1)))])
    assert [each["file"] for each in many.json()["results"]] == ["n.dcm", "n.dcm", "a.png"]
