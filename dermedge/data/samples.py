"""Read a data set as its schema says: one metadata table, and pictures anywhere below its folder.

Not covered: the table's text (`table_rows`), finding (`image_files`) and decoding (`pixel_cache`) the pictures, and
splitting (`splits`).
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dermedge_runtime.errors import InputRejected
from dermedge_runtime.inputs.clinical import ClinicalValue

from .files.image_files import ImageFiles
from .files.same_content import same_content
from .files.table_rows import Problem, TableRow, read_rows, refuse
from .groups import group_key, names_nothing
from .schema import DataSchema
from .words import fold

_ABSENT = Path()
_FIRST = 5

Log = Callable[[str], None]


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


def read_samples(
    folder: Path | None,
    schema: DataSchema,
    *,
    allow_missing_images: bool = False,
    log: Log = lambda line: None,
) -> list[Sample]:
    """Read every row of the metadata table, in the table's order.

    :param allow_missing_images: leave rows out whose picture is absent, and log how many; otherwise they are an error.
    :param log: learns of everything that is left out: rows, tables, pictures that no row names.
    :raises InputRejected: no folder, no table, a column that is absent, malformed rows (with their lines), a picture
        that could be one of several, that is a mask or that two rows name, pictures that are absent, one picture with
        two diagnoses.
    """
    table = _find_table(folder, schema, log)
    assert folder is not None
    rows, problems = read_rows(table, schema, log)
    parsed: list[tuple[int, Sample]] = []
    for row in rows:
        try:
            parsed.append((row.line, _parse_row(row, schema)))
        except InputRejected as error:
            problems.append((row.line, str(error)))
    if not problems:
        _check_names(parsed, table.name)
    images = ImageFiles(folder, schema.images)
    found = images.find([sample.image_id for _, sample in parsed])
    problems += [(line, each.problem) for (line, _), each in zip(parsed, found, strict=True) if each.problem]
    refuse(table.name, problems)
    if not parsed:
        raise InputRejected(f"The metadata table {table} has no rows. {schema.where_to_get_it}")
    pairs = zip(parsed, found, strict=True)
    parsed = [(line, replace(sample, path=each.path or _ABSENT)) for (line, sample), each in pairs]
    refuse(table.name, _named_twice(parsed, folder))
    present = _present(parsed, table.name, folder, images, allow=allow_missing_images, log=log)
    if unnamed := images.unnamed():
        log(f"{len(unnamed)} pictures below {folder} are in no row of {table.name} and left out: {_first(unnamed)}")
    return _with_content(present, table.name, schema, log)


def _find_table(folder: Path | None, schema: DataSchema, log: Log) -> Path:
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
        log(f"{tables[0].name} is read; {', '.join(others)} beside it differs and is left out")
    return tables[0]


def _parse_row(row: TableRow, schema: DataSchema) -> Sample:
    """Read everything of a row but its picture."""
    rule, cells = schema.table, row.cells
    image_id, group = cells[rule.image].strip(), [cells[column].strip() for column in rule.group]
    if not image_id or not all(group):
        raise InputRejected(f"{' or '.join((rule.image, *rule.group))} is empty.")
    for column, part in zip(rule.group, group, strict=True):
        if names_nothing(part) or fold(part) in schema.unknown:
            raise InputRejected(
                f"{column} is '{part}', which names no {rule.group_name}. Write the id of the {rule.group_name}, or"
                f" an id of its own if no other photograph shows this {rule.group_name}."
            )
    code = schema.diagnoses.get(fold(cells[rule.diagnosis]))
    if code is None:
        known = dict.fromkeys((*schema.classes, *schema.diagnoses.values()))
        raise InputRejected(f"unknown diagnosis '{cells[rule.diagnosis]}'; known are {', '.join(known)}.")
    clinical: dict[str, ClinicalValue] = {}
    for entry in schema.fields:
        value = entry.read(cells[entry.column], schema.unknown, rule.decimal)
        if value is not None:
            clinical[entry.field.name] = value
    return Sample(image_id, " / ".join(group), _ABSENT, schema.classes.index(code), clinical)


def _check_names(parsed: Sequence[tuple[int, Sample]], table: str) -> None:
    counts = Counter(sample.image_id for _, sample in parsed)
    if twice := sorted(name for name, count in counts.items() if count > 1)[:_FIRST]:
        raise InputRejected(f"{table} lists these images more than once: {', '.join(twice)}.")


def _named_twice(parsed: Sequence[tuple[int, Sample]], folder: Path) -> list[Problem]:
    """Rows that name the picture of an earlier row in other words."""
    first: dict[Path, tuple[int, str]] = {}
    problems = []
    for line, sample in parsed:
        before, name = first.setdefault(sample.path, (line, sample.image_id))
        if before != line and sample.path != _ABSENT:
            picture = sample.path.relative_to(folder).as_posix()
            problems.append((line, f"'{sample.image_id}' is the picture of line {before}, '{name}': {picture}."))
    return problems


def _present(
    parsed: Sequence[tuple[int, Sample]], table: str, folder: Path, images: ImageFiles, *, allow: bool, log: Log
) -> list[tuple[int, Sample]]:
    """Rows whose picture is there.

    :raises InputRejected: there are others, and they are not allowed, or there are no pictures at all.
    """
    present = [(line, sample) for line, sample in parsed if sample.path != _ABSENT]
    if len(present) < len(parsed):
        absent = [sample.image_id for _, sample in parsed if sample.path == _ABSENT]
        count = f"{len(absent)} of the {len(parsed)} images named in {table} are not below {folder}"
        if not present or not allow:
            mend = "take the rows out of the table, or leave them out with --allow-missing-images"
            raise InputRejected(
                f"{count}: {_first(absent)}. Unpack all image folders{f', {mend}' if present else ''}."
                f"{images.hint(absent)}"
            )
        log(f"{count}: their rows are left out (--allow-missing-images): {_first(absent)}.{images.hint(absent)}")
    return present


def _with_content(present: Sequence[tuple[int, Sample]], table: str, schema: DataSchema, log: Log) -> list[Sample]:
    """Note which photographs are, byte for byte, one, and tell what that joins.

    :raises InputRejected: one has two diagnoses.
    """
    hashes = same_content(sample.path for _, sample in present)
    samples = [(line, replace(sample, content=hashes.get(sample.path, ""))) for line, sample in present]
    first: dict[str, tuple[int, Sample]] = {}
    problems, joined = [], []
    for line, sample in samples:
        if not sample.content:
            continue
        before, other = first.setdefault(sample.content, (line, sample))
        if other.label != sample.label:
            says = f"{schema.classes[sample.label]}, and {schema.classes[other.label]} in line {before}"
            problems.append(
                (line, f"{sample.image_id} is, byte for byte, {other.image_id}, but its diagnosis is {says}.")
            )
        elif group_key(other.lesion_id) != group_key(sample.lesion_id):
            joined.append(f"{other.image_id} = {sample.image_id}")
    refuse(table, problems)
    group = schema.table.group_name
    if joined:
        log(
            f"{len(joined)} photographs are, byte for byte, one of another {group}, and stay on its side of a split:"
            f" {_first(joined)}"
        )
    spelt: dict[str, dict[str, None]] = defaultdict(dict)
    for _, sample in samples:
        spelt[group_key(sample.lesion_id)][sample.lesion_id] = None
    if alike := [" = ".join(ids) for ids in spelt.values() if len(ids) > 1]:
        log(f"{len(alike)} {group} ids are spelt in several ways and taken for one each: {_first(alike)}")
    return [sample for _, sample in samples]


def _first(names: Sequence[str]) -> str:
    return f"{', '.join(names[:_FIRST])}{' and others' if len(names) > _FIRST else ''}"
