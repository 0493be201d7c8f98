"""DICOM frames are the pixels that were stored, however they were; those of other writers as pydicom has them."""

import hashlib
import os
import sys
import threading
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from broken_pictures import skin
from dicom_files import (
    BIG,
    DERMOSCOPIC,
    GREY,
    HAM10000,
    IMPLICIT,
    JPEG,
    JPEG_2000,
    JPEG_2000_LOSSY,
    JPEG_LS_LOSSY,
    LITTLE,
    LOSSLESS,
    LOSSLESS_14,
    PHOTOGRAPH,
    PIXELS,
    SECONDARY,
    compressed,
    dicom,
    jpeg,
    jpeg_2000,
)
from lossless_jpeg import lossless_jpeg
from PIL import Image

from dermedge.batch.dicom.found import dicom_pictures
from dermedge.batch.dicom.recognised import is_dicom
from dermedge_runtime import Classifier, InputRejected, model_in_the_box
from dermedge_runtime.inputs.image import upright_rgb

pytest.importorskip("pydicom")
COMPRESSED = ("RLE", "JPEG 2000", "JPEG-LS", "lossless JPEG")


def fetched(path: Path, frame: int = 0) -> np.ndarray:
    """Give a frame as RGB or grey, decoded if it is a JPEG picture."""
    picture = dicom_pictures(str(path), HAM10000)[frame].picture.fetch()
    return np.asarray(upright_rgb(picture)) if isinstance(picture, bytes) else picture


def ybr(pixels: np.ndarray) -> np.ndarray:
    """Brightness, and differences of blue and red, by the definition."""
    weights = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
    return (pixels @ weights.T + [0, 128, 128]).round().clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("sop_class", [PHOTOGRAPH, DERMOSCOPIC, SECONDARY])
@pytest.mark.parametrize("syntax", [IMPLICIT, LITTLE, BIG])
def test_uncompressed(sop_class: str, syntax: str, tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", PIXELS.tobytes(), syntax=syntax, SOPClassUID=sop_class)
    (found,) = dicom_pictures(str(path), HAM10000)
    assert (found.path, found.frame, found.picture.name) == (str(path), None, str(path))
    pixels = found.picture.fetch()
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, PIXELS)
    assert found.picture.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_channel_after_channel(tmp_path: Path) -> None:
    planes = np.ascontiguousarray(PIXELS.transpose(2, 0, 1)).tobytes()
    assert np.array_equal(fetched(dicom(tmp_path / "a.dcm", planes, PlanarConfiguration=1)), PIXELS)


def test_grey_both_ways(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", GREY.tobytes(), photometric="MONOCHROME2")
    assert np.array_equal(fetched(path), GREY)
    path = dicom(tmp_path / "b.dcm", GREY.tobytes(), photometric="MONOCHROME1")
    assert np.array_equal(fetched(path), 255 - GREY)


def test_brightness_and_colour_differences(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", ybr(PIXELS).tobytes(), photometric="YBR_FULL")
    assert np.abs(fetched(path).astype(int) - PIXELS).max() <= 2


def test_colour_differences_of_half_the_width(tmp_path: Path) -> None:
    whole = np.repeat(PIXELS[:, ::2], 2, axis=1)  # both pixels of a pair are the same, so halving loses nothing
    stored = ybr(whole)
    pairs = np.stack([stored[:, ::2, 0], stored[:, 1::2, 0], stored[:, ::2, 1], stored[:, ::2, 2]], axis=-1)
    path = dicom(tmp_path / "a.dcm", pairs.tobytes(), photometric="YBR_FULL_422")
    assert np.abs(fetched(path).astype(int) - whole).max() <= 2


@pytest.mark.parametrize("bits", [8, 16])
def test_palette(bits: int, tmp_path: Path) -> None:
    indexed = skin(64, 48).quantize(200)
    colours = np.asarray(indexed.getpalette(), np.uint8).reshape(-1, 3)
    count, first = len(colours), 3
    data = {}
    for name, channel in zip(("Red", "Green", "Blue"), colours.T, strict=True):
        data[f"{name}PaletteColorLookupTableDescriptor"] = [count, first, bits]
        values = channel.astype("<u2") * 257 if bits == 16 else channel
        data[f"{name}PaletteColorLookupTableData"] = values.tobytes() + b"\0" * (values.nbytes % 2)
    stored = (np.asarray(indexed) + first).astype(np.uint8)
    path = dicom(tmp_path / "a.dcm", stored.tobytes(), photometric="PALETTE COLOR", **data)
    assert np.array_equal(fetched(path), np.asarray(indexed.convert("RGB")))


@pytest.mark.parametrize("kind", COMPRESSED)
@pytest.mark.parametrize("fragments", [1, 3])
@pytest.mark.parametrize("pixels", [PIXELS, GREY], ids=["colour", "grey"])
def test_compressed_without_loss(kind: str, fragments: int, pixels: np.ndarray, tmp_path: Path) -> None:
    syntax, content = compressed(kind, tmp_path, pixels)
    fragments = 1 if kind == "RLE" else fragments  # the standard allows no more
    photometric = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    path = dicom(tmp_path / "a.dcm", [content], syntax=syntax, photometric=photometric, fragments=fragments)
    assert np.array_equal(fetched(path), pixels)


@pytest.mark.parametrize("kind", COMPRESSED)
def test_compressed_brightness_and_colour_differences(kind: str, tmp_path: Path) -> None:
    syntax, content = compressed(kind, tmp_path, ybr(PIXELS))
    path = dicom(tmp_path / "a.dcm", [content], syntax=syntax, photometric="YBR_FULL")
    assert np.abs(fetched(path).astype(int) - PIXELS).max() <= 2


@pytest.mark.parametrize("adobe", [False, True])
@pytest.mark.parametrize("syntax", [LOSSLESS, LOSSLESS_14])
def test_lossless_jpeg(syntax: str, adobe: bool, tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", [lossless_jpeg(PIXELS, adobe)], syntax=syntax)
    assert np.array_equal(fetched(path), PIXELS)


def test_jpeg_2000_with_its_own_colours(tmp_path: Path) -> None:
    content = jpeg_2000(PIXELS, mct=1)
    path = dicom(tmp_path / "a.dcm", [content], syntax=JPEG_2000, photometric="YBR_RCT")
    assert np.array_equal(fetched(path), PIXELS)
    content = jpeg_2000(PIXELS, mct=1, irreversible=True, quality_mode="rates", quality_layers=[4])
    path = dicom(tmp_path / "b.dcm", [content], syntax=JPEG_2000_LOSSY, photometric="YBR_ICT")
    assert np.abs(fetched(path).astype(int) - PIXELS).mean() < 4


@pytest.mark.parametrize("kind", [*COMPRESSED, "native"])
@pytest.mark.parametrize("has_bot", [True, False])
def test_several_frames(kind: str, has_bot: bool, tmp_path: Path) -> None:
    frames = [PIXELS, 255 - PIXELS, PIXELS[::-1].copy()]
    if kind == "native":
        path = dicom(tmp_path / "a.dcm", b"".join(f.tobytes() for f in frames), NumberOfFrames=3)
    else:
        packed = [compressed(kind, tmp_path, frame) for frame in frames]
        path = dicom(tmp_path / "a.dcm", [content for _, content in packed], syntax=packed[0][0], has_bot=has_bot)
    found = dicom_pictures(str(path), HAM10000)
    assert [picture.frame for picture in found] == [1, 2, 3]
    assert {picture.path for picture in found} == {str(path)}
    for picture, frame in reversed(list(zip(found, frames, strict=True))):
        assert np.array_equal(picture.picture.fetch(), frame)
        assert picture.picture.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("has_bot", [True, False])
def test_frames_in_several_pieces_each(has_bot: bool, tmp_path: Path) -> None:
    frames = [lossless_jpeg(PIXELS), lossless_jpeg(255 - PIXELS)]
    path = dicom(tmp_path / "a.dcm", frames, syntax=LOSSLESS, fragments=3, has_bot=has_bot)
    assert np.array_equal(fetched(path, 0), PIXELS)
    assert np.array_equal(fetched(path, 1), 255 - PIXELS)


def test_frames_of_odd_length_in_exchanged_bytes(tmp_path: Path) -> None:
    frames = [GREY[:3, :3], 255 - GREY[:3, :3]]
    content = b"".join(frame.tobytes() for frame in frames)
    swapped = np.frombuffer(content, np.uint8).reshape(-1, 2)[:, ::-1].tobytes()
    options = {"photometric": "MONOCHROME2", "syntax": BIG, "NumberOfFrames": 2}
    path = dicom(tmp_path / "a.dcm", swapped, (3, 3), pixel_vr="OW", **options)
    assert np.array_equal(fetched(path, 0), frames[0])
    assert np.array_equal(fetched(path, 1), frames[1])


def test_a_jpeg_picture_is_answered_as_its_own_file_is(tmp_path: Path) -> None:
    """Large enough to be scaled down while it is decoded, as the runtime does with JPEG files."""
    content = jpeg(np.asarray(skin(1200, 900)), quality=85)
    path = dicom(tmp_path / "a.dcm", [content], (1200, 900), JPEG, "YBR_FULL_422")
    file = tmp_path / "a.jpg"
    file.write_bytes(content)
    (found,) = dicom_pictures(str(path), HAM10000)
    classifier = Classifier(model_in_the_box(), device="cpu")
    expected, answer = classifier.predict(str(file), age=55), classifier.predict(found.picture.fetch(), age=55)
    assert dict(answer.probabilities) == dict(expected.probabilities)
    assert np.array_equal(answer.heatmap, expected.heatmap)


def test_colours_of_which_a_jpeg_picture_is_silent_are_dicoms(tmp_path: Path) -> None:
    """Neither JFIF's nor Adobe's marker: libjpeg then guesses that the channels are brightness and differences."""
    content = jpeg(PIXELS, quality=98, subsampling=0, keep_rgb=True)
    bare = content[:2] + content[content.index(b"\xff\xdb") :]
    assert b"JFIF" not in bare
    assert b"Adobe" not in bare
    path = dicom(tmp_path / "a.dcm", [bare.replace(b"R\x11\0G\x11\0B\x11\0", b"\1\x11\0\2\x11\0\3\x11\0")], syntax=JPEG)
    # The scan names its channels, too.
    raw = path.read_bytes().replace(b"\xff\xda\0\x0c\3R\0G\0B\0", b"\xff\xda\0\x0c\3\1\0\2\0\3\0")
    path.write_bytes(raw)
    assert np.abs(fetched(path).astype(int) - PIXELS).max() < 12


def test_dark_and_bright_are_exchanged_in_jpeg_too(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", [jpeg(GREY, quality=95)], syntax=JPEG, photometric="MONOCHROME1")
    assert np.abs(fetched(path).astype(int) - (255 - GREY)).max() < 12


def test_files_that_come_with_pydicom(tmp_path: Path) -> None:
    """Made by other writers: dcmtk, GDCM, an ultrasound machine. Their pixels are those that pydicom gives."""
    import pydicom
    from pydicom.pixels.processing import apply_color_lut
    from pydicom.pixels.utils import pixel_array

    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    names = {
        *("SC_rgb_dcmtk_+eb+cr.dcm", "SC_rgb_dcmtk_+eb+cy+n2.dcm", "SC_rgb_dcmtk_+eb+cy+s4.dcm", "SC_rgb_gdcm_KY.dcm"),
        *("SC_rgb_jls_lossy_line.dcm", "SC_rgb_jls_lossy_sample.dcm", "SC_rgb_jpeg_gdcm.dcm", "SC_rgb_rle_2frame.dcm"),
        *("SC_rgb_small_odd_big_endian.dcm", "SC_ybr_full_422_uncompressed.dcm", "SC_jpeg_no_color_transform.dcm"),
        *("JPEGLSNearLossless_08.dcm", "examples_palette.dcm", "examples_jpeg2k.dcm", "examples_ybr_color.dcm"),
    }
    there = sorted(path for path in folder.iterdir() if path.name in names)
    assert len(there) >= 10
    for path in there:
        dataset = pydicom.dcmread(path)
        for frame in {0, int(dataset.get("NumberOfFrames", 1)) - 1}:
            expected = pixel_array(path, index=frame)
            if dataset.PhotometricInterpretation == "PALETTE COLOR":
                expected = apply_color_lut(expected, dataset) >> 8
            pixels = fetched(path, frame)
            pixels = pixels[..., 0] if expected.ndim == 2 and pixels.ndim == 3 else pixels
            assert np.abs(pixels.astype(int) - expected).max() <= 1, path.name


def test_several_threads(tmp_path: Path) -> None:
    frames = [np.roll(PIXELS, shift, axis=1) for shift in range(6)]
    found = []
    for kind in (*COMPRESSED, "native"):
        if kind == "native":
            path = dicom(tmp_path / "n.dcm", b"".join(f.tobytes() for f in frames), NumberOfFrames=6)
        else:
            packed = [compressed(kind, tmp_path, frame) for frame in frames]
            path = dicom(tmp_path / f"{kind}.dcm", [content for _, content in packed], syntax=packed[0][0])
        found += dicom_pictures(str(path), HAM10000)
    start = threading.Barrier(8)

    def fetch(k: int) -> np.ndarray:
        if k < 8:
            start.wait(10)
        return found[k].picture.fetch()

    with ThreadPoolExecutor(8) as pool:
        for k, pixels in enumerate(pool.map(fetch, range(len(found)))):
            assert np.array_equal(pixels, frames[k % 6])


def test_a_file_is_hashed_once_and_no_frame_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dermedge.batch.dicom import frame as module

    hashed = []
    hash_once = module._sha256
    monkeypatch.setattr(module, "_sha256", lambda stream: hashed.append(1) or hash_once(stream))
    side, count = 512, 40
    path = dicom(tmp_path / "a.dcm", bytes(side * side * 3) * count, (side, side), NumberOfFrames=count)
    frame = side * side * 3
    tracemalloc.start()
    found = dicom_pictures(str(path), HAM10000)
    assert tracemalloc.get_traced_memory()[1] < frame
    for picture in found:
        picture.picture.fetch()
    assert tracemalloc.get_traced_memory()[1] < 6 * frame  # of 40
    tracemalloc.stop()
    assert hashed == [1]


def test_a_file_that_changes_meanwhile(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", PIXELS.tobytes())
    (found,) = dicom_pictures(str(path), HAM10000)
    dicom(path, (255 - PIXELS).tobytes())
    os.utime(path, ns=(1, 1))
    with pytest.raises(InputRejected, match=r"a\.dcm: it has changed since it was found\.$"):
        found.picture.fetch()


def test_a_relative_path_stays_what_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    dicom(tmp_path / "a.dcm", PIXELS.tobytes())
    (found,) = dicom_pictures("a.dcm", HAM10000)
    monkeypatch.chdir(os.sep)
    assert found.path == "a.dcm"
    assert np.array_equal(found.picture.fetch(), PIXELS)


def test_what_a_dicom_file_is(tmp_path: Path) -> None:
    assert is_dicom("nowhere.DCM")
    assert is_dicom(tmp_path / "x.dicom")
    path = dicom(tmp_path / "IM000001", PIXELS.tobytes())
    assert is_dicom(path)
    assert is_dicom(os.fsencode(path))
    (tmp_path / "a.jpg").write_bytes(jpeg(PIXELS))
    for other in (tmp_path / "a.jpg", tmp_path, tmp_path / "nothing", "a\0b", ""):
        assert not is_dicom(other)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        assert not is_dicom(tmp_path / "pipe")


def test_lossy_jpeg_ls(tmp_path: Path) -> None:
    """What GDCM encodes is lossless, and its kind may still be called near-lossless."""
    _, content = compressed("JPEG-LS", tmp_path, PIXELS)
    assert np.array_equal(fetched(dicom(tmp_path / "a.dcm", [content], syntax=JPEG_LS_LOSSY)), PIXELS)


def test_recognising_imports_no_pydicom() -> None:
    import subprocess

    code = "import sys; from dermedge.batch.dicom import found, recognised; recognised.is_dicom('a');"
    code += "sys.exit('pydicom' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_warnings(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = dicom(tmp_path / "a.dcm", PIXELS.tobytes())
        fetched(path)


def test_a_grey_jpeg_picture_stands_upright(tmp_path: Path) -> None:
    """As the same JPEG data in a file of their own."""
    exif = Image.Exif()
    exif[0x0112] = 6
    content = jpeg(GREY, quality=95, exif=exif)
    for photometric, sign in (("MONOCHROME2", 1), ("MONOCHROME1", -1)):
        path = dicom(tmp_path / "a.dcm", [content], syntax=JPEG, photometric=photometric)
        expected = np.rot90(GREY, -1).astype(int)
        pixels = fetched(path)
        pixels = pixels if pixels.ndim == 2 else pixels[..., 0]
        assert np.abs(pixels - (expected if sign == 1 else 255 - expected)).max() < 12


def test_large_frames_of_several_threads_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dermedge_runtime.inputs import picture_memory

    monkeypatch.setattr(picture_memory, "_SMALL", 0)
    monkeypatch.setattr(picture_memory, "MEMORY", 100_000)
    found = []
    for kind in ("JPEG-LS", "lossless JPEG", "RLE"):
        syntax, content = compressed(kind, tmp_path, PIXELS)
        found += dicom_pictures(str(dicom(tmp_path / f"{kind}.dcm", [content] * 4, syntax=syntax)), HAM10000)
    content = jpeg(GREY)
    path = dicom(tmp_path / "j.dcm", [content] * 4, syntax=JPEG, photometric="MONOCHROME1")
    found += dicom_pictures(str(path), HAM10000)
    with ThreadPoolExecutor(6) as pool:
        assert len(list(pool.map(lambda each: each.picture.fetch(), found, timeout=60))) == 16
    assert picture_memory._taken == 0
