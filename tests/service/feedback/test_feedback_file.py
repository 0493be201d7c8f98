"""The file of a study: what is none is refused with its line, and only the same model goes on with it."""

import os
import resource
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from make_tiny_model import TINY

from dermedge.service.audit.growing_file import LineUnwritable
from dermedge.service.feedback.feedback_file import read_feedback
from dermedge.service.feedback.feedback_log import FeedbackLog
from dermedge_runtime import Classifier, DermedgeError, InputRejected, UsageError

CLASSIFIER = Classifier(TINY, "cpu")


def opened(path: Path, sha256: str = CLASSIFIER.sha256) -> FeedbackLog:
    return FeedbackLog(path, model="tiny", sha256=sha256, spec=CLASSIFIER.spec)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    log = opened(tmp_path / "r.jsonl")
    log.first("ana", "1", "nv")
    log.answer("ana", "1", "0" * 64, CLASSIFIER.predict(Path(__file__).parents[3] / "docs/pictures/lesion.jpg"))
    log.second("ana", "1", "mel")
    log.close()
    return tmp_path / "r.jsonl"


@pytest.mark.parametrize("content", [b"Dear colleague", b'{"event":"begun","salt":"x"}\n', b"[]\n", b"\0\n", b"1,2\n"])
def test_another_file_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    other = tmp_path / "other"
    other.write_bytes(content)
    with pytest.raises(InputRejected, match="other is no feedback file of dermedge"):
        opened(other)
    with pytest.raises(InputRejected, match="other is no feedback file of dermedge"):
        read_feedback(other)
    assert other.read_bytes() == content and not (tmp_path / "other.torn").exists()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"second"', '"third"', "Line 4 of r.jsonl is none of a study: it has the event third."),
        ('"diagnosis":"nv"', '"diagnosis":"xy"', "Line 2 of r.jsonl .* no diagnosis xy"),
        ('"event":"first"', '"event":"second"', "Line 2 of r.jsonl .* no first opinion of ana"),
        ('"case":"1","label"', '"case":"2","label"', "Line 3 of r.jsonl .* no first opinion of ana on case 2"),
        ('"label":"', '"label":"x', "Line 3 of r.jsonl .* none of the study's model"),
        ('"mel"}', '"mel"', "Line 4 of r.jsonl is damaged"),
    ],
)
def test_a_changed_line_is_named(path: Path, old: str, new: str, words: str) -> None:
    head, *rest = path.read_text().splitlines(keepends=True)
    path.write_text(head + "".join(rest).replace(old, new))
    with pytest.raises(InputRejected, match=words):
        read_feedback(path)
    with pytest.raises(InputRejected, match=words):
        opened(path)


def test_a_doubled_line_is_named(path: Path) -> None:
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines, lines[-1]]))
    with pytest.raises(InputRejected, match=r"Line 5 of r\.jsonl .* second opinion of ana on case 1 is there twice"):
        read_feedback(path)


def test_a_study_is_of_one_model(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(UsageError, match=r"r\.jsonl is a study of tiny .*: serve that model, or name another file\."):
        opened(path, "1" * 64)
    assert path.read_bytes() == before
    clinical = CLASSIFIER.spec.clinical
    field = replace(clinical.numeric[0], name="case")
    spec = replace(CLASSIFIER.spec, clinical=replace(clinical, numeric=(field, *clinical.numeric[1:])))
    with pytest.raises(UsageError, match="tiny has a field of its own called case"):
        FeedbackLog(path, model="tiny", sha256=CLASSIFIER.sha256, spec=spec)


def test_one_service_writes_it(path: Path) -> None:
    log = opened(path)
    with pytest.raises(DermedgeError, match="is being written by process"):
        opened(path)
    log.close()
    opened(path).close()


def test_a_full_disk_leaves_whole_lines(path: Path) -> None:
    log = opened(path)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, limits[1]))
    try:
        with pytest.raises(LineUnwritable, match=r"The feedback file .* cannot be written: File too large"):
            log.first("ben", "1", "nv")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before and ("ben", "1") not in log.study.readings
    log.first("ben", "1", "nv")
    log.close()
    assert list(read_feedback(path).readings) == [("ana", "1"), ("ben", "1")]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_others_cannot_read_it(path: Path) -> None:
    assert not stat.S_IMODE(path.stat().st_mode) & 0o007
