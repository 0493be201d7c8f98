"""The figures of a study as text for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dermedge.tables import interval_text, table
from dermedge_runtime.commands.shown_names import named

from .study_figures import ARMS

_TITLES = {"alone": "alone", "model": "model", "with_model": "with model"}
_LACKS = {"answer": "without an answer", "second_opinion": "without a second opinion", "truth": "without a truth"}
_MOST_NAMED = 20


def study_text(figures: Mapping[str, Any], name: str) -> str:
    """Give all tables, and what they rest on.

    :param figures: as `study_figures` gives them.
    :param name: of the feedback file.
    """
    rows = dict(figures["readers"])
    if len(rows) > 1:
        rows["all"] = figures["all"]
    every = figures["all"]
    head = f"{name}: {_counted(every['readings'], 'reading')} of {_counted(every['cases'], 'case')} by"
    parts = [f"{head} {_counted(len(figures['readers']), 'reader')}, with {figures['model']}"]
    parts[0] += "".join(_left_out(figures["left_out"]))
    parts += [_scores(rows, "accuracy")]
    if len(figures["classes"]) > 2:
        parts += [_scores(rows, "balanced_accuracy")]
    parts += [
        _differences(rows, "change", "with model - alone"),
        _differences(rows, "against_model", "with model - model"),
        _footnotes(every),
    ]
    return "\n\n".join(parts)


def _left_out(left_out: Mapping[str, list[dict[str, str]]]) -> list[str]:
    return [f"\nleft out, {_LACKS[lack]}: {len(found)} ({_named(found)})" for lack, found in left_out.items() if found]


def _named(found: list[dict[str, str]]) -> str:
    names = [f"{each['reader']} on case {each['case']}" for each in found]
    return named(names, len(names), _MOST_NAMED)


def _scores(rows: Mapping[str, Any], key: str) -> str:
    lines = [[name, row["readings"], *(interval_text(row[arm][key]) for arm in ARMS)] for name, row in rows.items()]
    return table(lines, (key.replace("_", " "), "cases" if len(rows) == 1 else "readings", *_TITLES.values()))


def _differences(rows: Mapping[str, Any], key: str, title: str) -> str:
    lines = [
        [name, row[key]["better"], row[key]["worse"], _signed(row[key]["accuracy"]), _p(row[key]["p"])]
        for name, row in rows.items()
    ]
    return table(lines, (title, "better", "worse", "accuracy", "p"))


def _footnotes(every: Mapping[str, Any]) -> str:
    unknown = [every[arm]["did_not_know"] for arm in ("alone", "with_model")]
    lines = [
        "In brackets: 95 %, cases resampled with all their readings. p: McNemar's exact test; over all readers",
        "a case counts once, for the side to which more of its readings moved. Both are about these readers alone.",
    ]
    if any(unknown):
        lines.append(f"Not known counts as not right: {unknown[0]} alone, {unknown[1]} with the model.")
    return "\n".join(lines)


def _signed(figure: Mapping[str, float | None]) -> str:
    if figure["low"] is None or figure["high"] is None:
        return f"{figure['value']:+.3f}"
    return f"{figure['value']:+.3f} [{figure['low']:+.2f}, {figure['high']:+.2f}]"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
