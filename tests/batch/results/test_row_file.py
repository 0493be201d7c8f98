"""A file of lines holds whole lines, whatever ended the process that wrote it."""

import errno
import os
import resource
import signal
from pathlib import Path

import pytest

from dermedge.batch.results.row_file import RowFile


def test_what_was_torn_is_cut_off_at_the_next_opening(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "r.csv"
    file = RowFile(path)
    assert file.empty
    file.append(b"a\nb\n")
    file.close()
    with path.open("ab") as stream:
        stream.write(b"half a li")
    again = RowFile(path)
    assert list(again.lines()) == [b"a", b"b"] and not again.empty
    again.append(b"c\n")
    again.close()
    assert path.read_bytes() == b"a\nb\nc\n"


@pytest.mark.parametrize("content", [b"", b"no end", b"x" * 3_000_000, b"a\n" + b"x" * 3_000_000, b"\n"])
def test_a_last_line_of_any_length(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(content)
    file = RowFile(path)
    file.append(b"next\n")
    file.close()
    assert path.read_bytes() == content[: content.rfind(b"\n") + 1] + b"next\n"


def test_lines_that_do_not_fit_are_not_there_and_later_ones_are(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    file = RowFile(path)
    file.append(b"a" * 99 + b"\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (150, before[1]))
        with pytest.raises(OSError) as caught:
            file.append(b"b" * 99 + b"\n")
        assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
        assert path.stat().st_size == 100
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    file.append(b"c\n")
    file.close()
    assert path.read_bytes() == b"a" * 99 + b"\nc\n"


def test_lines_go_to_the_disk_at_intervals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    clock = [0.0]
    monkeypatch.setattr("dermedge.batch.results.row_file.time.monotonic", lambda: clock[0])
    file = RowFile(tmp_path / "r.csv")
    for second in range(13):
        clock[0] = float(second)
        file.append(b"a\n")
    assert len(synced) == 2
    file.close()
    assert len(synced) == 3
