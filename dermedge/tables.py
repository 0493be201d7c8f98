"""Plain aligned text tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


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


def metrics_text(name: str, scores: dict[str, Any]) -> str:
    """Give the figures of one evaluation: a line for all classes, and a table of each.

    :param scores: as `dermedge.statistics.metrics.score` gives them; with `intervals` the line has those too.
    """
    titles = {
        "precision": "precision",
        "recall": "recall",
        "f1": "f1",
        "specificity": "specificity",
        "auc": "auc",
        "average_precision": "avg precision",
        "recall_at_90_specificity": "recall @ 90 % spec",
        "recall_at_95_specificity": "@ 95 %",
    }
    rows = [[code, row["images"], *(row[c] for c in titles)] for code, row in scores["per_class"].items()]
    rows.append(["macro mean", scores["images"], *(scores["macro"][c] for c in titles)])
    head = ", ".join(
        f"{key.replace('_', ' ')} {_with_interval(scores, key)}" for key in ("accuracy", "balanced_accuracy")
    )
    return f"{name}: {head}\n{table(rows, ('class', 'images', *titles.values()))}"


def _with_interval(scores: Mapping[str, Any], key: str) -> str:
    return interval_text(scores["intervals"][key]) if "intervals" in scores else f"{scores[key]:.3f}"


def points_text(found: Mapping[str, float] | None) -> str:
    """Give a difference of shares in percentage points with its interval, "+1.5 [-0.7, +3.7]"; a dash for none."""
    if found is None:
        return "-"
    value, low, high = (100 * found[key] for key in ("value", "low", "high"))
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"


def unknown_values_text(cases: Mapping[str, Mapping[str, Any]]) -> str:
    """Give what `dermedge evaluate --without-values` found, each figure with its 95 % interval by lesion."""
    header, rows = unknown_values_rows(cases)
    return table(rows, header)


def unknown_values_rows(cases: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Give the header and the cells of its table."""
    titles = {
        "accuracy": "accuracy",
        "balanced_accuracy": "balanced accuracy",
        "balanced_accuracy_change": "its change",
        "melanoma_recall_at_90_specificity": "melanoma recall at 90 % specificity",
    }
    columns = {key: title for key, title in titles.items() if any(key in case for case in cases.values())}
    rows = [[name, *(interval_text(case.get(key)) for key in columns)] for name, case in cases.items()]
    return ["clinical values", *columns.values()], rows


def interval_text(figure: Mapping[str, float] | None) -> str:
    """Give a figure with its interval, such as "0.710 [0.64, 0.77]"; a dash for none."""
    return "-" if figure is None else f"{figure['value']:.3f} [{figure['low']:.2f}, {figure['high']:.2f}]"


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
