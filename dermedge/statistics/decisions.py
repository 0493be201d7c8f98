"""What decisions and prediction sets are worth on photographs whose diagnosis is known, with intervals by lesion.

`refer` is the positive answer: sensitivity is the share of urgent photographs that are referred, specificity that of
the others that are not, PPV the share of referred ones that are urgent, NPV the share of the rest that is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermedge_runtime.decision import VERDICTS

from .bootstrap import Interval
from .shares import share_interval


@dataclass(frozen=True, slots=True)
class Decided:
    """Answers to photographs whose diagnosis is known."""

    labels: NDArray[np.int64]
    """Indices into `classes`, int64 [N]."""
    lesions: NDArray[np.str_]
    """[N]."""
    sets: NDArray[np.bool_]
    """Which classes are in the prediction set, bool [N, classes]."""
    decisions: NDArray[np.str_] | None
    """refer, unsure or routine, [N]; None: the file decides nothing."""
    classes: Sequence[str]


def decision_figures(found: Decided, urgent: Sequence[str], melanoma: str | None) -> dict[str, Any] | None:
    """Give the figures of the decisions; None where there are none.

    :param urgent: codes of the classes that are to be referred.
    :param melanoma: code of the class that is watched; None: none is.
    :return: JSON-ready; each figure is `value`, `low`, `high`, or None where no photograph gives it. `by_class`: shares
        of each verdict.
    """
    if found.decisions is None:
        return None
    verdicts: dict[str, NDArray[np.bool_]] = {verdict: found.decisions == verdict for verdict in VERDICTS}
    ill = np.isin(found.labels, [found.classes.index(code) for code in urgent])
    refer, everything = verdicts["refer"], np.ones(len(ill), dtype=bool)
    shares: dict[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]] = {
        "sensitivity": (refer, ill),
        "specificity": (~refer, ~ill),
        "ppv": (ill, refer),
        "npv": (~ill, ~refer),
        **{verdict: (chosen, everything) for verdict, chosen in verdicts.items()},
        "urgent_among_routine": (ill, verdicts["routine"]),
    }
    if melanoma is not None:
        own = found.labels == found.classes.index(melanoma)
        shares["melanomas_referred"] = (refer, own)
        shares["melanomas_among_routine"] = (own, verdicts["routine"])
    figures: dict[str, Any] = {
        name: _record(share_interval(hits, among, found.lesions)) for name, (hits, among) in shares.items()
    }
    figures["by_class"] = {
        code: {
            verdict: _plain(np.mean(chosen[found.labels == index])) if (found.labels == index).any() else None
            for verdict, chosen in verdicts.items()
        }
        for index, code in enumerate(found.classes)
    }
    return figures


def set_figures(found: Decided) -> dict[str, Any]:
    """Give coverage and size of the prediction sets.

    :return: JSON-ready: `coverage` of all photographs and `by_class`, as `decision_figures` has figures, and `size`.
    """
    rows = np.arange(len(found.labels))
    covered, everything = found.sets[rows, found.labels], np.ones(len(rows), dtype=bool)
    return {
        "coverage": _record(share_interval(covered, everything, found.lesions)),
        "by_class": {
            code: _record(share_interval(covered, found.labels == index, found.lesions))
            for index, code in enumerate(found.classes)
        },
        "size": _plain(found.sets.sum(axis=1).mean()),
    }


def _record(interval: Interval) -> dict[str, float] | None:
    return None if np.isnan(interval.value) else asdict(interval)


def _plain(value: Any) -> float:
    return float(value)
