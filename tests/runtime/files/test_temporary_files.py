"""Temporary files: one owner each, none left behind, nobody else's touched."""

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dermedge_runtime.files import atomic_path, temporary_files, write_text
from dermedge_runtime.files.temporary_files import remove_all_leftovers

posix = pytest.mark.skipif(os.name != "posix", reason="signals, locks and permissions of POSIX")

# A process whose id is 1, as in every container: it says when it has begun, then waits for a line before it ends.
WRITER = """
import os, sys
from pathlib import Path
os.getpid = lambda: 1
from dermedge_runtime.files import atomic_path
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(sys.argv[2].encode() * 1000)
    print(temporary, flush=True)
    sys.stdin.readline()
"""


def writer(target: Path, letter: str) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, os.fspath(target), letter],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def finish(process: subprocess.Popen[str]) -> None:
    process.communicate("\n", timeout=30)
    assert process.returncode == 0


def test_two_writers_with_one_process_id_do_not_meet(tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    (first, one), (second, two) = writer(target, "a"), writer(target, "b")
    assert one != two and one.exists() and two.exists(), "the second one keeps the first one's file"
    finish(second)
    assert target.read_bytes() == b"b" * 1000
    finish(first)
    assert target.read_bytes() == b"a" * 1000
    assert list(tmp_path.iterdir()) == [target]


@posix
def test_what_a_killed_writer_left_is_removed_by_the_next_one_and_what_is_being_written_stays(tmp_path: Path) -> None:
    target = tmp_path / "checkpoint.safetensors"
    (killed, left), (alive, owned) = writer(target, "a"), writer(target, "b")
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert left.exists()
    write_text(target, "next")
    assert not left.exists() and owned.exists()
    finish(alive)
    assert target.read_bytes() == b"b" * 1000
    assert list(tmp_path.iterdir()) == [target]
    for pipe in (killed.stdin, killed.stdout):
        assert pipe is not None
        pipe.close()


def made(path: Path, *, days: float = 0) -> Path:
    path.write_bytes(b"x")
    then = time.time() - days * 86_400
    os.utime(path, (then, then))
    return path


def own(target: str, start: str | None = None) -> str:
    return f".{target}.{start or temporary_files._this_start()}0123456789.tmp"


def test_what_is_not_exactly_ours_stays(tmp_path: Path) -> None:
    other_start = "000000" if temporary_files._this_start() != "000000" else "000001"
    kept = [
        made(tmp_path / name, days=9)
        for name in (
            *("a.tmp", ".a.tmp", ".a.txt.tmp", ".a.txt.note.tmp", "a.txt.12.tmp", ".a.txt.0123456789abcdeF.tmp"),
            *(own("b.txt"), ".a.txt.12345678901.tmp", f"{own('a.txt')}.txt", ".a.txt.x.0123456789abcdef.tmp"),
        )
    ]
    kept += [made(tmp_path / own("a.txt", other_start)), made(tmp_path / ".a.txt.4711.tmp")]  # not a day old
    gone = [made(tmp_path / own("a.txt")), made(tmp_path / ".a.txt.4712.tmp", days=2)]
    gone += [made(tmp_path / f".a.txt.{other_start}abcdefabcd.tmp", days=2)]
    (tmp_path / ".a.txt.99.tmp").mkdir()
    write_text(tmp_path / "a.txt", "text")
    assert [path.name for path in kept if not path.exists()] == []
    assert [path.name for path in gone if path.exists()] == []
    assert (tmp_path / ".a.txt.99.tmp").is_dir()


@posix
def test_a_link_with_such_a_name_is_not_followed(tmp_path: Path) -> None:
    precious = made(tmp_path / "precious")
    link = tmp_path / own("a.txt")
    link.symlink_to(precious)
    write_text(tmp_path / "a.txt", "text")
    assert precious.exists() and link.is_symlink()


def test_a_folder_that_is_wholly_ours_is_cleaned_whatever_was_to_be_written(tmp_path: Path) -> None:
    gone = [made(tmp_path / own(name)) for name in ("a.u8", "b.u8")]
    kept = [made(tmp_path / name) for name in ("a.u8", "b.tmp")]
    remove_all_leftovers(tmp_path)
    assert sorted(tmp_path.iterdir()) == kept and not gone[0].exists()
    remove_all_leftovers(tmp_path / "absent")


def test_a_large_folder_is_not_looked_through_for_every_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    real = os.listdir

    def slow(folder: str) -> list[str]:
        looked.append(folder)
        time.sleep(0.05)
        return real(folder)

    monkeypatch.setattr(os, "listdir", slow)
    for number in range(5):
        write_text(tmp_path / f"{number}.txt", "text")
    assert len(looked) == 1


@posix
def test_a_cleaner_that_is_quicker_than_the_lock_takes_nothing_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = temporary_files.try_lock, []

    def late(descriptor: int) -> bool | None:
        calls.append(descriptor)
        if len(calls) == 1:  # between the file's birth and its lock
            remove_all_leftovers(tmp_path)
        return real(descriptor)

    monkeypatch.setattr(temporary_files, "try_lock", late)
    write_text(tmp_path / "a.txt", "text")
    assert len(calls) >= 3
    assert [path.read_text() for path in tmp_path.iterdir()] == ["text"]


@posix
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_permissions_are_those_of_any_new_file(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_text(tmp_path / "a.txt", "text")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("name", ["n" * 251 + ".txt", "ä" * 125 + ".txt"])
def test_the_longest_names_can_be_written(tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    write_text(target, "text")
    assert list(tmp_path.iterdir()) == [target]


@posix
def test_a_device_or_a_pipe_is_written_into_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", os.fspath(pipe)], stdout=subprocess.PIPE, text=True)
    write_text(pipe, "through the pipe")
    assert reader.communicate(timeout=30)[0] == "through the pipe"
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    write_text(Path("/dev/null"), "text")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    code = "from pathlib import Path; from dermedge_runtime.files import write_text\nprint('one', flush=True)\n"
    redirected = tmp_path / "out.txt"
    with redirected.open("w") as stream:
        subprocess.run(
            [sys.executable, "-c", f"{code}write_text(Path('/dev/stdout'), 'two')"], stdout=stream, check=True
        )
    assert redirected.read_text() == "one\ntwo"


def test_durable_files_are_synced_before_they_get_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, seen = tmp_path / "a.txt", []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (seen.append(target.exists()), real(descriptor)))
    write_text(target, "text", durable=True)
    assert seen[0] is False
    assert seen[1:] in ([True], [])  # then the folder, where there is such a thing
    write_text(target, "text")
    assert len(seen) <= 2


def test_a_full_disk_is_an_error_that_names_the_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_text(tmp_path / "a.txt", "text", durable=True)
    assert caught.value.filename == str(tmp_path / "a.txt")
    assert list(tmp_path.iterdir()) == []


@posix
@pytest.mark.skipif(hasattr(os, "getuid") and os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_an_error_that_names_the_target(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(PermissionError) as caught, atomic_path(tmp_path / "closed" / "a.txt"):
        pass
    assert caught.value.filename == str(tmp_path / "closed" / "a.txt")


def test_a_missing_disk_is_an_error_that_names_the_target() -> None:
    with pytest.raises(OSError) as caught:
        write_text(Path("/proc/nowhere/a.txt"), "text")
    assert "/proc/nowhere" in str(caught.value.filename)
