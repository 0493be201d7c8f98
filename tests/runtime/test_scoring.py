"""Requests are answered one after the other, each with its own patient's values, as single predictions are."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from batch.pictures import encoded, folder_of
from make_tiny_model import TINY

from dermedge_runtime import Classifier, InputRejected, Prediction, Rejection, UsageError, model_in_the_box, score
from dermedge_runtime.result_row import columns, to_row


@pytest.fixture(scope="module")
def model() -> Classifier:
    return Classifier(TINY, "cpu")


def test_each_picture_meets_its_own_patient(model: Classifier, tmp_path: Path) -> None:
    folder_of(tmp_path, *(f"{number:02}.png" for number in range(21)))
    requests = [(path, {"age": 4 * number, "sex": "male"}) for number, path in enumerate(sorted(tmp_path.iterdir()))]
    scored = list(score(iter(requests), model))
    assert len(scored) == 21
    for (path, clinical), one in zip(requests, scored, strict=True):
        alone = model.predict(path, **clinical)
        assert isinstance(one.answer, Prediction)
        assert one.answer.probabilities == pytest.approx(alone.probabilities, abs=1e-6)
        assert (one.answer.given, one.answer.source) == (alone.given, str(path))
        assert one.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    ages = {
        tuple(one.answer.probabilities.values())
        for one in score(((requests[0][0], {"age": a}) for a in (5, 90)), model)
    }
    assert len(ages) == 2


def test_what_cannot_be_used_is_rejected_in_its_place(model: Classifier, tmp_path: Path) -> None:
    folder_of(tmp_path, "a.png", "b.png")
    (tmp_path / "c.png").write_bytes(b"text")
    paths = [tmp_path / name for name in ("a.png", "c.png", "gone.png", "b.png", "a.png")]
    clinical = [None, {}, {}, {"age": 400}, {"sex": "male"}]
    scored = list(score(zip(paths, clinical, strict=True), model))
    assert [isinstance(one.answer, Rejection) for one in scored] == [False, True, True, True, False]
    assert "no picture of a known format" in scored[1].answer.reason
    assert scored[1].sha256 == hashlib.sha256(b"text").hexdigest()
    assert "there is no such file" in scored[2].answer.reason and scored[2].sha256 is None
    assert "age must be a number from 0 to 120" in scored[3].answer.reason
    rows = [one.to_row() for one in scored]
    assert len({tuple(row) for row in rows}) == 1, "one set of columns for all"
    assert [bool(row["error"]) for row in rows] == [False, True, True, True, False]


def test_pictures_are_fetched_when_their_turn_comes(model: Classifier) -> None:
    fetched: list[int] = []

    class Later:
        def __init__(self, number: int) -> None:
            self.number, self.name, self.sha256 = number, f"picture {number}", f"{number:064x}"

        def fetch(self) -> bytes:
            fetched.append(self.number)
            if self.number == 3:
                raise InputRejected("picture 3 is secret.")
            return encoded(self.number)

    def endless() -> Iterator[tuple[Later, None]]:
        number = 0
        while True:
            yield Later(number), None
            number += 1

    coming = score(endless(), model, batch_size=2)
    first = [next(coming) for _ in range(6)]
    assert [one.answer.source for one in first] == [f"picture {number}" for number in range(6)]
    assert [one.sha256[-1] for one in first] == list("012345")
    assert first[3].answer.reason == "picture 3 is secret."
    assert max(fetched) < 20
    coming.close()  # type: ignore[attr-defined]


def test_a_row_says_what_the_record_says(tmp_path: Path) -> None:
    path = folder_of(tmp_path, "a.png") / "a.png"
    model = Classifier(model_in_the_box("tiny"), "cpu")
    [one] = score([(path, {"age": "55", "site": "BACK"})], model, explain=True)
    row, record = one.to_row(), one.answer.to_record(explain=True)
    assert [column.name for column in columns(model.spec, explain=True)] == list(row)
    assert (row["given_age"], row["given_sex"], row["given_site"], row["unknown"]) == (55.0, None, "back", ["sex"])
    assert {name: row[f"probability_{name}"] for name in record["probabilities"]} == record["probabilities"]
    for name in ("label", "decision", "model", "model_sha256", "device", "provider", "time", "ood_score"):
        assert row[name] == record[name]
    assert row["explanation"] == record["explanation_text"]
    assert row["relevance_age"] == one.answer.relevance_by_field["age"]
    assert {name: row[name] for name in record["versions"]} == record["versions"]
    assert set(to_row(one.answer, columns(model.spec))) == set(row) - {
        name for name in row if name.startswith(("explanation", "relevance"))
    }


def test_arrays_have_no_hash_and_no_pairs_are_refused(model: Classifier) -> None:
    [one] = score([(np.zeros((8, 8, 3), np.uint8), None)], model)
    assert one.sha256 is None and isinstance(one.answer, Prediction)
    with pytest.raises(UsageError, match="A request is a pair of a picture and its clinical values, got str"):
        list(score(["a.png"], model))
    with pytest.raises(UsageError, match="clinical values of picture 2 must be a mapping"):
        list(score([(np.zeros((8, 8, 3), np.uint8), None), (np.zeros((8, 8, 3), np.uint8), 7)], model))
