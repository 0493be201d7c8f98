"""Plain aligned text tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dermedge.picture_files import shown
from dermedge_runtime.explanation import COUNTED_UNNAMED, Explanation, counted_as
from dermedge_runtime.model.description import ModelSpec
from dermedge_runtime.prediction import Prediction

_BAR = 20
SHOWN_FROM = 0.005
"""Smallest relevance that is worth a line."""


def table(rows: Sequence[Sequence[Any]], header: Sequence[str]) -> str:
    """Align columns: the first to the left, numbers to the right."""
    cells = [[_text(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) if column == 0 else cell.rjust(width) for column, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(row, widths, strict=True)) for row in cells)
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def _text(cell: Any) -> str:
    if cell is None:
        return "-"
    return f"{cell:.3f}" if isinstance(cell, float) else str(cell)


def prediction_text(result: Prediction, spec: ModelSpec) -> str:
    """Give one prediction as a headline, a bar per class, and the clinical values that were given and were not."""
    lines = [f"{shown(result.source)}: {result.label} ({spec.class_names.get(result.label, '')})"]
    width = max(len(code) for code in result.probabilities)
    names = max((len(name) for name in spec.class_names.values()), default=0)
    for code, value in sorted(result.probabilities.items(), key=lambda item: -item[1]):
        bar = "#" * round(_BAR * value)
        lines.append(f"  {code:<{width}}  {spec.class_names.get(code, ''):<{names}}  {value:6.1%}  {bar}".rstrip())
    if values := values_text(result):
        lines.append(f"  {values}")
    return "\n".join(lines)


def values_text(result: Prediction) -> str:
    """Give the clinical values in one line, such as "given: age 55, site back; unknown: sex"; empty without fields."""
    given = [f"{name} {value_text(value)}" for name, value in (result.given or {}).items()]
    parts = [f"given: {', '.join(given)}"] if given else []
    imputed = result.imputed or {}
    parts += [f"{name} {counted_as(value)}" for name, value in imputed.items() if value is not None]
    if unnamed := [name for name in result.unknown or () if imputed.get(name) is None]:
        parts.append(f"unknown: {', '.join(unnamed)}{f' ({COUNTED_UNNAMED})' if imputed else ''}")
    return "; ".join(parts)


def value_text(value: float | str) -> str:
    """Give one clinical value; a whole number without its fraction."""
    return value if isinstance(value, str) else f"{value:.10g}"


def metrics_text(name: str, scores: dict[str, Any]) -> str:
    """Give the figures of one evaluation."""
    columns = ("precision", "recall", "f1", "specificity", "auc")
    rows = [[code, row["images"], *(row[c] for c in columns)] for code, row in scores["per_class"].items()]
    rows.append(["macro mean", scores["images"], *(scores["macro"][c] for c in columns)])
    head = f"{name}: accuracy {scores['accuracy']:.3f}, balanced accuracy {scores['balanced_accuracy']:.3f}"
    return f"{head}\n{table(rows, ('class', 'images', *columns))}"


def explain_text(record: Mapping[str, Any]) -> str:
    """Give what `dermedge explain` found: clinical relevance per diagnosis, and agreement with the lesion masks."""
    parts = []
    if "relevance" in record:
        codes = list(record["relevance"])
        features = record["relevance"][codes[0]]
        rows = [[name, *(record["relevance"][code][name] for code in codes)] for name in features]
        parts.append(table(rows, ("mean relevance", *codes)))
    if "masks" in record:
        columns = list(record["masks"][0])
        parts.append(table([list(row.values()) for row in record["masks"]], columns))
    return "\n\n".join(parts)


def sensitivity_text(record: Mapping[str, Any]) -> str:
    """Give what quantising each layer alone changes, the worst layer first."""
    rows = [
        [row["layer"], f"{row['divergence']:.2g}", row["largest_probability_change"], f"{row['changed_classes']:.1%}"]
        for row in record["layers"]
    ]
    header = ("quantised alone", "divergence", "largest change", "other class")
    return f"{table(rows, header)}\n({record['images']} training images)"


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
