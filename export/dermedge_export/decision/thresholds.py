"""The thresholds of a decision rule, from calibrated probabilities of validation photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dermedge.statistics.conformal import lesions_needed, passing_threshold
from dermedge_runtime.decision import DecisionRule
from dermedge_runtime.errors import UsageError

from .asked import Asked


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers to photographs whose diagnosis is known."""

    probabilities: NDArray[np.floating]
    """Float [N, classes], calibrated."""
    labels: NDArray[np.int64]
    """Int64 [N]."""
    lesions: NDArray[np.str_]
    """Lesion of every photograph, [N]."""


@dataclass(frozen=True, slots=True)
class FittedRule:
    """A decision rule, and what could not be had."""

    rule: DecisionRule
    notes: tuple[str, ...]
    """Sentences."""


def check_enough(
    labels: NDArray[np.int64], lesions: NDArray[np.str_], classes: Sequence[str], urgent: Sequence[str], asked: Asked
) -> None:
    """Refuse what so few lesions cannot promise, before anything is computed.

    :param labels: of the validation split, int64 [N].
    :param lesions: lesion of every photograph, [N].
    :raises UsageError: how many are needed, and what can be asked for.
    """
    every, needed = len(np.unique(lesions)), lesions_needed(asked.coverage)
    if every < needed:
        raise UsageError(
            f"A coverage of {asked.coverage:g} takes {needed} validation lesions or more, there are {every}."
        )
    few = len(np.unique(lesions[np.isin(labels, [classes.index(code) for code in urgent])]))
    needed = lesions_needed(asked.sensitivity)
    if urgent and few < needed:
        most = int(1000 * few / (few + 1)) / 1000
        can = (
            f"At most {most:g} can be asked for, by dermedge calibrate --sensitivity"
            if few
            else "No sensitivity can be asked for"
        )
        raise UsageError(
            f"A sensitivity of {asked.sensitivity:g} takes {needed} urgent validation lesions or more, there are {few}."
            f" {can}."
        )


def fit_rule(
    answers: Answers, classes: Sequence[str], urgent: Sequence[str], melanoma: str | None, asked: Asked
) -> FittedRule:
    """Find every threshold.

    :param answers: of the validation split.
    :param urgent: codes of the classes that must be seen soon; empty: sets alone.
    :param melanoma: code of the class with a threshold of its own, if it is urgent and there are lesions enough.
    :raises UsageError: too few lesions for what was asked: how many are needed, and what can be asked for.
    """
    check_enough(answers.labels, answers.lesions, classes, urgent, asked)
    sets, marginal, notes = _set_thresholds(answers, classes, asked.coverage)
    if not urgent:
        notes.append("There is no decision: the schema names no urgent classes.")
        return FittedRule(DecisionRule(sets, asked.coverage, marginal), tuple(notes))
    columns = [classes.index(code) for code in urgent]
    watched = classes.index(melanoma) if melanoma in urgent else None
    own = None if watched is None else _own_threshold(answers, watched, asked.sensitivity)
    if watched is not None and own is None:
        few, needed = _count(answers, [watched]), lesions_needed(asked.sensitivity)
        notes.append(
            f"{melanoma} has no threshold of its own: {few} validation lesions, {needed} are needed for a sensitivity"
            f" of {asked.sensitivity:g}."
        )
    summed = answers.probabilities[:, columns].sum(axis=1)
    limit = _passing(answers, np.isin(answers.labels, columns), summed, asked.sensitivity)
    assert limit is not None
    rule = DecisionRule(
        set_thresholds=sets,
        coverage=asked.coverage,
        marginal=marginal,
        urgent=tuple(urgent),
        urgent_threshold=limit,
        melanoma=None if own is None else melanoma,
        melanoma_threshold=1.0 if own is None else own,
        sensitivity=asked.sensitivity,
    )
    return FittedRule(rule, tuple(notes))


def _own_threshold(answers: Answers, column: int, share: float) -> float | None:
    return _passing(answers, answers.labels == column, answers.probabilities[:, column], share)


def _set_thresholds(
    answers: Answers, classes: Sequence[str], coverage: float
) -> tuple[dict[str, float], tuple[str, ...], list[str]]:
    rows = np.arange(len(answers.labels))
    together = passing_threshold(answers.probabilities[rows, answers.labels], answers.lesions, coverage)
    needed = lesions_needed(coverage)
    assert together is not None
    found, marginal = {}, {}
    for column, code in enumerate(classes):
        threshold = _own_threshold(answers, column, coverage)
        if threshold is None:
            marginal[code] = _count(answers, [column])
        found[code] = together if threshold is None else threshold
    notes = []
    if marginal:
        told = ", ".join(f"{code} ({count})" for code, count in marginal.items())
        notes.append(
            f"Too few validation lesions for a coverage of {coverage:g} of their own, which takes {needed}: {told}."
            " Their threshold is that of all lesions together, so their own coverage is not promised."
        )
    return found, tuple(marginal), notes


def _passing(answers: Answers, chosen: NDArray[np.bool_], scores: NDArray[np.floating], share: float) -> float | None:
    return passing_threshold(scores[chosen], answers.lesions[chosen], share)


def _count(answers: Answers, columns: Sequence[int]) -> int:
    return len(np.unique(answers.lesions[np.isin(answers.labels, columns)]))
