"""An evaluation as text: the first contender whole, of every other one only what differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dermedge.tables import interval_text, metrics_text, table, unknown_values_text
from dermedge_runtime.decision import VERDICTS


def results_text(
    title: str, results: Mapping[str, Mapping[str, Any]], differences: Mapping[str, Mapping[str, Any]]
) -> str:
    """Give all tables of an evaluation, with a blank line between them.

    :param title: what the figures are of, such as "test split".
    :param results: by contender, as `dermedge.evaluation.figures.figures` gives them; at least one.
    :param differences: of every contender but the first from the first, as `differences.difference` gives them.
    """
    first, scores = next(iter(results.items()))
    parts = [metrics_text(f"{first}, {title}", dict(scores))]
    if differences:
        parts.append(_differences_text(results, differences))
    parts.append(_calibration_text(results))
    deciding = {name: each for name, each in results.items() if {"sets", "unfamiliar"} & {*each}}
    if deciding:
        parts.append(_decisions_text(deciding))
    if len(results) == 1 and scores.get("decision"):
        parts.append(_decisions_by_class(scores))
    for name, each in results.items():
        if each.get("unknown_values"):
            parts.append(f"{name}, clinical values unknown\n{unknown_values_text(each['unknown_values'])}")
    return "\n\n".join(parts)


def _differences_text(results: Mapping[str, Mapping[str, Any]], differences: Mapping[str, Mapping[str, Any]]) -> str:
    rows = []
    for name, each in differences.items():
        recall = ", ".join(f"{code} {change:+.3f}" for code, change in each["recall"].items())
        rows.append(
            [
                name,
                *(f"{results[name][key]:.3f} ({each[key]:+.3f})" for key in ("accuracy", "balanced_accuracy")),
                f"{each['answers_changed']} of {results[name]['images']}",
                f"{each['largest_probability_change']:.2g}",
                recall or "none",
            ]
        )
    header = ("against it", "accuracy", "balanced accuracy", "answers changed", "largest change of a probability")
    return table(rows, (*header, "changes of recall"))


def _calibration_text(results: Mapping[str, Mapping[str, Any]]) -> str:
    keys = ("expected_calibration_error", "of_a_perfect_model", "classwise_calibration_error", "brier_score")
    rows = [[name, *(each["calibration"][key] for key in keys)] for name, each in results.items()]
    header = ("calibration", "expected error", "of a perfect model", "classwise error", "Brier score")
    return table(rows, header)


def _decisions_text(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Give shares of all photographs, and what the decision reaches, each with its 95 % interval."""
    titles: dict[str, str] = {
        **{str(verdict): verdict for verdict in VERDICTS},
        "sensitivity": "urgent referred",
        "specificity": "others not",
        "melanomas_among_routine": "melanoma if routine",
    }
    rows: list[list[str | None]] = []
    for key, title in titles.items():
        rows.append([title, *(interval_text((each.get("decision") or {}).get(key)) for each in results.values())])
    rows.append(["unfamiliar", *(interval_text(each.get("unfamiliar", {}).get("share")) for each in results.values())])
    rows.append(
        ["truth in the set", *(interval_text(each.get("sets", {}).get("coverage")) for each in results.values())]
    )
    sizes = [f"{each['sets']['size']:.2f}" if "sets" in each else None for each in results.values()]
    return table([*rows, ["diagnoses in a set", *sizes]], ("shares", *results))


def _decisions_by_class(scores: Mapping[str, Any]) -> str:
    rows = [
        [
            code,
            row["images"],
            *(scores["decision"]["by_class"][code][verdict] for verdict in VERDICTS),
            interval_text(scores["sets"]["by_class"][code]),
        ]
        for code, row in scores["per_class"].items()
        if row["images"]
    ]
    return table(rows, ("shares by class", "images", *VERDICTS, "truth in the set"))
