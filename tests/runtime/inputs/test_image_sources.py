"""What can be given as a picture: whatever holds the bytes of a file, and one clear sentence for what does not."""

import asyncio
import gzip
import io
import mmap
import os
import socket
import tempfile
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from broken_pictures import ALL, SKIN
from PIL import Image

from dermedge_runtime import InputRejected
from dermedge_runtime.inputs import picture_source
from dermedge_runtime.inputs.image import load_image, picture_name, read_whole, upright_rgb

CONTENT = ALL["PNG"]
EXPECTED = load_image(CONTENT, 32)
ARRAY = np.asarray(SKIN)


def rejection(source: Any) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a coroutine that is never awaited warns
        with pytest.raises(InputRejected) as caught:
            load_image(source, 32)
    return str(caught.value)


def test_bytes_that_can_change_are_copied() -> None:
    buffer = bytearray(CONTENT)
    for source in (buffer, memoryview(buffer), memoryview(CONTENT), memoryview(buffer + buffer)[: len(CONTENT)]):
        np.testing.assert_array_equal(load_image(source, 32), EXPECTED)
        kept = read_whole(source, "")
        assert isinstance(kept, bytes)
        assert kept == CONTENT
    every_second = memoryview(bytes(byte for pair in zip(CONTENT, CONTENT, strict=True) for byte in pair))[::2]
    np.testing.assert_array_equal(load_image(every_second, 32), EXPECTED)
    assert "give pixels as a NumPy array" in rejection(memoryview(ARRAY))


class OnlyRead:
    """What an uploaded file can be: no seek, no size."""

    def __init__(self, content: Any) -> None:
        self.content = content

    def read(self) -> Any:
        return self.content


class Upload:
    """An upload whose methods are asynchronous."""

    filename = "upload.png"

    async def read(self, size: int = -1) -> bytes:
        return CONTENT

    async def seek(self, offset: int) -> None: ...


class SeekableUpload(Upload):
    async def seekable(self) -> bool:
        return True


class Drip(io.RawIOBase):
    """A stream that gives few bytes at once and cannot go back."""

    def __init__(self) -> None:
        self.rest = io.BytesIO(CONTENT)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self.rest.read(min(1000, len(buffer)))
        buffer[: len(piece)] = piece
        return len(piece)


def test_objects_with_read() -> None:
    for source in (OnlyRead(CONTENT), OnlyRead(bytearray(CONTENT)), OnlyRead(memoryview(CONTENT)), Drip()):
        np.testing.assert_array_equal(load_image(source, 32), EXPECTED)
    packed = gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(CONTENT)))
    np.testing.assert_array_equal(load_image(packed, 32), EXPECTED)


def test_open_files_are_read_from_their_beginning(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(CONTENT)
    with path.open("rb") as stream, path.open("rb", buffering=0) as raw, tempfile.SpooledTemporaryFile() as spooled:
        spooled.write(CONTENT)
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            for source in (stream, raw, spooled, mapped, io.BytesIO(CONTENT)):
                for place in (0, 5, len(CONTENT)):
                    source.seek(place)
                    np.testing.assert_array_equal(load_image(source, 32), EXPECTED)


def test_a_pipe(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    thread = threading.Thread(target=lambda: (os.write(writing, CONTENT[:100]), os.close(writing)))
    with os.fdopen(reading, "rb") as stream:
        thread.start()
        assert "breaks off" in rejection(stream)
        thread.join()
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as stream:
            stream.write(CONTENT)

    thread = threading.Thread(target=write)
    with os.fdopen(reading, "rb") as stream:
        thread.start()
        np.testing.assert_array_equal(load_image(stream, 32), EXPECTED)
        thread.join()
    here, there = socket.socketpair()
    with here, there:
        thread = threading.Thread(target=lambda: (there.sendall(CONTENT), there.shutdown(socket.SHUT_WR)))
        thread.start()
        with here.makefile("rb") as stream:
            np.testing.assert_array_equal(load_image(stream, 32), EXPECTED)
        thread.join()


def test_asynchronous_uploads() -> None:
    for source in (Upload(), SeekableUpload()):
        assert "await upload.read() first" in rejection(source)
    assert "upload.png" in rejection(Upload())
    assert "await upload.read() first" in rejection(Upload().read())
    assert "await upload.read() first" in rejection(OnlyRead(Upload().read()))
    np.testing.assert_array_equal(load_image(asyncio.run(Upload().read()), 32), EXPECTED)


def _fails() -> Any:
    raise RuntimeError("the connection\nwas lost.")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (io.StringIO("text"), "open as text"),
        (OnlyRead("text"), "open as text"),
        (OnlyRead(None), "gave NoneType"),
        (OnlyRead([1, 2]), "gave list"),
        (OnlyRead(b""), "no picture of a known format"),
        (type("Failing", (), {"read": staticmethod(_fails)})(), "the connection was lost. Give an open binary file."),
        (3, "got int"),
        (object(), "got object"),
        ([CONTENT], "got list"),
        ({"file": CONTENT}, "got dict"),
        (np.uint8(3), "got uint8"),
        (None, "got NoneType"),
        (Image, "got module"),
        (io.BytesIO, "BytesIO"),
    ],
)
def test_what_is_no_picture(source: Any, reason: str) -> None:
    text = rejection(source)
    assert reason in text
    assert "\n" not in text


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(CONTENT)
    with path.open("rb") as closed:
        pass
    assert "closed file" in rejection(closed)
    with path.open() as text:
        assert "open as text" in rejection(text)
    with path.open("ab") as writing:
        assert str(path) in rejection(writing)
    reading, writing_end = os.pipe()
    os.set_blocking(reading, False)
    with os.fdopen(reading, "rb", buffering=0) as empty:
        assert "nothing to read yet" in rejection(empty)
    os.close(writing_end)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such files here")
def test_paths_that_are_no_regular_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fifo, place = tmp_path / "fifo", tmp_path / "socket"
    os.mkfifo(fifo)
    assert "it is a pipe" in rejection(fifo)
    assert "it is a folder" in rejection(tmp_path)
    assert "it is a device" in rejection("/dev/zero")
    assert "it is a device" in rejection("/dev/null")
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(tmp_path)  # a socket's name must be short
        listening.bind("socket")
        assert "it is a socket" in rejection(place)
    link, loop = tmp_path / "link.png", tmp_path / "loop"
    link.symlink_to(tmp_path / "nowhere.png")
    loop.symlink_to(loop)
    assert "there is no such file" in rejection(link)
    assert str(loop) in rejection(loop)


def test_names_of_files(tmp_path: Path) -> None:
    for name in (
        "a b.png",
        "läsion.png",
        "病.png",
        "new\nline.png",
        "'quoted'.png",
        "-dash.png",
        "\udcff.png",
        "no suffix",
    ):
        path = tmp_path / name
        path.write_bytes(CONTENT)
        for source in (path, str(path)):
            np.testing.assert_array_equal(load_image(source, 32), EXPECTED)
            assert picture_name(source) == str(path)
        path.write_bytes(b"no picture")
        text = rejection(path)
        assert "no picture of a known format" in text
        assert "\n" not in text
        text.encode()
    for name in ("a\0b.png", "x" * 5000, ""):
        assert "Cannot read the image" in rejection(name)


def test_a_pathlike_of_bytes(tmp_path: Path) -> None:
    class Name:
        def __fspath__(self) -> bytes:
            return os.fsencode(tmp_path / "a.png")

    (tmp_path / "a.png").write_bytes(CONTENT)
    np.testing.assert_array_equal(load_image(Name(), 32), EXPECTED)
    assert picture_name(Name()) == str(tmp_path / "a.png")


def test_endless_and_huge_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_source, "MEMORY", 5_000_000)
    sparse = tmp_path / "sparse.png"
    with sparse.open("wb") as stream:
        stream.truncate(6_000_000)
    for source in (sparse, OnlyRead(bytes(6_000_000))):
        assert "over the limit of 5 MB for a file" in rejection(source)
    with sparse.open("rb") as stream:
        assert "over the limit" in rejection(stream)
    if os.path.exists("/dev/zero"):
        with Path("/dev/zero").open("rb") as endless:
            assert "over the limit" in rejection(endless)


@pytest.mark.parametrize(
    "change",
    [
        lambda array: array[::-1, ::-1][::-1, ::-1],
        lambda array: np.asfortranarray(array),
        lambda array: array[..., ::-1].copy()[..., ::-1],
        lambda array: np.moveaxis(np.moveaxis(array, 2, 0).copy(), 0, 2),
        lambda array: np.ma.masked_array(array),
        lambda array: array.view(type("Mine", (np.ndarray,), {"__getitem__": lambda *_: _fails()})),
    ],
)
def test_arrays_in_any_memory(change: Callable[[np.ndarray], np.ndarray]) -> None:
    array = change(ARRAY)
    array.setflags(write=False)
    np.testing.assert_array_equal(load_image(array, 32), EXPECTED)
    np.testing.assert_array_equal(np.asarray(upright_rgb(array)), ARRAY)
    assert upright_rgb(array, 50).size == (50, 37)


def test_an_array_in_a_file(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ARRAY)
    np.testing.assert_array_equal(load_image(np.load(tmp_path / "a.npy", mmap_mode="r"), 32), EXPECTED)


def test_masked_pixels() -> None:
    mask = np.zeros(ARRAY.shape, bool)
    mask[3] = True
    assert "no masked pixels" in rejection(np.ma.masked_array(ARRAY, mask))


def test_the_order_of_colours_is_told() -> None:
    assert "red, green, blue" in rejection(np.zeros((8, 8, 4), np.uint8))
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 255
    assert upright_rgb(red).getpixel((0, 0)) == (255, 0, 0)


class Odd:
    """Nothing about it can be asked."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


class OddPath(os.PathLike):  # type: ignore[type-arg]
    def __fspath__(self) -> str:
        raise OSError


@pytest.mark.parametrize(
    ("source", "name"),
    [
        pytest.param(Odd(), "<Odd>", id="Odd"),
        (OddPath(), "<OddPath>"),
        (OnlyRead(b""), "<OnlyRead>"),
        (bytearray(5), "<5 bytes>"),
        (memoryview(bytes(5)), "<5 bytes>"),
        (type("Numbered", (), {"name": 3})(), "<Numbered>"),
        (type("Encoded", (), {"name": b"a.png"})(), "a.png"),
        (type("Named", (), {"name": None, "filename": Path("b.png")})(), "b.png"),
        (np.zeros((2, 2), np.uint8), "<ndarray>"),
        (5, "<int>"),
        ("", ""),
    ],
)
def test_everything_has_a_name(source: Any, name: str) -> None:
    assert picture_name(source) == name
    if not isinstance(source, np.ndarray):
        rejection(source)
