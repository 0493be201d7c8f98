"""What the worst accepted pictures of every format take, by the highest memory that a process of its own ever had."""

import os
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from broken_pictures import encode, skin
from PIL import Image

from dermedge_runtime import InputRejected
from dermedge_runtime.inputs import picture_memory
from dermedge_runtime.inputs.image import load_image, load_sized, upright_rgb

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="measured by the resource module")

_MEASURE = """
import resource, sys
from dermedge_runtime.inputs.image import load_sized, upright_rgb
from dermedge_runtime.explanation import overlay
import numpy as np
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1 if sys.platform != "darwin" else 1024)
before = peak()
_, size = load_sized(sys.argv[1], 224)
loaded = peak()
if sys.argv[2] == "explain":
    overlay(upright_rgb(sys.argv[1], 1600), np.ones((7, 7), np.float32))
print((loaded - before) // 1000, (peak() - before) // 1000, *size)
"""


def taken(path: Path, then: str = "explain") -> tuple[int, int, tuple[int, int]]:
    """Measure the megabytes that reading takes, and with the overlay; and the picture's size."""
    surroundings = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    command = [sys.executable, "-c", _MEASURE, str(path), then]
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded, explained, width, height = map(int, done.stdout.split())
    return loaded, explained, (width, height)


def large_png(width: int, height: int, depth: int, colour: int, interlaced: int = 0) -> bytes:
    """Encode rows of zeros without holding them."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    packer = zlib.compressobj(1)
    row = bytes(1 + (width * depth * channels + 7) // 8)
    data = b"".join(packer.compress(row * min(64, height - k)) for k in range(0, height, 64)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def plain(mode: str, width: int, height: int, colour: Any, kind: str, **options: Any) -> Callable[[], bytes]:
    return lambda: encode(Image.new(mode, (width, height), colour), kind, **options)


WORST = {
    "PNG with alpha": lambda: large_png(9990, 9990, 8, 6),
    "progressive JPEG": plain("RGB", 6700, 6700, (200, 150, 140), "JPEG", progressive=True, subsampling=0, quality=50),
    "WebP": plain("RGBA", 5880, 5880, (200, 150, 140, 99), "WEBP", quality=50, method=0),
    "AVIF": plain("RGBA", 5250, 5250, (200, 150, 140, 99), "AVIF", quality=50, speed=10),
    "TIFF in one strip": plain(
        "RGB", 8010, 8010, (200, 150, 140), "TIFF", compression="tiff_lzw", tiffinfo={278: 8010}
    ),
    "BMP": plain("RGB", 8300, 8300, (200, 150, 140), "BMP"),
}


@pytest.mark.parametrize("kind", WORST)
def test_the_worst_pictures_of_each_format(kind: str, tmp_path: Path) -> None:
    """The command line takes 120 MB without any picture, so 560 MB are left for one."""
    path = tmp_path / "large"
    path.write_bytes(WORST[kind]())
    loaded, explained, _ = taken(path, "explain" if kind in ("WebP", "AVIF") else "")
    assert loaded <= 540
    assert explained <= 560


def test_a_photograph_of_a_phone(tmp_path: Path) -> None:
    path = tmp_path / "phone.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    skin(1000, 750).resize((4000, 3000)).save(path, exif=exif)
    loaded, explained, size = taken(path)
    assert size == (3000, 4000)
    assert loaded <= 30
    assert explained <= 100


@pytest.mark.parametrize(
    ("content", "limit", "kind"),
    [
        (lambda: plain("RGB", 6800, 6800, 0, "JPEG", progressive=True, quality=10), 45, "a progressive JPEG file"),
        (lambda: plain("CMYK", 6200, 6200, 0, "JPEG", progressive=True, quality=10), 37, "a progressive JPEG file"),
        (lambda: plain("RGB", 6000, 6000, 0, "WEBP", lossless=True, quality=0, method=0), 34, "a WebP file"),
        (lambda: plain("RGB", 5400, 5400, 0, "AVIF", quality=50, speed=10), 28, "an AVIF file"),
        (
            lambda: plain("RGB", 8100, 8100, 0, "TIFF", compression="tiff_lzw", tiffinfo={278: 8100}),
            64,
            "a TIFF file in strips or tiles of 196 MB",
        ),
    ],
    ids=["progressive", "progressive CMYK", "WebP", "AVIF", "TIFF"],
)
def test_the_limit_of_a_format_is_named(content: Callable[[], Callable[[], bytes]], limit: int, kind: str) -> None:
    with pytest.raises(InputRejected, match=f"over the limit of {limit} megapixels for {kind} "):
        load_image(content()(), 32)


def test_the_encoded_file_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encode(skin(), "BMP")
    monkeypatch.setattr(picture_memory, "MEMORY", len(content) + 4 * 203 * 149)
    load_image(content, 32)
    monkeypatch.setattr(picture_memory, "MEMORY", len(content) + 4 * 203 * 149 - 1)
    with pytest.raises(InputRejected, match="is 203 x 149 pixels in a file of 0 MB, more than can be read within 0 MB"):
        load_image(content, 32)


def test_a_side_that_is_too_long() -> None:
    with pytest.raises(InputRejected, match="is 1 x 70000 pixels, and no side may be longer than 65535"):
        load_image(large_png(1, 70_000, 8, 6), 32)


def test_a_png_of_too_many_pieces() -> None:
    whole = large_png(8, 8, 8, 0)
    empty = struct.pack(">I4sI", 0, b"IDAT", zlib.crc32(b"IDAT"))
    with pytest.raises(InputRejected, match="too many pieces"):
        load_image(whole[:33] + empty * 200_001 + whole[33:], 8)


def test_large_pictures_of_several_threads_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encode(skin(), "PNG")
    monkeypatch.setattr(picture_memory, "_SMALL", 0)
    monkeypatch.setattr(picture_memory, "MEMORY", 300_000)
    at_once, most = 0, 0
    guard = threading.Lock()
    check = picture_memory._take

    def slow(needed: int) -> None:
        nonlocal at_once, most
        check(needed)
        with guard:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.01)
        with guard:
            at_once -= 1

    monkeypatch.setattr(picture_memory, "_take", slow)
    expected = load_image(content, 16)
    results: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: results.append(load_image(content, 16))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert all(np.array_equal(found, expected) for found in results)
    with pytest.raises(InputRejected):
        load_image(content[:-20], 16)
    assert picture_memory._taken == 0


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "array", "Pillow"])
@pytest.mark.parametrize("size", [(1500, 500), (500, 1500), (350, 250)])
def test_no_more_pixels_than_asked(kind: str, size: tuple[int, int]) -> None:
    picture = skin(300, 100).resize(size)
    source: Any = {"array": np.asarray(picture), "Pillow": picture}.get(kind)
    if source is None:
        options = {"WEBP": {"lossless": True, "quality": 0, "method": 0}, "AVIF": {"quality": 95, "speed": 8}}.get(
            kind, {}
        )
        source = encode(picture, kind, **options)
    found = upright_rgb(source, 400)
    scale = min(1, 400 / max(size))
    assert found.size == (round(size[0] * scale), round(size[1] * scale))
    expected = np.asarray(picture.resize(found.size, Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(np.asarray(found) - expected).max() <= (25 if kind in ("JPEG", "AVIF") else 1)
    assert upright_rgb(source).size == size
    assert load_sized(source, 32)[1] == size


def test_a_file_is_not_kept_open(tmp_path: Path) -> None:
    for kind in ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "AVIF"):
        path = tmp_path / kind
        path.write_bytes(encode(skin(), kind))
        load_image(path, 32)
        upright_rgb(path, 64)
        path.unlink()
