"""Switches of the whole process: those of others are neither trusted nor touched, and nobody is warned."""

import io
import os
import struct
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from broken_pictures import ALL, SKIN, encode
from PIL import BmpImagePlugin, Image, ImageFile, PngImagePlugin, TiffImagePlugin

from dermedge_runtime import InputRejected
from dermedge_runtime.inputs.image import load_image, upright_rgb

PICTURES = {kind: load_image(content, 32) for kind, content in ALL.items()}


def test_eight_threads_leave_the_warning_filters_alone() -> None:
    before = list(warnings.filters)
    version = warnings._filters_version if hasattr(warnings, "_filters_version") else None
    contents = [*ALL.values(), encode(SKIN, "PNG", exif=b"\0\x08\0\2\1\x12\0\3"), b"no picture"] * 8

    def read(content: bytes) -> None:
        try:
            load_image(content, 32)
            upright_rgb(content, 64)
        except InputRejected:
            pass

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read, contents))
    assert list(warnings.filters) == before
    assert version is None or version == warnings._filters_version


def test_another_thread_keeps_its_own_filters() -> None:
    stop, lost = threading.Event(), []

    def other_library() -> None:
        while not stop.is_set():
            warnings.simplefilter("error", ResourceWarning)
            mine = warnings.filters[0]
            for _ in range(50):
                if mine not in warnings.filters:
                    lost.append(mine)

    with warnings.catch_warnings():
        thread = threading.Thread(target=other_library)
        thread.start()
        for _ in range(2):
            for content in ALL.values():
                load_image(content, 32)
        stop.set()
        thread.join()
    assert lost == []


@pytest.mark.parametrize("kind", ALL)
def test_nothing_warns_and_nothing_fails_where_warnings_are_errors(kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with np.errstate(all="raise"):
            np.testing.assert_array_equal(load_image(ALL[kind], 32), PICTURES[kind])


@pytest.mark.parametrize("limit", [None, 1, 100, 10**12])
@pytest.mark.parametrize("kind", ALL)
def test_pillows_own_limit_of_pixels(monkeypatch: pytest.MonkeyPatch, kind: str, limit: int | None) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(load_image(ALL[kind], 32), PICTURES[kind])


def test_our_limit_holds_without_pillows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    header = b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 60000, 60000, 1, 24, *[0] * 6)
    with pytest.raises(InputRejected, match="over the limit of 100 megapixels"):
        load_image(header, 32)


def test_readers_that_others_have_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    def another(*_: object) -> None:
        raise AssertionError("asked somebody else's reader")

    monkeypatch.setattr(
        Image, "OPEN", {kind: (another, None) for kind in ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "AVIF", "X")}
    )
    monkeypatch.setattr(Image, "ID", ["X"])
    monkeypatch.setattr(Image, "open", another)
    for kind, content in ALL.items():
        np.testing.assert_array_equal(load_image(content, 32), PICTURES[kind])


def test_other_switches_of_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BmpImagePlugin, "USE_RAW_ALPHA", True)
    monkeypatch.setattr(TiffImagePlugin, "READ_LIBTIFF", True)
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_CHUNK", 1)
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_MEMORY", 1)
    monkeypatch.setattr(ImageFile, "MAXBLOCK", 10)
    monkeypatch.setattr(ImageFile, "SAFEBLOCK", 10)
    for kind, content in ALL.items():
        np.testing.assert_array_equal(load_image(content, 32), PICTURES[kind])
    head = struct.pack("<IiiHHIIiiII", 40, 2, 1, 1, 32, 0, 0, 0, 0, 0, 0)
    bitmap = b"BM" + struct.pack("<IHHI", 62, 0, 0, 54) + head + bytes([10, 20, 30, 0, 40, 50, 60, 0])
    assert np.asarray(upright_rgb(bitmap)).tolist() == [[[30, 20, 10], [60, 50, 40]]]


def test_another_folder_and_language(tmp_path: Path) -> None:
    (tmp_path / "läsion.jpg").write_bytes(ALL["usual"])
    script = "from dermedge_runtime.inputs.image import load_image; print(load_image('l\\xe4sion.jpg', 32).sum())"
    surroundings = dict(os.environ, LC_ALL="C", PYTHONPATH=os.pathsep.join(sys.path))
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, env=surroundings, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(PICTURES["usual"].sum()), done.stderr


def test_what_pillow_says_of_a_broken_picture_is_not_printed() -> None:
    script = (
        "import sys; from dermedge_runtime.inputs.image import load_image\n"
        "try: load_image(sys.stdin.buffer.read(), 32)\n"
        "except Exception as error: print(error)"
    )
    for content in (ALL["PNG"][:900], ALL["usual"][:900], encode(SKIN, "PNG", exif=b"\0\x08\0\2\1\x12\0\3")):
        done = subprocess.run(
            [sys.executable, "-c", script],
            input=content,
            capture_output=True,
            check=True,
            env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)),
        )
        assert done.stderr == b""


def test_the_callers_palette_stays_opaque() -> None:
    stream = io.BytesIO(encode(SKIN.quantize(16), "PNG", transparency=b"\0\x80"))
    with Image.open(stream) as image:
        image.load()
        before = image.im.getpalette("RGBA", "RGBA")
        load_image(image, 32)
        assert image.im.getpalette("RGBA", "RGBA") == before
        assert image.info["transparency"] == b"\0\x80"
