"""An explanation in two or three sentences, made of the numbers of one answer and of nothing else.

What in the picture spoke for the class, which clinical values raised or lowered its score, which were unknown, and
which diagnoses remain. The same answer gives the same words. All texts stand here, as data. Not covered: other
languages; why a value counts as it does, which no output of the graph tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .explanation import COUNTED_UNNAMED, Explanation
from .heatmap_shape import half_area, rim_share
from .inputs.clinical import UNKNOWN, value_text

if TYPE_CHECKING:
    from .prediction import Prediction

PICTURE = (
    "In the picture {area}{rim} spoke for {name} ({probability}): half of the heat map lies in {half} of the frame."
)
NOTHING = "Nothing in the picture spoke for {name} ({probability})."
AREAS = ((0.15, "a compact area"), (0.20, "an area of middling size"), (0.5, "a wide area"))
"""Smallest share of the frame that holds half of the heat (`half_area`), up to which an area is called so.

Limits at thirds of the heat maps of the model in the box of its training split (6,314 of HAM10000, 6 x 6 cells, each
for the predicted class): 31, 36 and 33 % of them are called so."""
RIMS = ((0.1, " away from the rim"), (0.2, ""), (0.36, " that reaches the rim"), (1.0, " at the rim"))
"""Share of the heat in the rim (`rim_share`), up to which this is said. 0.36 is that of an even map; the others are
round figures near thirds of the same maps: 36, 41, 22 and 1 % of them are called so."""
_SLACK = 1e-6
"""What rounding may add to a share."""

RAISED, LOWERED, LITTLE = "{values} raised {score}", "{values} lowered {score}", "{values} hardly changed {score}"
COUNTS_FROM = 0.1
"""Change of the score before the softmax, up or down, from which it is said to count: a tenth more in the odds against
a class whose score stays. On the same split 27 % of the changes are smaller."""
VALUE, IMPUTED = "{field} {value} ({change})", "{field} unknown, {value} ({change})"
COUNTED = "counted as {value}"
SCORE, ITS_SCORE, IT = "the score of {name} ({probability})", "its score", "it"

ALONE = "No other diagnosis is in the prediction set."
OTHERS = "{names} cannot be ruled out either."
OUTSIDE = "It is not in the prediction set, which holds {names}."
NEXT = "Next comes {names}."
FIRST = "The most probable diagnosis is {names}."
NAME = "{name} ({probability})"
AND, COMMA, CLAUSE = " and ", ", ", "; "


def sentences(result: Prediction) -> tuple[str, ...]:
    """Explain one answer; empty for a file without explanations, and of one that can give none the reason.

    A change of a score is the sum of the integrated gradients of a field, in units of the class score before the
    softmax, from the zero of the encoded values: for a number the mean of the training, for a word none of them.
    """
    explanation = result.explanation
    if explanation is None:
        return (result.no_heatmap,) if result.no_heatmap else ()
    about = {
        "name": result.class_names.get(explanation.target, explanation.target),
        "probability": percent(result.probabilities[explanation.target]),
    }
    picture = _picture(explanation, about) or result.no_heatmap
    found = (picture, _clinical(result, explanation, about), _others(result, explanation.target))
    return tuple(sentence[:1].upper() + sentence[1:] for sentence in found if sentence)


def _picture(explanation: Explanation, about: Mapping[str, str]) -> str:
    grid = explanation.grid
    if grid is None:
        return ""
    if not grid.max() > 0:
        return NOTHING.format_map(about)
    half = half_area(grid)
    area, rim = _word(AREAS, half), _word(RIMS, rim_share(grid))
    return PICTURE.format(area=area, rim=rim, half=percent(half), **about)


def _word(words: Sequence[tuple[float, str]], value: float) -> str:
    return next((word for limit, word in words if value <= limit + _SLACK), words[-1][1])


def _clinical(result: Prediction, explanation: Explanation, about: Mapping[str, str]) -> str:
    """Say which fields raised the score, which lowered it, and which hardly changed it, the strongest first."""
    if not explanation.attribution:
        return ""
    moved: dict[str, float] = {}
    for feature, change in explanation.attribution.items():
        field = feature.partition("=")[0]
        moved[field] = moved.get(field, 0.0) + change
    sides: dict[str, list[str]] = {RAISED: [], LOWERED: [], LITTLE: []}
    for field, change in sorted(moved.items(), key=lambda entry: -abs(entry[1])):
        counts = abs(change) >= COUNTS_FROM
        side = LITTLE if not counts else RAISED if change > 0 else LOWERED
        rounded = round(change, 1 if counts else 2) + 0.0  # never -0.00
        sides[side].append(_value(result, field, f"{rounded:+.{1 if counts else 2}f}"))
    clauses: list[str] = []
    score = SCORE.format_map(about) if explanation.grid is None else ITS_SCORE
    for clause, values in sides.items():
        if values:
            clauses.append(clause.format(values=_list(values), score=IT if clauses else score))
    return f"{CLAUSE.join(clauses)}."


def _value(result: Prediction, field: str, change: str) -> str:
    if field in result.imputed:
        value = result.imputed[field]
        counted = COUNTED_UNNAMED if value is None else COUNTED.format(value=value_text(value))
        return IMPUTED.format(field=field, value=counted, change=change)
    value = value_text(result.given[field]) if field in result.given else UNKNOWN
    return VALUE.format(field=field, value=value, change=change)


def _others(result: Prediction, target: str) -> str:
    """Say what else is possible: the rest of the prediction set, or the most probable of the other classes."""
    ordered = sorted(result.probabilities, key=lambda code: -result.probabilities[code])
    if result.prediction_set is None:
        other = next((code for code in ordered if code != target), None)
        if other is None:
            return ""
        return (NEXT if target == result.label else FIRST).format(names=_names(result, [other]))
    others = [code for code in result.prediction_set if code != target]
    if not others:
        return ALONE
    return (OTHERS if target in result.prediction_set else OUTSIDE).format(names=_names(result, others))


def _names(result: Prediction, codes: Sequence[str]) -> str:
    return _list(
        [
            NAME.format(name=result.class_names.get(code, code), probability=percent(result.probabilities[code]))
            for code in codes
        ]
    )


def _list(parts: Sequence[str]) -> str:
    return AND.join([COMMA.join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def percent(share: float) -> str:
    """Give a share in percent, of small ones a digit more: 83 %, 4.2 %."""
    return f"{100 * share:.{0 if share >= 0.1 else 1}f} %"
