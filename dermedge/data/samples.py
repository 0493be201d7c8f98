"""Read a data set as its schema says: one metadata table, and pictures anywhere below its folder.

Not covered: finding (`image_files`) and decoding (`pixel_cache`) the pictures, and splitting (`splits`).
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dermedge_runtime.clinical import ClinicalValue
from dermedge_runtime.errors import InputRejected

from .image_files import ImageFiles
from .schema import DataSchema, fold

_ABSENT = Path()


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


def read_samples(
    folder: Path | None,
    schema: DataSchema,
    *,
    allow_missing_images: bool = False,
    log: Callable[[str], None] = lambda line: None,
) -> list[Sample]:
    """Read every row of the metadata table, in the table's order.

    :param allow_missing_images: leave rows out whose picture is absent, and log how many; otherwise they are an error.
    :raises InputRejected: no folder, no table, a column that is absent, a malformed row (with its line), pictures that
        are absent.
    """
    table = _find_table(folder, schema)
    assert folder is not None
    rows = _read_rows(table, schema)
    images = ImageFiles(folder, schema.images)
    samples = [_parse_row(row, f"{table.name}, line {line}", images, schema) for line, row in rows]
    if not samples:
        raise InputRejected(f"The metadata table {table} has no rows. {schema.where_to_get_it}")
    counts = Counter(sample.image_id for sample in samples)
    if twice := sorted(name for name, count in counts.items() if count > 1)[:5]:
        raise InputRejected(f"{table.name} lists these images more than once: {', '.join(twice)}.")
    present = [sample for sample in samples if sample.path != _ABSENT]
    if len(present) < len(samples):
        absent = [sample.image_id for sample in samples if sample.path == _ABSENT]
        count = f"{len(absent)} of the {len(samples)} images named in {table.name} are not below {folder}"
        if not present or not allow_missing_images:
            mend = "take the rows out of the table, or leave them out with --allow-missing-images"
            raise InputRejected(
                f"{count}: {', '.join(absent[:5])}{' and others' if len(absent) > 5 else ''}."
                f" Unpack all image folders{f', {mend}' if present else ''}."
            )
        log(f"{count}: their rows are left out (--allow-missing-images)")
    return present


def _find_table(folder: Path | None, schema: DataSchema) -> Path:
    if folder is None:
        raise InputRejected(f"No data folder was given. {schema.where_to_get_it}")
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise InputRejected(f"The data folder {folder} {found}. {schema.where_to_get_it}")
    table = next((folder / name for name in schema.table.files if (folder / name).is_file()), None)
    if table is None:
        raise InputRejected(
            f"The data folder {folder} holds no {' or '.join(schema.table.files)}. {schema.where_to_get_it}"
            " A table of another layout is read with --schema."
        )
    return table


def _read_rows(table: Path, schema: DataSchema) -> list[tuple[int, dict[str, str]]]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            header = stream.readline()
            stream.seek(0)
            delimiter = schema.table.delimiter or ("\t" if "\t" in header else ",")
            reader = csv.DictReader(stream, delimiter=delimiter, strict=True)
            _check_columns(reader.fieldnames or (), table, schema)
            return [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        by = f"'{schema.table.delimiter}'" if schema.table.delimiter else "commas or tabs"
        raise InputRejected(f"The metadata table {table} is no UTF-8 table separated by {by}: {error}.") from error


def _check_columns(found: Sequence[str], table: Path, schema: DataSchema) -> None:
    if missing := [name for name in schema.columns if name not in found]:
        raise InputRejected(
            f"The metadata table {table} lacks the columns {', '.join(sorted(missing))}."
            f" The columns there are: {', '.join(found) or 'none'}."
        )
    if twice := [name for name in schema.columns if list(found).count(name) > 1]:
        raise InputRejected(f"The metadata table {table} has two columns called {twice[0]}. Rename one.")


def _parse_row(row: dict[str, str], where: str, images: ImageFiles, schema: DataSchema) -> Sample:
    if None in row or None in row.values():
        raise InputRejected(f"{where}: the row has not as many columns as the header.")
    rule = schema.table
    image_id, group = row[rule.image].strip(), [row[column].strip() for column in rule.group]
    if not image_id or not all(group):
        raise InputRejected(f"{where}: {' or '.join((rule.image, *rule.group))} is empty.")
    code = schema.diagnoses.get(fold(row[rule.diagnosis]))
    if code is None:
        known = dict.fromkeys((*schema.classes, *schema.diagnoses.values()))
        raise InputRejected(f"{where}: unknown diagnosis '{row[rule.diagnosis]}'; known are {', '.join(known)}.")
    clinical: dict[str, ClinicalValue] = {}
    try:
        for entry in schema.fields:
            value = entry.read(row[entry.column], schema.unknown)
            if value is not None:
                clinical[entry.field.name] = value
        path = images.find(image_id) or _ABSENT
    except InputRejected as error:
        raise InputRejected(f"{where}: {error}") from error
    return Sample(image_id, " / ".join(group), path, schema.classes.index(code), clinical)
