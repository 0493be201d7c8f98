"""The true diagnoses of the cases of a study, from a table of any program."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from pathlib import Path

from dermedge.batch.table.find_columns import find_column, fold, nearest_column
from dermedge.batch.table.read_table import TableFile
from dermedge.service.feedback.study import Study
from dermedge_runtime.commands.shown_names import shown
from dermedge_runtime.errors import InputRejected

_CASE = ("case", "case_id", "case_number", "case_name", "case_no", "fall", "fallnummer", "cas", "caso")
_TRUTH = (
    *("diagnosis", "dx", "truth", "true_diagnosis", "ground_truth", "label", "true_label", "target", "class"),
    *("histopathology", "histology", "diagnose", "diagnostic", "diagnostico", "diagnosi"),
)


def read_truth(
    path: Path, study: Study, *, case_column: str | None = None, truth_column: str | None = None
) -> dict[str, str]:
    """Read the truth of the cases that were read; others in the table count for nothing, nor do empty cells.

    :param path: CSV, TSV, Excel or Parquet. A diagnosis is a class of the model, or its name, in any case.
    :param case_column: name of the column; None: it is found.
    :param truth_column: likewise.
    :return: class by case.
    :raises InputRejected: the table cannot be read, lacks a column, has two truths of a case, or one that the model
        lacks.
    """
    table = TableFile(path)
    columns = [
        _column(table, case_column, _CASE, "the case", "--case-column"),
        _column(table, truth_column, _TRUTH, "the diagnosis", "--truth-column"),
    ]
    if columns[0] == columns[1]:
        raise InputRejected(f"Case and diagnosis cannot both be in the column {shown(columns[0])} of {table.name}.")
    frame = table.read(columns)
    cases = {case for _, case in study.readings}
    return _by_case(zip(frame[columns[0]], frame[columns[1]], strict=True), cases, study, table.name)


def _column(table: TableFile, given: str | None, words: Sequence[str], what: str, option: str) -> str:
    if given is None:
        found = find_column(words, table.columns, table=table.name, what=what, option=f"{option} COLUMN")
        if found is None:
            raise InputRejected(
                f"The table {table.name} has no column that is clearly {what}; its columns are"
                f" {', '.join(map(shown, table.columns))}. Name it: {option} COLUMN"
            )
        return found
    if given not in table.columns:
        raise InputRejected(
            f"The table {table.name} has no column {shown(given)}{nearest_column(given, table.columns)}"
        )
    if table.columns.count(given) > 1:
        raise InputRejected(f"The table {table.name} has the column {shown(given)} twice; rename one of them.")
    return given


def _by_case(
    rows: Collection[tuple[str, str]] | zip[tuple[str, str]], cases: set[str], study: Study, table: str
) -> dict[str, str]:
    known = {fold(study.class_names.get(code, code)): code for code in study.classes}
    known |= {fold(code): code for code in study.classes}
    truth: dict[str, str] = {}
    for cell, diagnosis in rows:
        case = unicodedata.normalize("NFC", cell).strip()
        if case not in cases or not diagnosis.strip():
            continue
        code = known.get(fold(diagnosis))
        if code is None:
            raise InputRejected(
                f"The truth of case {shown(case)} in {table} is {shown(diagnosis.strip())}, which the model does not"
                f" have{_nearest_diagnosis(diagnosis, known, study)}"
            )
        if truth.setdefault(case, code) != code:
            raise InputRejected(f"Case {shown(case)} has two truths in {table}: {truth[case]} and {code}.")
    return truth


def _nearest_diagnosis(given: str, known: dict[str, str], study: Study) -> str:
    near = get_close_matches(fold(given), known, n=1, cutoff=0.7)
    return f"; did you mean {known[near[0]]}?" if near else f"; it has {', '.join(study.classes)}."
