"""Figures of a study: readers alone, the model alone, readers with the model, on the same cases.

Only a whole reading counts: first opinion, answer, second opinion and truth. Over all readers, a case is what is drawn
and what is tested, with all its readings, because those of one case are alike. Not covered: other readers than these;
they are taken as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermedge.service.feedback.study import DO_NOT_KNOW, Reading, Study
from dermedge.statistics.bootstrap import Interval, PairedOutcome, paired_bootstrap
from dermedge.statistics.intervals import score_intervals
from dermedge.statistics.mcnemar import mcnemar_exact
from dermedge.statistics.shares import share_interval
from dermedge_runtime.errors import InputRejected

ARMS = ("alone", "model", "with_model")
"""Readers before the answer, the answer, readers after it."""
_Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _WholeReadings:
    """N readings, each with all that counts."""

    readers: NDArray[np.str_]
    cases: NDArray[np.str_]
    truth: _Labels
    said: dict[str, _Labels]
    """By arm; one class more than the model's: not known."""

    def of(self, chosen: NDArray[np.bool_]) -> _WholeReadings:
        """Give some of them."""
        said = {arm: labels[chosen] for arm, labels in self.said.items()}
        return _WholeReadings(self.readers[chosen], self.cases[chosen], self.truth[chosen], said)


def study_figures(study: Study, truth: dict[str, str]) -> dict[str, Any]:
    """Compute all figures.

    :param truth: class by case.
    :return: JSON-ready: `readers`, figures by reader; `all`; `left_out`, readings that do not count, by what they lack.
    :raises InputRejected: no reading is whole.
    """
    lacking = {name: _lack(reading, truth.get(name[1])) for name, reading in study.readings.items()}
    whole = [name for name, lack in lacking.items() if lack is None]
    left_out = {
        lack: [{"reader": reader, "case": case} for (reader, case), found in lacking.items() if found == lack]
        for lack in ("answer", "second_opinion", "truth")
    }
    if not lacking:
        raise InputRejected("The feedback file holds no reading yet.")
    if not whole:
        counted = ", ".join(f"{len(found)} lack {lack.replace('_', ' ')}" for lack, found in left_out.items())
        raise InputRejected(f"None of the {len(lacking)} readings can be counted: {counted}.")
    readings = _as_arrays(study, truth, whole)
    readers = {
        str(reader): _figures(readings.of(readings.readers == reader), len(study.classes))
        for reader in np.unique(readings.readers)
    }
    return {
        "model": study.model,
        "model_sha256": study.model_sha256,
        "classes": list(study.classes),
        "readers": readers,
        "all": _figures(readings, len(study.classes)),
        "left_out": left_out,
    }


def _lack(reading: Reading, truth: str | None) -> str | None:
    if not reading.answers:
        return "answer"
    if reading.second is None:
        return "second_opinion"
    return None if truth is not None else "truth"


def _as_arrays(study: Study, truth: dict[str, str], whole: list[tuple[str, str]]) -> _WholeReadings:
    number = {code: index for index, code in enumerate((*study.classes, DO_NOT_KNOW))}
    found = [study.readings[name] for name in whole]
    said = {
        "alone": [reading.first for reading in found],
        "model": [reading.answers[-1].label for reading in found],
        "with_model": [str(reading.second) for reading in found],
    }
    return _WholeReadings(
        np.array([reader for reader, _ in whole]),
        np.array([case for _, case in whole]),
        np.array([number[truth[case]] for _, case in whole]),
        {arm: np.array([number[code] for code in codes]) for arm, codes in said.items()},
    )


def _figures(readings: _WholeReadings, classes: int) -> dict[str, Any]:
    return {
        "readings": len(readings.cases),
        "cases": len(np.unique(readings.cases)),
        **{arm: _arm(readings, arm, classes) for arm in ARMS},
        "change": _difference(readings, "alone", "with_model", classes),
        "against_model": _difference(readings, "model", "with_model", classes),
    }


def _arm(readings: _WholeReadings, arm: str, classes: int) -> dict[str, Any]:
    said, right = readings.said[arm], readings.said[arm] == readings.truth
    accuracy = share_interval(right, np.ones(len(right), dtype=bool), readings.cases)
    scores = score_intervals(readings.cases, readings.truth, said, classes + 1)
    [balanced] = scores["balanced_accuracy"]
    if accuracy.value in (0.0, 1.0):  # resampling would know no uncertainty
        balanced = accuracy
    unknown = int((said == classes).sum())
    return {
        "accuracy": accuracy.to_record(),
        "balanced_accuracy": balanced.to_record(),
        **({} if arm == "model" else {"did_not_know": unknown}),
    }


def _difference(readings: _WholeReadings, before: str, after: str, classes: int) -> dict[str, Any]:
    """Compare two arms, the test by case: one counts once, for the side to which more of its readings moved.

    Of one reader that is McNemar's test itself.
    """
    gained = (readings.said[after] == readings.truth).astype(int) - (readings.said[before] == readings.truth)
    _, own = np.unique(readings.cases, return_inverse=True)
    by_case = np.bincount(own, weights=gained)
    better, worse = int((by_case > 0).sum()), int((by_case < 0).sum())
    outcome = PairedOutcome(readings.cases, readings.truth, readings.said[after], readings.said[before])
    intervals = paired_bootstrap([outcome], classes)
    return {
        "better": int((gained > 0).sum()),
        "worse": int((gained < 0).sum()),
        "better_cases": better,
        "worse_cases": worse,
        **{name: _record(interval) for name, interval in intervals.items()},
        "p": mcnemar_exact(better, worse),
    }


def _record(interval: Interval) -> dict[str, float | None]:
    """Give a difference; without an interval where all cases moved alike, because resampling then knows none."""
    alike = interval.low == interval.high
    return {
        "value": interval.value,
        "low": None if alike else interval.low,
        "high": None if alike else interval.high,
    }
