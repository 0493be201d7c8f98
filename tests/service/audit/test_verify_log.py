"""Every change of a log is found, and named by its line."""

import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from service.audit.logs import write_log
from service.conftest import Command

from dermedge.service.audit.log_files import files_of
from dermedge.service.audit.log_line import make_line
from dermedge.service.audit.verify_log import verify_log

Lines = list[bytes]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
def lines(path: Path) -> Lines:
    """Of a log with 12 lines."""
    return write_log(path, 9)


def _forged(line: bytes, **changed: object) -> bytes:
    """Change a line, and make its own hash anew."""
    record = {key: value for key, value in json.loads(line).items() if key != "sha256"}
    return make_line(record | changed)[0]


def _faults(path: Path, lines: Lines) -> list[tuple[int, str]]:
    path.write_bytes(b"".join(lines))
    return [(fault.number, fault.what) for fault in verify_log([path]).faults]


def _hash(line: bytes) -> str:
    return json.loads(line)["sha256"]


def test_an_altered_line(path: Path, lines: Lines) -> None:
    for place in range(len(lines)):
        changed = lines[place].replace(b'"time":"2', b'"time":"1')
        (found,) = _faults(path, [*lines[:place], changed, *lines[place + 1 :]])
        last = ", the last," if place == len(lines) - 1 else ""
        assert found[0] == place + 1
        assert found[1].startswith(f'line {place + 1}{last} is altered; there stands: {{"seq":{place + 1},"time":"1')


def test_missing_lines(path: Path, lines: Lines) -> None:
    assert _faults(path, lines[:4] + lines[5:]) == [(5, "line 5 is missing; there stands line 6")]
    assert _faults(path, lines[:4] + lines[8:]) == [(5, "lines 5 to 8 are missing; there stands line 9")]
    assert _faults(path, lines[1:]) == [(1, "line 1 is missing; there stands line 2")]
    assert _faults(path, lines[:2] + lines[3:6] + lines[7:]) == [
        (3, "line 3 is missing; there stands line 4"),
        (6, "line 7 is missing; there stands line 8"),
    ]


def test_moved_lines(path: Path, lines: Lines) -> None:
    swapped = [*lines[:4], lines[5], lines[4], *lines[6:]]
    assert _faults(path, swapped) == [(6, "line 5 stands out of its order, after line 6")]
    to_the_end = [*lines[:3], *lines[4:], lines[3]]
    assert _faults(path, to_the_end) == [(12, "line 4 stands out of its order, after line 12")]
    backwards = _faults(path, [lines[0], *reversed(lines[1:])])
    assert len(backwards) == 10 and all("stands out of its order, after line 12" in what for _, what in backwards)


def test_a_line_that_stands_there_twice(path: Path, lines: Lines) -> None:
    assert _faults(path, [*lines[:5], lines[4], *lines[5:]]) == [
        (6, "line 5 stands here a second time; it stands at audit.jsonl:5 too")
    ]
    assert _faults(path, [*lines, lines[2]]) == [
        (13, "line 3 stands here a second time; it stands at audit.jsonl:3 too")
    ]
    assert _faults(path, [*lines[:3], *lines[4:], lines[3], lines[3]]) == [
        (12, "line 4 stands out of its order, after line 12"),
        (13, "line 4 stands out of its order, after line 12, and not for the first time"),
    ]


def test_a_line_that_was_put_in(path: Path, lines: Lines) -> None:
    for junk in (b"{}\n", b"\n", b"[1]\n", b"\x00\xff\n", lines[3][:-2] + b" }\n", b"x" * 3_000_000 + b"\n"):
        ((number, what),) = _faults(path, [*lines[:4], junk, *lines[4:]])
        assert number == 5 and what.startswith(
            "a line that is none of this log was put in after line 4; there stands: "
        )
        assert len(what) < 400
    forged = _forged(lines[4], label="nv")  # right by itself, in its place and behind the right line
    assert _faults(path, [*lines[:4], forged, *lines[4:]]) == [
        (6, "another line with the number 5 than the one at audit.jsonl:5: one of them was put in"),
        (7, "line 6 follows another line 5 than the one at audit.jsonl:5: the one at audit.jsonl:6"),
    ]
    assert _faults(path, [*lines[:5], forged, *lines[5:]]) == [
        (6, "another line with the number 5 than the one at audit.jsonl:5: one of them was put in")
    ]


def test_a_line_with_a_hash_made_anew(path: Path, lines: Lines) -> None:
    forged = _forged(lines[4], label="nv", decision="routine")
    assert _faults(path, [*lines[:4], forged, *lines[5:]]) == [
        (6, "line 6 follows another line 5 than the one at audit.jsonl:5, which was exchanged, or this line 6 was")
    ]
    other = _forged(lines[0], salt="0" * 64)
    assert len(_faults(path, [other, *lines[1:]])) == 1


def test_two_lines_that_were_joined_and_one_that_was_parted(path: Path, lines: Lines) -> None:
    ((number, what),) = _faults(path, [*lines[:4], lines[4][:-1] + b" ", *lines[5:]])
    assert number == 5 and what.startswith("where lines 5 to 6 belong, stands 1 line that is none of this log; there")
    parted = lines[4][:50] + b"\n" + lines[4][50:]
    ((number, what),) = _faults(path, [*lines[:4], parted, *lines[5:]])
    assert number == 5 and what.startswith("where line 5 belongs, stand 2 lines that are none of this log; there")


def test_a_cut_off_end(path: Path, lines: Lines, dermedge: Command) -> None:
    head = _hash(lines[-1])
    done = dermedge("audit", "head", path)
    assert done.returncode == 0
    assert done.stdout == f"{head}  line 12 of audit.jsonl, {json.loads(lines[-1])['time']}\n"
    assert json.loads(dermedge("audit", "head", path, "--json").stdout)["sha256"] == head
    assert (
        "the expected head is line 12; 0 lines came after it\n"
        in dermedge("audit", "verify", path, "--expect", head.upper()).stdout
    )
    earlier = _hash(lines[6])
    done = dermedge("audit", "verify", path, "--expect", earlier)
    assert done.returncode == 0 and "the expected head is line 7; 5 lines came after it\n" in done.stdout
    assert _faults(path, lines[:9]) == []  # what no chain can show
    assert "only a head that was noted elsewhere: --expect" in dermedge("audit", "verify", path).stdout
    done = dermedge("audit", "verify", path, "--expect", head)
    assert (
        done.returncode == 1
        and f"audit.jsonl: no line has the hash {head}: the end was cut off before it" in done.stdout
    )
    (fault,) = _faults(path, [*lines[:9], lines[9][:100]])
    assert fault[0] == 10 and fault[1].startswith("torn: after line 9 stand 100 bytes without a line's end;")
    done = dermedge("audit", "head", path)
    assert done.returncode == 1 and "is not whole. Look at it with: dermedge audit verify" in done.stderr


def test_an_empty_log(path: Path, dermedge: Command) -> None:
    path.touch()
    assert _faults(path, []) == [(0, "holds no line")]
    done = dermedge("audit", "head", path)
    assert (done.returncode, done.stderr) == (1, f"dermedge: The audit log {path} holds no line.\n")
    (fault,) = _faults(path, [b"nonsense\n"])
    assert fault == (1, "line 1, the last, is altered; there stands: nonsense")


def _flip(lines: Lines, draw: random.Random) -> bytes:
    changed = bytearray(b"".join(lines))
    changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _drop(lines: Lines, draw: random.Random) -> bytes:
    first = draw.randrange(len(lines))
    return b"".join(lines[:first] + lines[first + draw.randint(1, 3) :])


def _swap(lines: Lines, draw: random.Random) -> bytes:
    one, other = draw.sample(range(len(lines)), 2)
    lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def _double(lines: Lines, draw: random.Random) -> bytes:
    lines.insert(draw.randrange(len(lines) + 1), draw.choice(lines))
    return b"".join(lines)


def _cut(lines: Lines, draw: random.Random) -> bytes:
    content = b"".join(lines)
    return content[: draw.randrange(len(content))]


def _exchange(lines: Lines, draw: random.Random) -> bytes:
    place = draw.randrange(len(lines))
    lines[place] = _forged(lines[place], time="2020-01-01T00:00:00.000Z")
    return b"".join(lines)


def _put_in(lines: Lines, draw: random.Random) -> bytes:
    place = draw.randrange(1, len(lines))
    lines.insert(place, _forged(lines[place - 1], seq=place + 1, before=_hash(lines[place - 1])))
    return b"".join(lines)


@pytest.mark.parametrize("change", [_flip, _drop, _swap, _double, _cut, _exchange, _put_in])
def test_every_random_change_is_found(change: Callable[[Lines, random.Random], bytes], path: Path) -> None:
    lines, draw = write_log(path, 17), random.Random(0)
    head, unseen = _hash(lines[-1]), 0
    for _ in range(400 if change is _flip else 100):
        changed = change(list(lines), draw)
        path.write_bytes(changed)
        assert verify_log([path], expect=head).faults, changed
        if not verify_log([path]).faults:  # without the head the end alone can be cut, or its last line exchanged
            unseen += 1
            left = changed.splitlines(keepends=True)
            assert left[:-1] == lines[: len(left) - 1]
            assert len(left) < len(lines) or change is _exchange
    assert unseen < 30 and (not unseen or change in (_drop, _cut, _exchange))


def test_the_files_of_a_log(path: Path, dermedge: Command) -> None:
    write_log(path, 20, largest=4096)
    files = files_of(path)
    assert len(files) == 3
    done = dermedge("audit", "verify", path)
    assert (done.returncode, done.stderr) == (0, "")
    first, *others = done.stdout.splitlines()
    assert first == "audit.jsonl, audit.000002.jsonl, audit.000003.jsonl: whole; 25 lines in order"
    assert others[1] == "  begun 1, continued 2, predicted 20, started 1, stopped 1"
    assert dermedge("audit", "verify", *reversed(files)).stdout == done.stdout
    assert dermedge("audit", "verify", path, files[1], path.resolve()).stdout == done.stdout
    record = json.loads(dermedge("audit", "verify", path, "--json").stdout)
    assert (record["whole"], record["lines"], record["first"], record["last"]) == (True, 25, 1, 25)
    assert record["head"] == dermedge("audit", "head", path).stdout[:64]
    done = dermedge("audit", "verify", *files[1:])
    assert done.returncode == 0
    assert (
        "begins in the middle, with line" in done.stdout and "it goes on from audit.jsonl, which was not" in done.stdout
    )
    middle = files[1].read_bytes()
    files[1].unlink()
    done = dermedge("audit", "verify", path)
    assert done.returncode == 1 and "audit.000003.jsonl:1: lines " in done.stdout and "are missing" in done.stdout
    files[1].write_bytes(middle)
    joined = path.with_name("all.jsonl")
    joined.write_bytes(b"".join(file.read_bytes() for file in files))
    assert dermedge("audit", "verify", joined).returncode == 0
    files[1].write_bytes(middle.replace(b"continued", b"cantinued"))
    done = dermedge("audit", "verify", path)
    assert done.returncode == 1 and "audit.000002.jsonl:1: line " in done.stdout and "is altered" in done.stdout
    done = dermedge("audit", "verify", *files[1:])
    assert done.returncode == 1 and "is altered" in done.stdout


def test_many_faults_are_counted(path: Path, dermedge: Command) -> None:
    lines = write_log(path, 100)
    path.write_bytes(b"".join([lines[0], *reversed(lines[1:])]))
    done = dermedge("audit", "verify", path)
    told = done.stdout.splitlines()
    assert done.returncode == 1 and told[50] == "and 51 more"
    assert told[51].startswith("audit.jsonl: NOT whole, 101 faults; 2 lines in order")


def test_a_control_character_does_not_drive_the_terminal(path: Path, lines: Lines, dermedge: Command) -> None:
    path.write_bytes(b"".join([*lines[:3], b"\x1b[31mred\n", *lines[3:]]))
    done = dermedge("audit", "verify", path)
    assert "\x1b" not in done.stdout and r"there stands: \x1b[31mred" in done.stdout


def test_a_hash_by_hand(lines: Lines) -> None:
    """As the documentation says it: the bytes before the key."""
    body, _, rest = lines[5].partition(b',"sha256":"')
    assert hashlib.sha256(body).hexdigest() == rest[:64].decode()


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["verify"], 2, "audit verify takes the files of a log. See dermedge audit --help."),
        (["head"], 2, "audit head takes one log. See dermedge audit --help."),
        (["head", "a", "b"], 2, "audit head takes one log. See dermedge audit --help."),
        (["verfy", "a"], 2, "audit takes verify or head, got 'verfy'; did you mean verify?"),
        ([], 2, "audit needs verify|head FILE. See dermedge audit --help."),
        (["head", "a", "--expect", "0" * 64], 2, "--expect belongs to audit verify."),
        (["verify", "a", "--expect", "12"], 2, "--expect takes a head as audit head prints it: 64 hexadecimal digits."),
        (["verify", "none.jsonl"], 3, "The audit log none.jsonl cannot be read: No such file or directory."),
        (["head", "none.jsonl"], 3, "The audit log none.jsonl cannot be read: No such file or directory."),
        (["verify", "."], 3, "The audit log . cannot be read: Is a directory."),
    ],
)
def test_refusals(arguments: list[str], code: int, sentence: str, dermedge: Command, tmp_path: Path,
                  monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    done = dermedge("audit", *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", f"dermedge: {sentence}\n")
