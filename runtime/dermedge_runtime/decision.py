"""From an answer to what to do next: the prediction set, and refer, unsure or routine, with every reason.

The thresholds travel in the model file, where `dermedge calibrate` has put them; they were found on validation
photographs. A picture is referred for urgent diagnoses that are likely enough, whatever else is to be said of it; it is
unsure where nobody should trust the answer; otherwise it is routine. Not covered: finding the thresholds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal["refer", "unsure", "routine"]
VERDICTS: tuple[Verdict, ...] = ("refer", "unsure", "routine")
FAMILIAR = 1.0
"""Largest `ood_score` of a familiar picture: 19 of 20 validation photographs are below."""
MOST_DIAGNOSES = 3
"""Diagnoses in a set that still says something."""
_SLACK = 1e-6
"""A probability is as large as its threshold where they differ by what another device's arithmetic may change."""


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """Thresholds on calibrated probabilities, and what they were made for."""

    set_thresholds: Mapping[str, float]
    """By class code: probability from which on the class is in the prediction set."""
    coverage: float
    """Share of lesions, of every class, whose prediction set was to hold their own diagnosis; in (0, 1)."""
    marginal: tuple[str, ...] = ()
    """Classes with too few lesions for a threshold of their own: theirs is that of all lesions together."""
    urgent: tuple[str, ...] = ()
    """Classes that must be seen soon; empty: there is no decision, only sets."""
    urgent_threshold: float = 1.0
    """Summed probability of the urgent classes from which on a lesion is referred."""
    melanoma: str | None = None
    """The class with a threshold of its own."""
    melanoma_threshold: float = 1.0
    """Its probability from which on a lesion is referred."""
    sensitivity: float = 0.0
    """Share of the urgent lesions that was to be referred, in (0, 1); 0 without urgent classes."""

    def check(self, classes: Sequence[str]) -> None:
        """Check what no type tells.

        :raises ValueError: a threshold that is none, or a class that the model does not know.
        """
        named = {*self.urgent, *self.marginal, *([self.melanoma] if self.melanoma is not None else [])}
        unknown = sorted(named - set(classes))
        if set(self.set_thresholds) != set(classes) or unknown:
            raise ValueError("the classes of the decision are not those of the model")
        if len(set(self.urgent)) < len(self.urgent) or len(set(self.marginal)) < len(self.marginal):
            raise ValueError("a class stands twice in the decision")
        if self.melanoma is not None and self.melanoma not in self.urgent:
            raise ValueError(f"the decision has a threshold for {self.melanoma}, which it does not call urgent")
        numbers = [*self.set_thresholds.values(), self.urgent_threshold, self.melanoma_threshold]
        if not all(0 <= number <= 1 for number in numbers):  # NaN is none of them
            raise ValueError("a threshold of the decision is outside 0 to 1")
        if not (0 < self.coverage < 1 and 0 <= self.sensitivity < 1) or bool(self.urgent) != (self.sensitivity > 0):
            raise ValueError("coverage and sensitivity of the decision make no sense")

    def prediction_set(self, probabilities: Mapping[str, float]) -> tuple[str, ...]:
        """Give the diagnoses that cannot be ruled out, the likeliest first: never none.

        :param probabilities: by class code, calibrated.
        """
        ordered = sorted(probabilities, key=lambda code: -probabilities[code])
        kept = tuple(code for code in ordered if probabilities[code] >= self.set_thresholds[code] - _SLACK)
        return kept or (ordered[0],)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do next, and why."""

    prediction_set: tuple[str, ...]
    """Codes of the diagnoses that cannot be ruled out, the likeliest first."""
    verdict: Verdict | None
    """None: the file names no urgent classes."""
    reasons: tuple[str, ...] = field(default=())
    """Sentences without their full stops: those for the verdict first, then all others; never empty with a verdict."""


def decide(
    rule: DecisionRule,
    probabilities: Mapping[str, float],
    names: Mapping[str, str],
    *,
    ood_score: float | None = None,
    faults: Sequence[str] = (),
) -> Decision:
    """Apply a rule to one answer.

    :param probabilities: by class code, in [0, 1], calibrated.
    :param names: of the classes, by code.
    :param ood_score: above `FAMILIAR`: the picture is unlike those of the training; None: the file has no such score.
    :param faults: what is wrong with the picture itself, sentences without full stops.
    """
    own = rule.prediction_set(probabilities)
    if not rule.urgent:
        return Decision(own, None)
    summed = math.fsum(probabilities[code] for code in rule.urgent)
    refer = _reasons_to_refer(rule, probabilities, names, summed)
    doubt = [*faults]
    if ood_score is not None and ood_score > FAMILIAR + _SLACK:
        doubt.append(f"the picture is unlike those that the model learned from ({ood_score:.1f} times the limit)")
    told = ", ".join(names.get(code, code) for code in own)
    if len(own) > MOST_DIAGNOSES:
        doubt.append(f"{len(own)} diagnoses cannot be ruled out: {told}")
    elif 0 < sum(code in rule.urgent for code in own) < len(own):
        doubt.append(f"urgent and harmless diagnoses cannot be told apart: {told}")
    if refer:
        return Decision(own, "refer", (*refer, *doubt))
    if doubt:
        return Decision(own, "unsure", tuple(doubt))
    calm = f"urgent diagnoses together have {_percent(summed)}, below the {_percent(rule.urgent_threshold)} to refer"
    return Decision(own, "routine", (calm,))


def _reasons_to_refer(
    rule: DecisionRule, probabilities: Mapping[str, float], names: Mapping[str, str], summed: float
) -> list[str]:
    reasons = []
    if summed >= rule.urgent_threshold - _SLACK:
        limit = _percent(rule.urgent_threshold)
        reasons.append(f"urgent diagnoses together have {_percent(summed)}, from {limit} on we refer")
    if rule.melanoma is not None and probabilities[rule.melanoma] >= rule.melanoma_threshold - _SLACK:
        name, limit = names.get(rule.melanoma, rule.melanoma), _percent(rule.melanoma_threshold)
        reasons.append(f"{name} has {_percent(probabilities[rule.melanoma])}, from {limit} on we refer")
    return reasons


def _percent(share: float) -> str:
    """Give a share in percent, of small ones a digit more: 83 %, 4.2 %."""
    return f"{100 * share:.{0 if share >= 0.1 else 1}f} %"
