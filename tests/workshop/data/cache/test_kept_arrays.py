"""Arrays on disk: never a wrong one, however many make them at once and whatever happens to the files."""

import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dermedge.data.cache import kept_arrays, pixel_cache
from dermedge.data.cache.kept_arrays import kept_array, kept_or_private_array
from dermedge.data.cache.pixel_cache import load_pixels
from dermedge.data.files import content_hashes
from dermedge_runtime.errors import DermedgeError, InputRejected
from dermedge_runtime.inputs.image import load_image

KEY = "k" * 32
PARTS = [bytes([number]) * 1000 for number in range(1, 8)]
posix = pytest.mark.skipif(os.name != "posix", reason="signals and locks of POSIX")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "array.u8"


def kept(target: Path) -> bytes:
    return kept_array(target, KEY, lambda: PARTS, "numbers").tobytes()


def refuse() -> Iterator[bytes]:
    raise AssertionError("made again")


def inverted(content: bytes) -> bytes:
    half = len(content) // 2
    return bytes(255 - value for value in content[:half]) + content[half:]


DAMAGE = {
    "half inverted": inverted,
    "one bit": lambda content: content[:3000] + bytes([content[3000] ^ 1]) + content[3001:],
    "the last bit": lambda content: content[:-1] + bytes([content[-1] ^ 128]),
    "cut": lambda content: content[:-10],
    "cut before the checksum": lambda content: content[: -kept_arrays._END.size],
    "empty": lambda content: b"",
    "zeros": lambda content: bytes(len(content)),
    "black from the middle on": lambda content: content[:3500] + bytes(len(content) - 3500),
    "black, with its end": lambda content: bytes(7000) + content[7000:],
    "longer": lambda content: content + b"x",
    "two pictures changed over": lambda content: content[1000:2000] + content[:1000] + content[2000:],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_noticed_said_and_mended(target, caplog, damage):
    kept(target)
    whole = target.read_bytes()
    target.write_bytes(damage(whole))
    assert kept(target) == b"".join(PARTS)
    assert "damaged" in caplog.text and str(target) in caplog.text
    assert target.read_bytes() == whole
    caplog.clear()
    kept_array(target, KEY, refuse, "numbers")
    assert caplog.text == ""


def test_damage_between_two_reads_of_one_process_is_noticed(target, monkeypatch):
    monkeypatch.setattr(kept_arrays, "_YOUNG_NS", -(10**12))  # as if the file had been old when it was compared
    kept(target)
    kept(target)
    content = bytearray(target.read_bytes())
    content[5] ^= 1
    time.sleep(0.02)
    target.write_bytes(content)
    assert kept(target) == b"".join(PARTS)


def test_an_old_file_is_compared_once_a_process(target, monkeypatch):
    kept(target)
    monkeypatch.setattr(kept_arrays, "_YOUNG_NS", -(10**12))
    kept(target)
    monkeypatch.setattr(kept_arrays, "_checksum", lambda *_: pytest.fail("compared again"))
    kept(target)


def test_the_array_of_another_key_is_damage(target, caplog):
    kept(target)
    other = kept_array(target, "o" * 32, lambda: [b"other"], "numbers")
    assert other.tobytes() == b"other" and "another array" in caplog.text


def test_an_array_of_nothing(target):
    assert kept_array(target, KEY, lambda: [], "numbers").shape == (0,)
    assert kept_array(target, KEY, refuse, "numbers").shape == (0,)


def test_a_disk_that_reads_back_otherwise_is_an_error(target, monkeypatch):
    monkeypatch.setattr(kept_arrays, "_checksum", lambda *_: 0)
    with pytest.raises(DermedgeError, match="reads back otherwise"):
        kept(target)


def test_makers_that_fail_leave_nothing(target):
    def fail() -> Iterator[bytes]:
        yield b"half"
        raise InputRejected("no")

    with pytest.raises(InputRejected):
        kept_array(target, KEY, fail, "numbers")
    assert list(target.parent.iterdir()) == []


# A container's process: its id is 1. It says when it makes, and waits for a line in the middle of it.
MAKER = """
import os, sys
from pathlib import Path
os.getpid = lambda: 1
from dermedge.data.cache import kept_arrays
def make():
    print("makes", flush=True)
    yield bytes([7]) * 50000
    sys.stdin.readline()
    yield bytes([8]) * 50000
kept_arrays._STALLED_S = float(sys.argv[2])
found = kept_arrays.kept_array(Path(sys.argv[1]), "k" * 32, make, "numbers").tobytes()
print("right" if found == bytes([7]) * 50000 + bytes([8]) * 50000 else "WRONG", flush=True)
"""


def maker(target: Path, stalled: float = 60) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MAKER, os.fspath(target), str(stalled)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


@posix
def test_of_two_containers_one_makes_and_the_other_waits(target):
    first = maker(target)
    assert first.stdout is not None and first.stdout.readline() == "makes\n"
    second = maker(target)
    assert second.stderr is not None and "this one waits for it" in second.stderr.readline()
    assert first.communicate("\n", timeout=30)[0] == "right\n"
    assert second.communicate("\n", timeout=30)[0] == "right\n", "it takes what the first one made"
    assert list(target.parent.iterdir()) == [target]


@posix
def test_a_maker_that_is_killed_is_followed_by_the_one_that_waits(target):
    first = maker(target)
    assert first.stdout is not None and first.stdout.readline() == "makes\n"
    second = maker(target)
    assert second.stderr is not None and "this one waits for it" in second.stderr.readline()
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert second.communicate("\n", timeout=30)[0] == "makes\nright\n"
    assert list(target.parent.iterdir()) == [target], "what the killed one left is gone"


@posix
def test_a_maker_that_stands_still_is_not_waited_for_and_not_disturbed(target):
    first = maker(target)
    assert first.stdout is not None and first.stdout.readline() == "makes\n"
    second = maker(target, stalled=0.3)
    assert second.communicate("\n", timeout=30)[0] == "makes\nright\n"
    assert first.communicate("\n", timeout=30)[0] == "right\n"
    assert [path for path in target.parent.iterdir() if path.suffix != ".lock"] == [target]


def test_without_locks_both_make_and_both_are_right(target, monkeypatch):
    monkeypatch.setattr("dermedge_runtime.files.file_lock.try_lock", lambda descriptor: None)
    monkeypatch.setattr("dermedge_runtime.files.temporary_files.try_lock", lambda descriptor: None)
    meet, found = threading.Barrier(2), []

    def make() -> Iterator[bytes]:
        for part in PARTS:
            meet.wait(10)
            yield part

    threads = [
        threading.Thread(target=lambda: found.append(kept_array(target, KEY, make, "numbers").tobytes()))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [b"".join(PARTS)] * 2
    assert [path for path in target.parent.iterdir() if path.suffix == ".tmp"] == []


class TestNoRoom:
    @pytest.fixture(autouse=True)
    def temporary(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        monkeypatch.setattr(tempfile, "tempdir", os.fspath(tmp_path))
        for made in (kept_arrays._private, kept_arrays._private_folder):
            made.cache_clear()
        yield tmp_path
        for made in (kept_arrays._private, kept_arrays._private_folder):
            made.cache_clear()

    def test_a_folder_that_cannot_be_written_is_said_and_a_private_one_is_used(self, tmp_path, caplog):
        (tmp_path / "cache").write_bytes(b"a file where the folder should be")
        target = tmp_path / "cache" / "array.u8"
        found = kept_or_private_array(target, KEY, lambda: PARTS, "numbers")
        assert found.tobytes() == b"".join(PARTS)
        assert caplog.text.count("DERMEDGE_CACHE names another folder") == 1
        again = kept_or_private_array(target, KEY, refuse, "numbers")
        assert again.tobytes() == found.tobytes(), "made once for this process"

    def test_no_room_anywhere_is_one_sentence(self, tmp_path, monkeypatch):
        (tmp_path / "cache").write_bytes(b"")
        monkeypatch.setattr(tempfile, "tempdir", os.fspath(tmp_path / "cache"))
        with pytest.raises(DermedgeError, match=r"^Numbers can be kept neither in .*DERMEDGE_CACHE names another"):
            kept_or_private_array(tmp_path / "cache" / "array.u8", KEY, lambda: PARTS, "numbers")


class TestPixels:
    @pytest.fixture(autouse=True)
    def cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("DERMEDGE_CACHE", os.fspath(tmp_path / "cache"))
        return tmp_path / "cache" / "pixels"

    @staticmethod
    def picture(path: Path, level: int) -> Path:
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((20, 20, 3), level, np.uint8)).save(path)
        return path

    def test_a_damaged_cache_never_reaches_a_training(self, tmp_path, cache, caplog):
        paths = [self.picture(tmp_path / f"{level}.png", level) for level in (50, 100, 150)]
        load_pixels(paths, 16, "bilinear")
        (file,) = cache.glob("*.u8")
        file.write_bytes(inverted(file.read_bytes()))
        assert load_pixels(paths, 16, "bilinear")[:, 0, 0, 0].tolist() == [50, 100, 150]
        assert "damaged" in caplog.text

    def test_another_content_with_the_same_length_and_time_is_noticed(self, tmp_path):
        path = self.picture(tmp_path / "a.bmp", 50)
        times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
        assert load_pixels([path], 16, "bilinear")[0, 0, 0, 0] == 50
        self.picture(path, 90)
        os.utime(path, ns=times)  # as cp -p does
        assert load_pixels([path], 16, "bilinear")[0, 0, 0, 0] == 90

    def test_a_file_replaced_with_its_old_times_is_noticed(self, tmp_path, monkeypatch):
        path, other = self.picture(tmp_path / "a.bmp", 50), self.picture(tmp_path / "b.bmp", 90)
        monkeypatch.setattr(content_hashes, "_COARSE_NS", -(10**12))  # everything counts as certain
        assert load_pixels([path], 16, "bilinear")[0, 0, 0, 0] == 50
        os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
        other.replace(path)
        assert load_pixels([path], 16, "bilinear")[0, 0, 0, 0] == 90

    def test_a_clock_that_stands_still_deceives_nobody(self, tmp_path, monkeypatch):
        path = self.picture(tmp_path / "a.bmp", 50)
        state = content_hashes.file_state(os.fspath(path))
        monkeypatch.setattr(pixel_cache, "file_state", lambda name: state)
        assert load_pixels([path], 16, "bilinear")[0, 0, 0, 0] == 50
        self.picture(path, 90)
        assert load_pixels([path], 16, "bilinear")[0, 0, 0, 0] == 90

    def test_what_is_old_is_hashed_once(self, tmp_path, monkeypatch):
        path = self.picture(tmp_path / "a.bmp", 50)
        monkeypatch.setattr(content_hashes, "_COARSE_NS", -(10**12))
        load_pixels([path], 16, "bilinear")
        monkeypatch.setattr(pixel_cache, "hash_file", lambda name: pytest.fail("hashed again"))
        load_pixels([path], 16, "bilinear")

    @pytest.mark.parametrize("harm", ["one digit", "no index", "a list", "deep", "earlier format", "short entries"])
    def test_a_damaged_index_is_an_empty_one(self, tmp_path, cache, monkeypatch, harm):
        monkeypatch.setattr(content_hashes, "_COARSE_NS", -(10**12))
        path = self.picture(tmp_path / "a.bmp", 50)
        load_pixels([path], 16, "bilinear")
        index = cache / "content-hashes.json"
        text = index.read_text()
        digest = content_hashes.hash_file(os.fspath(path))
        index.write_text(
            {
                "one digit": text.replace(digest, ("0" if digest[0] != "0" else "1") + digest[1:]),
                "no index": "{}",
                "a list": "[1, 2]",
                "deep": "[" * 100_000,
                "earlier format": f'{{"{path}": [1, 2, "{digest}"]}}',
                "short entries": f'{{"format": 3, "sha256": "", "files": {{"{path}": [1]}}}}',
            }[harm]
        )
        hashed: list[str] = []
        monkeypatch.setattr(pixel_cache, "hash_file", lambda name: hashed.append(name) or digest)
        assert load_pixels([path], 16, "bilinear")[0, 0, 0, 0] == 50
        assert hashed == [os.fspath(path)]

    def test_two_writers_of_the_index_keep_each_others_entries(self, tmp_path, monkeypatch):
        monkeypatch.setattr(content_hashes, "_COARSE_NS", -(10**12))
        paths = [self.picture(tmp_path / f"{level}.png", level) for level in range(8)]
        meet = threading.Barrier(8)

        def hashed(name: str) -> str:
            meet.wait(10)  # all have read the empty index before one writes it
            return content_hashes.hash_file(name)

        monkeypatch.setattr(pixel_cache, "hash_file", hashed)
        threads = [threading.Thread(target=pixel_cache.pixels_key, args=([path], 16, "bilinear")) for path in paths]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        monkeypatch.setattr(pixel_cache, "hash_file", lambda name: pytest.fail(f"{name} was forgotten"))
        pixel_cache.pixels_key(paths, 16, "bilinear")

    def test_a_picture_that_changes_while_it_is_read_is_rejected(self, tmp_path, cache, monkeypatch):
        path = self.picture(tmp_path / "a.png", 50)

        def read(source: Path, *how: Any) -> np.ndarray:
            self.picture(path, 90)
            return load_image(source, *how)

        monkeypatch.setattr(pixel_cache, "load_image", read)
        with pytest.raises(InputRejected, match="changed while they were read"):
            load_pixels([path], 16, "bilinear")
        assert not list(cache.glob("*.u8"))

    def test_left_over_temporary_files_of_any_array_go_when_one_is_made(self, tmp_path, cache):
        path = self.picture(tmp_path / "a.png", 50)
        cache.mkdir(parents=True)
        from dermedge_runtime.files.temporary_files import _this_start

        left = cache / f".other.u8.{_this_start()}0123456789.tmp"
        left.write_bytes(b"x")
        load_pixels([path], 16, "bilinear")
        assert not left.exists()

    def test_an_index_that_cannot_be_written_costs_time_alone(self, tmp_path, cache, caplog):
        path = self.picture(tmp_path / "a.png", 50)
        cache.parent.mkdir()
        cache.write_bytes(b"a file where the folder should be")
        with caplog.at_level(logging.INFO):
            assert load_pixels([path], 16, "bilinear")[0, 0, 0, 0] == 50
        assert "hashed at every start" in caplog.text
