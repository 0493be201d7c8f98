"""One contender asked about photographs, and its answers scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from dermedge.data.groups import groups_of
from dermedge.data.samples import Sample
from dermedge.training.answers import Answers, labels_of

from .figures import figures
from .unknown_values import unknown_values

Ask: TypeAlias = Callable[[Sequence[Sample]], Answers]


def ask_and_score(
    ask: Ask,
    samples: Sequence[Sample],
    classes: Sequence[str],
    *,
    hidden: Sequence[str] | None = None,
    melanoma: str | None = None,
) -> tuple[Answers, dict[str, Any]]:
    """Give a contender's answers, and their figures.

    :param samples: at least one; labels are indices into `classes`.
    :param hidden: clinical fields, with which the figures also have `unknown_values`: what is left where they are
        unknown. None: it is not measured.
    :param melanoma: the class whose recall is told there; None: no class is melanoma alone.
    :return: what `ask` gives, and what `figures` makes of it, JSON-ready.
    """
    answers = ask(samples)
    scores = figures(answers, labels_of(samples), np.array(groups_of(samples), dtype=np.str_), classes)
    if hidden is not None:
        scores["unknown_values"] = unknown_values(
            lambda asked: ask(asked).probabilities, samples, answers.probabilities, hidden, classes, melanoma
        )
    return answers, scores
