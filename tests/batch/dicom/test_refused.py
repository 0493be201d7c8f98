"""What is no picture that we read is refused in one sentence that names the file, and never crashes anything."""

import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from dicom_files import (
    GREY,
    HAM10000,
    JPEG,
    JPEG_2000,
    JPEG_LS,
    LITTLE,
    LOSSLESS,
    PIXELS,
    RLE,
    compressed,
    dicom,
    jpeg,
    jpeg_2000,
    jpeg_ls,
    run_length,
)
from lossless_jpeg import lossless_jpeg

from dermedge.batch.dicom.found import dicom_pictures
from dermedge_runtime import InputRejected
from dermedge_runtime.inputs.image import load_image

pytest.importorskip("pydicom")
KINDS = ("RLE", "JPEG 2000", "JPEG-LS", "lossless JPEG", "JPEG", "native")


def refused(path: Path, reason: str) -> None:
    with pytest.raises(InputRejected, match=reason) as caught:
        for found in dicom_pictures(str(path), HAM10000):
            load_image(found.picture.fetch(), 32)
    told = str(caught.value)
    assert "\n" not in told
    assert path.name in told or "bytes>" in told  # the runtime puts the name in the place of the bytes


def file_of(kind: str, folder: Path) -> Path:
    path = folder / "a.dcm"
    if kind == "native":
        return dicom(path, PIXELS.tobytes())
    if kind == "JPEG":
        return dicom(path, [jpeg(PIXELS, quality=80)], syntax=JPEG, photometric="YBR_FULL_422")
    syntax, content = compressed(kind, folder, PIXELS)
    return dicom(path, [content], syntax=syntax)


@pytest.mark.parametrize("kind", KINDS)
def test_cut_off_anywhere(kind: str, tmp_path: Path) -> None:
    path = file_of(kind, tmp_path)
    content = path.read_bytes()
    for place in (*range(0, len(content), 97), len(content) - 9, len(content) - 8, len(content) - 1):
        path.write_bytes(content[:place])
        with pytest.raises(InputRejected, match=r"a\.dcm"):
            load_image(dicom_pictures(str(path), HAM10000)[0].picture.fetch(), 32)


@pytest.mark.parametrize("kind", ["RLE", "JPEG 2000", "JPEG-LS", "lossless JPEG", "JPEG"])
@pytest.mark.parametrize("share", [0.4, 0.7, 0.95])
@pytest.mark.parametrize("ending", [b"", b"\xff\xd9", bytes(600), b"\xff" * 600])
def test_pixel_data_that_are_cut_inside_a_whole_file(kind: str, share: float, ending: bytes, tmp_path: Path) -> None:
    if kind == "JPEG":
        syntax, content = JPEG, jpeg(PIXELS, quality=80)
    else:
        syntax, content = compressed(kind, tmp_path, PIXELS)
    cut = content[: int(share * len(content))] + ending
    path = dicom(tmp_path / "a.dcm", [cut + b"\0" * (len(cut) % 2)], syntax=syntax)
    refused(path, "Cannot read the image ")


@pytest.mark.parametrize("open_length", [True, False])
def test_jpeg_2000_that_is_cut_with_lengths_that_agree(open_length: bool, tmp_path: Path) -> None:
    content = jpeg_2000(PIXELS)
    start = content.index(b"\xff\x90")
    cut = bytearray(content[: (start + len(content)) // 2] + b"\xff\xd9")
    cut[start + 6 : start + 10] = struct.pack(">I", 0 if open_length else len(cut) - 2 - start)
    refused(dicom(tmp_path / "a.dcm", [bytes(cut)], syntax=JPEG_2000), "JPEG 2000 data are broken")


def test_run_lengths_of_too_many_pixels(tmp_path: Path) -> None:
    content = run_length(GREY)
    path = dicom(tmp_path / "a.dcm", [content + b"\x7f" + bytes(range(1, 129))], syntax=RLE, photometric="MONOCHROME2")
    refused(path, "its RLE data are incomplete or wrong")


@pytest.mark.parametrize("kind", ["JPEG-LS", "JPEG 2000", "lossless JPEG"])
def test_heads_that_make_no_sense_end_no_process(kind: str, tmp_path: Path) -> None:
    """GDCM by itself ends the process for some of these."""
    syntax, content = compressed(kind, tmp_path, PIXELS)
    expected = load_image(
        dicom_pictures(str(dicom(tmp_path / "b.dcm", [content], syntax=syntax)), HAM10000)[0].picture.fetch(), 32
    )
    for place in range(2, 110):
        for value in (0, 255, content[place] ^ 1):
            broken = content[:place] + bytes([value]) + content[place + 1 :]
            path = dicom(tmp_path / "a.dcm", [broken], syntax=syntax)
            try:
                load_image(dicom_pictures(str(path), HAM10000)[0].picture.fetch(), 32)
            except InputRejected as error:
                assert "a.dcm" in str(error)
    assert expected.shape == (32, 32, 3)


def test_what_is_no_dicom_file(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    for content in (b"", b"DICM", jpeg(PIXELS), bytes(200)):
        path.write_bytes(content)
        refused(path, "it is no DICOM file")
    path.unlink()
    refused(path, "there is no such file")
    path.mkdir()
    refused(path, "it is no regular file")
    path.rmdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(path)
        refused(path, "it is no regular file")


def test_without_pixels(tmp_path: Path) -> None:
    from pydicom import dcmread

    path = dicom(tmp_path / "a.dcm", PIXELS.tobytes())
    dataset = dcmread(path)
    del dataset.PixelData
    dataset.save_as(path)
    refused(path, r"The image .*a\.dcm is a DICOM file without pixel data, so there is no picture in it\.$")


@pytest.mark.parametrize(
    ("syntax", "name"),
    [
        ("1.2.840.10008.1.2.4.100", "MPEG2 Main Profile / Main Level"),
        ("1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000"),
        ("1.2.840.113619.5.2", "an unknown one"),
    ],
)
def test_an_unknown_way_of_storing(syntax: str, name: str, tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", [jpeg(PIXELS)], syntax=JPEG)
    raw = path.read_bytes()
    length = len(JPEG) + len(JPEG) % 2
    place = raw.index(JPEG.encode()) - 2
    padded = syntax.encode() + b"\0" * (len(syntax) % 2)
    path.write_bytes(raw[:place] + struct.pack("<H", len(padded)) + padded + raw[place + 2 + length :])
    refused(path, f"transfer syntax {syntax} \\({name}")


def test_a_deflated_file_is_not_inflated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import zlib

    path = dicom(tmp_path / "a.dcm", PIXELS.tobytes(), syntax=LITTLE + ".99")
    assert len(path.read_bytes()) < PIXELS.nbytes
    monkeypatch.setattr(zlib, "decompress", None)
    monkeypatch.setattr(zlib, "decompressobj", None)
    refused(path, "Deflated Explicit VR Little Endian")


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"BitsAllocated": 16, "BitsStored": 16}, "samples of 16 in 16 bits"),
        ({"BitsAllocated": 16, "BitsStored": 12}, "samples of 12 in 16 bits"),
        ({"BitsAllocated": 8, "BitsStored": 7}, "samples of 7 in 8 bits"),
        ({"BitsAllocated": 1, "BitsStored": 1}, "samples of 1 in 1 bits"),
        ({"PixelRepresentation": 1}, "signed samples"),
        ({"PhotometricInterpretation": "HSV"}, "the colours 'HSV'"),
        ({"PhotometricInterpretation": "MONOCHROME2"}, "3 samples per pixel in the colours 'MONOCHROME2'"),
        ({"PhotometricInterpretation": "YBR_RCT"}, "which only JPEG 2000 has"),
        ({"SamplesPerPixel": 4}, "4 samples per pixel"),
        ({"Rows": 49}, "holds 9,216 bytes of pixels, and its header tells of 9,408"),
        ({"Rows": 0}, "holds 9,216 bytes of pixels, and its header tells of 0"),
        ({"Rows": None}, "does not tell how large its pixels are"),
        ({"NumberOfFrames": 2}, "its header tells of 18,432"),
        ({"NumberOfFrames": 0}, "does not tell its number of frames"),
        ({"NumberOfFrames": 2147483647}, "does not tell its number of frames, or has none, or more than 100,000"),
    ],
)
def test_pixels_that_are_not_read(tags: dict, reason: str, tmp_path: Path) -> None:
    from pydicom import dcmread

    path = dicom(tmp_path / "a.dcm", PIXELS.tobytes())
    dataset = dcmread(path)
    for name, value in tags.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    dataset.save_as(path)
    refused(path, reason)


@pytest.mark.parametrize("kind", ["RLE", "JPEG 2000", "JPEG-LS", "lossless JPEG", "JPEG"])
def test_another_size_than_the_header_tells(kind: str, tmp_path: Path) -> None:
    from pydicom import dcmread

    path = file_of(kind, tmp_path)
    sizes = [(48, 63), (47, 64), (60_000, 60_000), (0, 0)]
    if kind != "RLE":  # which tells no size
        sizes.append((64, 48))
    for rows, columns in sizes:
        dataset = dcmread(path)
        dataset.Rows, dataset.Columns = rows, columns
        dataset.save_as(tmp_path / "b.dcm")
        refused(tmp_path / "b.dcm", "header|limit|nothing to see|RLE data")


@pytest.mark.parametrize("count", [2, 4])
def test_another_number_of_frames_than_the_header_tells(count: int, tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", [lossless_jpeg(PIXELS)] * 3, syntax=LOSSLESS, NumberOfFrames=None)
    from pydicom import dcmread

    dataset = dcmread(path)
    dataset.NumberOfFrames = count
    dataset.save_as(path)
    refused(path, f"tells of {count} frames, and its pixel data of others")


def test_without_pydicom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = dicom(tmp_path / "a.dcm", PIXELS.tobytes())
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(
        InputRejected, match=r"a\.dcm: .*pydicom.* not installed\. Run: pip install 'dermedge\[dicom\]'"
    ):
        dicom_pictures(str(path), HAM10000)


def test_without_gdcm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = dicom(tmp_path / "a.dcm", [jpeg_ls(tmp_path, PIXELS)], syntax=JPEG_LS)
    monkeypatch.setitem(sys.modules, "gdcm", None)
    (found,) = dicom_pictures(str(path), HAM10000)
    with pytest.raises(InputRejected, match=r"GDCM, which is not installed\. Run: pip install 'dermedge\[dicom\]'"):
        found.picture.fetch()
    plain = dicom(tmp_path / "b.dcm", PIXELS.tobytes())  # for which GDCM is not needed
    assert np.array_equal(dicom_pictures(str(plain), HAM10000)[0].picture.fetch(), PIXELS)


def test_a_wrong_table_of_frames(tmp_path: Path) -> None:
    frames = [lossless_jpeg(PIXELS), lossless_jpeg(255 - PIXELS)]
    path = dicom(tmp_path / "a.dcm", frames, syntax=LOSSLESS, fragments=2)
    raw = path.read_bytes()
    table = raw.index(b"\xfe\xff\x00\xe0\x08\0\0\0") + 8
    path.write_bytes(raw[: table + 4] + struct.pack("<I", 2) + raw[table + 8 :])
    refused(path, "its table of frames is wrong")


def test_random_bytes_in_the_header(tmp_path: Path) -> None:
    raw = dicom(tmp_path / "a.dcm", PIXELS.tobytes()).read_bytes()
    end = raw.rindex(b"\xe0\x7f\x10\x00")
    path = tmp_path / "b.dcm"
    for seed in range(150):
        random = np.random.default_rng(seed)
        broken = bytearray(raw)
        for place in random.integers(132, end + 12, 3):
            broken[place] = random.integers(256)
        path.write_bytes(broken)
        try:
            for found in dicom_pictures(str(path), HAM10000):
                load_image(found.picture.fetch(), 32)
        except InputRejected as error:
            assert "b.dcm" in str(error)
