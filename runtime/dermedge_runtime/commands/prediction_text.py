"""A prediction and its explanation as text for the terminal."""

from __future__ import annotations

from dermedge_runtime.explanation import COUNTED_UNNAMED, Explanation, counted_as
from dermedge_runtime.inputs.clinical import value_text
from dermedge_runtime.model.description import ModelSpec
from dermedge_runtime.prediction import Prediction

from .shown_names import shown

_BAR = 20
SHOWN_FROM = 0.005
"""Smallest relevance that is worth a line."""


def prediction_text(result: Prediction, spec: ModelSpec) -> str:
    """Give one prediction: a headline, the decision with its reasons, a bar per class, and the clinical values."""
    lines = [f"{shown(result.source)}: {result.label} ({spec.class_names.get(result.label, '')})"]
    if result.decision is not None:
        first, *more = result.reasons
        lines += [f"  {result.decision}: {first}", *(f"    {reason}" for reason in more)]
    width = max(len(code) for code in result.probabilities)
    names = max((len(name) for name in spec.class_names.values()), default=0)
    for code, value in sorted(result.probabilities.items(), key=lambda item: -item[1]):
        bar = "#" * round(_BAR * value)
        lines.append(f"  {code:<{width}}  {spec.class_names.get(code, ''):<{names}}  {value:6.1%}  {bar}".rstrip())
    if result.decision is None:  # else they are among its reasons
        lines += [f"  {fault}" for fault in result.picture_faults or ()]
    if values := values_text(result):
        lines.append(f"  {values}")
    return "\n".join(lines)


def words_text(result: Prediction) -> str:
    """Give the explanation in words, a sentence a line."""
    from dermedge_runtime.explanation_words import sentences  # here: only --explain needs it

    return "\n".join(f"  {sentence}" for sentence in sentences(result))


def values_text(result: Prediction) -> str:
    """Give the clinical values in one line, such as "given: age 55, site back; unknown: sex"; empty without fields."""
    given = [f"{name} {value_text(value)}" for name, value in (result.given or {}).items()]
    parts = [f"given: {', '.join(given)}"] if given else []
    imputed = result.imputed or {}
    parts += [f"{name} {counted_as(value)}" for name, value in imputed.items() if value is not None]
    if unnamed := [name for name in result.unknown or () if imputed.get(name) is None]:
        parts.append(f"unknown: {', '.join(unnamed)}{f' ({COUNTED_UNNAMED})' if imputed else ''}")
    return "; ".join(parts)


def explanation_text(explanation: Explanation) -> str:
    """Give the clinical relevance of one explanation: the fields, then the features that count."""
    if explanation.relevance is None or explanation.relevance_by_field is None or explanation.attribution is None:
        return "  The model reads no clinical field."
    fields = sorted(explanation.relevance_by_field.items(), key=lambda item: -item[1])
    summed = ", ".join(
        f"{name}{' (unknown)' if name in explanation.imputed else ''} {value:.2f}" for name, value in fields
    )
    lines = [f"  clinical relevance for {explanation.target} (sum per field: {summed})"]
    width = max(len(name) for name in explanation.relevance)
    for name, value in sorted(explanation.relevance.items(), key=lambda item: -item[1]):
        if value >= SHOWN_FROM:
            bar = "#" * round(_BAR * value)
            lines.append(f"  {name:<{width}}  {value:4.2f}  {explanation.attribution[name]:+8.3f}  {bar}")
    return "\n".join(lines)
