"""Read a data set as its schema says: one metadata table, and pictures anywhere below its folder.

Not covered: the table (`metadata_table`), finding (`image_files`) and decoding (`pixel_cache`) the pictures, and
splitting (`splits`).
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from dermedge_runtime.errors import InputRejected
from dermedge_runtime.inputs.clinical import ClinicalValue

from .files.bad_lines import BadLines
from .files.image_files import ImageFiles
from .files.metadata_table import LEFT_OUT, read_table
from .files.same_content import same_content
from .groups import group_key
from .schema import DataSchema

_log = logging.getLogger(__name__)
_FIRST = 5


@dataclass(frozen=True, slots=True)
class Sample:
    """One photograph and what is known of its patient."""

    image_id: str
    """As in the table."""
    lesion_id: str
    """What the schema groups by: the lesion, or the patient. It never lies on both sides of a grouped split."""
    path: Path
    label: int
    """Index into the schema's classes."""
    clinical: Mapping[str, ClinicalValue]
    """By field name; unknown values are absent."""
    content: str = ""
    """SHA-256 of the file if another photograph of the data set has the same bytes; otherwise empty."""


def read_samples(folder: Path | None, schema: DataSchema, *, allow_missing_images: bool = False) -> list[Sample]:
    """Read every row of the metadata table, in the table's order; log everything that is left out.

    :param allow_missing_images: leave rows out whose picture is absent, and log how many; otherwise they are an error.
    :raises InputRejected: no folder, no table, a column that is absent, bad lines (all of them at once), a picture that
        could be one of several, that is a mask or that two rows name, pictures that are absent, one picture with two
        diagnoses.
    """
    table, truth = _find_tables(folder, schema)
    assert folder is not None
    bad = BadLines(table.name)
    rows = read_table(table, schema, bad, truth)
    if not bad.lines:
        _check_names(rows, table.name)
    images = ImageFiles(folder, schema.images)
    found = images.find(rows["image_id"].tolist())
    rows["path"] = pd.Series([each.path for each in found], rows.index, dtype=object)
    rows["problem"] = pd.Series([each.problem or None for each in found], rows.index, dtype=object)
    rows = rows[rows["label"] != LEFT_OUT].copy()
    bad.add_each(rows["problem"])
    bad.refuse()
    if rows.empty:
        rest = " that the schema does not leave out" if found else ""
        raise InputRejected(f"The metadata table {table} has no rows{rest}. {schema.where_to_get_it}")
    _refuse_one_file_twice(rows, folder, bad)
    rows = _with_picture(rows, table.name, folder, images, allow=allow_missing_images)
    if unnamed := images.unnamed():
        _log.info(
            "%d pictures below %s are in no row of %s and left out: %s",
            *(len(unnamed), folder, table.name, _first(unnamed)),
        )
    hashes = same_content(rows["path"])
    rows = rows.assign(content=[hashes.get(path, "") for path in rows["path"]])
    _compare_copies(rows, schema, bad)
    _tell_spellings(rows["lesion_id"], schema)
    names = [each.name for each in fields(Sample)]
    return [Sample(*row) for row in rows[names].itertuples(index=False, name=None)]


def _find_tables(folder: Path | None, schema: DataSchema) -> tuple[Path, Path | None]:
    """Give the metadata table, and the table that has its diagnoses if that is another one."""
    if folder is None:
        raise InputRejected(f"No data folder was given. {schema.where_to_get_it}")
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise InputRejected(f"The data folder {folder} {found}. {schema.where_to_get_it}")
    files = {unicodedata.normalize("NFC", path.name): path for path in folder.iterdir() if path.is_file()}
    tables = [files[name] for name in schema.table.files if name in files]
    if not tables:
        raise InputRejected(
            f"The data folder {folder} holds no {' or '.join(schema.table.files)}. {schema.where_to_get_it}"
            " A table of another layout is read with --schema."
        )
    if others := [path.name for path in tables[1:] if len(same_content([tables[0], path])) < 2]:
        _log.info("%s is read; %s beside it differs and is left out", tables[0].name, ", ".join(others))
    if not schema.table.truth_files:
        return tables[0], None
    name = dict(zip(schema.table.files, schema.table.truth_files, strict=True))[
        unicodedata.normalize("NFC", tables[0].name)
    ]
    if name not in files:
        raise InputRejected(
            f"The data folder {folder} holds no {name}, which has the diagnoses of {tables[0].name}."
            f" {schema.where_to_get_it}"
        )
    return tables[0], None if files[name] == tables[0] else files[name]


def _check_names(rows: pd.DataFrame, table: str) -> None:
    names = rows["image_id"]
    if twice := sorted(set(names[names.duplicated()]))[:_FIRST]:
        raise InputRejected(f"{table} lists these images more than once: {', '.join(twice)}.")


def _refuse_one_file_twice(rows: pd.DataFrame, folder: Path, bad: BadLines) -> None:
    """Refuse rows that name the picture of an earlier row in other words."""
    for row in _beside_the_first(rows.dropna(subset="path"), "path"):
        picture = row.path.relative_to(folder).as_posix()
        bad.add(
            row.line, f"'{row.image_id}' is the picture of line {row.line_first}, '{row.image_id_first}': {picture}."
        )
    bad.refuse()


def _beside_the_first(rows: pd.DataFrame, column: str) -> Iterator[Any]:
    """Give every row that is the same as an earlier one in a column, with what the first such row says as *_first."""
    numbered = rows.reset_index(names="line")
    first = numbered.groupby(column, sort=False)[["line", "image_id", "lesion_id", "label"]].transform("first")
    pairs = numbered.join(first, rsuffix="_first")
    return pairs[pairs["line"] != pairs["line_first"]].itertuples()


def _with_picture(rows: pd.DataFrame, table: str, folder: Path, images: ImageFiles, *, allow: bool) -> pd.DataFrame:
    """Give the rows whose picture is there.

    :raises InputRejected: there are others, and they are not allowed, or there are no pictures at all.
    """
    present = rows.dropna(subset="path")
    if len(present) < len(rows):
        absent = rows.loc[rows["path"].isna(), "image_id"].tolist()
        verb = "is" if len(absent) == 1 else "are"
        count = f"{len(absent)} of the {len(rows)} images named in {table} {verb} not below {folder}"
        if present.empty or not allow:
            mend = "take the rows out of the table, or leave them out with --allow-missing-images"
            raise InputRejected(
                f"{count}: {_first(absent)}. Unpack all image folders{'' if present.empty else f', {mend}'}."
                f"{images.hint(absent)}"
            )
        _log.info(
            "%s: their rows are left out (--allow-missing-images): %s.%s", count, _first(absent), images.hint(absent)
        )
    return present


def _compare_copies(rows: pd.DataFrame, schema: DataSchema, bad: BadLines) -> None:
    """Tell which photographs are, byte for byte, one of another lesion.

    :raises InputRejected: one has two diagnoses.
    """
    joined = []
    for row in _beside_the_first(rows[rows["content"] != ""], "content"):
        if row.label != row.label_first:
            says = f"{schema.classes[row.label]}, and {schema.classes[row.label_first]} in line {row.line_first}"
            bad.add(row.line, f"{row.image_id} is, byte for byte, {row.image_id_first}, but its diagnosis is {says}.")
        elif group_key(row.lesion_id) != group_key(row.lesion_id_first):
            joined.append(f"{row.image_id_first} = {row.image_id}")
    bad.refuse()
    if joined:
        _log.info(
            "%d photographs are, byte for byte, one of another %s, and stay on its side of a split: %s",
            *(len(joined), schema.table.group_name, _first(joined)),
        )


def _tell_spellings(ids: pd.Series[Any], schema: DataSchema) -> None:
    spelt = ids.drop_duplicates().groupby(ids.map(group_key), sort=False).agg(list)
    if alike := [" = ".join(spellings) for spellings in spelt if len(spellings) > 1]:
        group = schema.table.group_name
        _log.info("%d %s ids are spelt in several ways and taken for one each: %s", len(alike), group, _first(alike))


def _first(names: Sequence[str]) -> str:
    return f"{', '.join(names[:_FIRST])}{' and others' if len(names) > _FIRST else ''}"
