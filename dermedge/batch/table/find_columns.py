"""Which column of a table is the picture, which the age: by the model's names, the usual words, or as it was said."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from dermedge_runtime.commands.shown_names import shown
from dermedge_runtime.errors import InputRejected, UsageError

IMAGE = "image"
"""What `--columns` calls the column with the names of the pictures."""
_USUAL: Mapping[str, tuple[str, ...]] = {
    IMAGE: (
        *("image", "image_id", "image_name", "image_file", "isic_id", "img_id", "img", "file", "filename", "file_name"),
        *("path", "file_path", "image_path", "picture", "photo", "photograph", "bild", "bilddatei", "datei", "foto"),
        *("dateiname", "fichier", "imagen", "immagine"),
    ),
    "age": ("age", "age_approx", "patient_age", "age_years", "alter", "age_in_years", "edad", "eta", "âge"),
    "sex": ("sex", "gender", "patient_sex", "geschlecht", "sexe", "sexo", "sesso"),
    "site": (
        *("site", "localization", "localisation", "location", "anatom_site_general", "anatomical_site", "body_site"),
        *("anatom_site", "region", "lokalisation", "körperstelle", "lesion_site"),
    ),
}


@dataclass(frozen=True, slots=True)
class TableColumns:
    """Where a table has what is needed."""

    image: str
    """Column with the names of the pictures."""
    fields: Mapping[str, str]
    """By field of the model, the column that has it; fields without a column are unknown, or given for all."""
    id: str | None
    """Column that is carried into the results."""


def find_columns(
    columns: Sequence[str],
    fields: Sequence[str],
    *,
    table: str,
    given: Mapping[str, str],
    schema: Mapping[str, str],
    id_column: str | None = None,
) -> TableColumns:
    """Find the columns of a table.

    :param columns: all columns, as the table names them.
    :param fields: of the model.
    :param table: its name, for messages.
    :param given: by field, or IMAGE, the column that was said to have it; these are not looked for.
    :param schema: by field, or IMAGE, the column that the model's training data had.
    :param id_column: the column to carry.
    :raises InputRejected: no column for the picture, two for one field, or one that was said and is not there.
    :raises UsageError: a column said for what is no field of the model.
    """
    for name in given:
        if name not in (*fields, IMAGE):
            raise UsageError(f"--columns names {name}, which is no field of the model: {', '.join((IMAGE, *fields))}.")
    for column in (*given.values(), *([] if id_column is None else [id_column])):
        if column not in columns:
            raise InputRejected(f"The table {table} has no column {shown(column)}{nearest_column(column, columns)}")
        if list(columns).count(column) > 1:
            raise InputRejected(f"The table {table} has the column {shown(column)} twice; rename one of them.")
    found = {name: given.get(name) or _find(name, columns, schema.get(name), table) for name in (IMAGE, *fields)}
    image = found.pop(IMAGE)
    if image is None:
        raise InputRejected(
            f"The table {table} has no column with the names of the pictures; its columns are"
            f" {', '.join(shown(column) for column in columns)}. Name it: --columns image=COLUMN"
        )
    return TableColumns(image, {name: column for name, column in found.items() if column is not None}, id_column)


def _find(name: str, columns: Sequence[str], schema: str | None, table: str) -> str | None:
    """Find the column of one field: of its own name, else that of the training data, else a usual one."""
    words = (name, *([schema] if schema else []), *_USUAL.get(name, ()))
    return find_column(words, columns, table=table, what=name, option=f"--columns {name}=COLUMN")


def find_column(words: Sequence[str], columns: Sequence[str], *, table: str, what: str, option: str) -> str | None:
    """Find the column that is called by the first of some words that any is called by; None: there is none.

    :param what: it is, and `option`, which names it, for messages.
    :raises InputRejected: two are.
    """
    folded: dict[str, list[str]] = {}
    for column in columns:
        folded.setdefault(fold(column), []).append(column)
    for word in words:
        same = folded.get(fold(word), [])
        if len(same) > 1:
            raise InputRejected(
                f"The table {table} has {len(same)} columns that may be {what}: {', '.join(map(shown, same))}."
                f" Say which: {option}"
            )
        if same:
            return same[0]
    return None


def fold(word: str) -> str:
    """Give a name without case, and with one sign for blanks, dashes, dots and underscores."""
    plain = unicodedata.normalize("NFKC", word).casefold()
    return "_".join("".join(c if c.isalnum() else " " for c in plain).split())


def nearest_column(column: str, columns: Sequence[str]) -> str:
    """End a sentence about a column that is not there: with the one nearest to it, or all."""
    by_fold = {fold(each): each for each in columns}
    near = get_close_matches(fold(column), by_fold, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {shown(by_fold[near[0]])}?"
    return f"; its columns are {', '.join(map(shown, columns))}."
