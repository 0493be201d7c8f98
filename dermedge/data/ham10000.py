"""Read a data set in a published layout of HAM10000: one metadata table and one or more folders of pictures.

Covered: `HAM10000_metadata.csv`, `HAM10000_metadata` or `.tab`, comma or tab; pictures anywhere below the folder.
Not covered: decoding the pictures (`pixel_cache`) and splitting (`splits`).
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dermedge_runtime.clinical import CategoricalField, ClinicalSchema, ClinicalValue, NumericField
from dermedge_runtime.errors import InputRejected

CLASS_NAMES: Mapping[str, str] = {
    "akiec": "actinic keratosis / Bowen's disease",
    "bcc": "basal cell carcinoma",
    "bkl": "benign keratosis",
    "df": "dermatofibroma",
    "mel": "melanoma",
    "nv": "melanocytic nevus",
    "vasc": "vascular lesion",
}
CLASSES = tuple(CLASS_NAMES)
SITES = (
    "abdomen", "acral", "back", "chest", "ear", "face", "foot", "genital", "hand",
    "lower extremity", "neck", "scalp", "trunk", "upper extremity",
)  # fmt: skip
AGE = NumericField("age", "years", 0.0, 120.0)
SEX = CategoricalField("sex", ("female", "male"))
SITE = CategoricalField("site", SITES)
DX_TYPE = CategoricalField("dx_type", ("confocal", "consensus", "follow_up", "histo"))

METADATA_NAMES = ("HAM10000_metadata.csv", "HAM10000_metadata", "HAM10000_metadata.tab")
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
COLUMN_OF_FIELD = {"age": "age", "sex": "sex", "site": "localization", "dx_type": "dx_type"}
WHERE_TO_GET_IT = (
    "HAM10000 is published at doi:10.7910/DVN/DBW86T (unpack it so that the metadata table and the image folders lie in"
    " one folder, given with --data); `dermedge demo` needs no data."
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One photograph and what is known of its patient."""

    image_id: str
    lesion_id: str
    path: Path
    label: int
    """Index into `CLASSES`."""
    clinical: Mapping[str, ClinicalValue]
    """By field name; unknown values are absent."""


def clinical_schema(*, with_dx_type: bool) -> ClinicalSchema:
    """Age, sex and site; `dx_type` only on request, because it is not known before the diagnosis and gives it away."""
    extra = (DX_TYPE,) if with_dx_type else ()
    return ClinicalSchema(numeric=(AGE,), categorical=(SEX, SITE, *extra))


def read_samples(folder: Path | None) -> list[Sample]:
    """Read every row of the metadata table, in the table's order.

    :raises InputRejected: no folder, no table, a malformed row (with its line), pictures that are absent.
    """
    if folder is None:
        raise InputRejected(f"No data folder was given. {WHERE_TO_GET_IT}")
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise InputRejected(f"The data folder {folder} {found}. {WHERE_TO_GET_IT}")
    table = next((folder / name for name in METADATA_NAMES if (folder / name).is_file()), None)
    if table is None:
        raise InputRejected(f"The data folder {folder} holds no {' or '.join(METADATA_NAMES)}. {WHERE_TO_GET_IT}")
    images = _find_images(folder)
    schema = clinical_schema(with_dx_type=True)
    samples = [_parse_row(row, line, table, images, schema) for line, row in _read_rows(table)]
    if not samples:
        raise InputRejected(f"The metadata table {table} has no rows. {WHERE_TO_GET_IT}")
    _check(samples, table, folder)
    return samples


def _find_images(folder: Path) -> dict[str, Path]:
    """Paths by image id; of several copies the first in the order of the folders' names."""
    found: dict[str, Path] = {}
    visited: set[str] = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        if os.path.realpath(root) in visited:  # a link that leads back
            folders[:] = []
            continue
        visited.add(os.path.realpath(root))
        folders[:] = sorted(name for name in folders if "segmentation" not in name.lower() and not name.startswith("."))
        for name in sorted(files):
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in IMAGE_SUFFIXES:
                found.setdefault(stem, Path(root, name))
    return found


def _read_rows(table: Path) -> list[tuple[int, dict[str, str]]]:
    needed = {"lesion_id", "image_id", "dx", *COLUMN_OF_FIELD.values()}
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            header = stream.readline()
            stream.seek(0)
            reader = csv.DictReader(stream, delimiter="\t" if "\t" in header else ",", strict=True)
            missing = needed - set(reader.fieldnames or ())
            if missing:
                raise InputRejected(f"The metadata table {table} lacks the columns {', '.join(sorted(missing))}.")
            return [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputRejected(
            f"The metadata table {table} is no UTF-8 table separated by commas or tabs: {error}."
        ) from error


def _parse_row(
    row: dict[str, str], line: int, table: Path, images: Mapping[str, Path], schema: ClinicalSchema
) -> Sample:
    where = f"{table.name}, line {line}"
    if None in row or None in row.values():
        raise InputRejected(f"{where}: the row has not as many columns as the header.")
    image_id, lesion_id, diagnosis = row["image_id"].strip(), row["lesion_id"].strip(), row["dx"].strip().lower()
    if not image_id or not lesion_id:
        raise InputRejected(f"{where}: image_id or lesion_id is empty.")
    if diagnosis not in CLASS_NAMES:
        raise InputRejected(f"{where}: unknown diagnosis '{row['dx']}'; known are {', '.join(CLASSES)}.")
    clinical: dict[str, ClinicalValue] = {}
    for field in schema.fields:
        text = row[COLUMN_OF_FIELD[field.name]]
        try:
            value = field.parse(text)
        except InputRejected as error:
            raise InputRejected(f"{where}: {error}") from error
        if isinstance(field, NumericField) and value == value:
            clinical[field.name] = value
        elif isinstance(field, CategoricalField) and value >= 0:
            clinical[field.name] = field.vocabulary[int(value)]
    return Sample(image_id, lesion_id, images.get(image_id, Path()), CLASSES.index(diagnosis), clinical)


def _check(samples: list[Sample], table: Path, folder: Path) -> None:
    counts = Counter(sample.image_id for sample in samples)
    if twice := sorted(name for name, count in counts.items() if count > 1)[:5]:
        raise InputRejected(f"{table.name} lists these images more than once: {', '.join(twice)}.")
    absent = [sample.image_id for sample in samples if sample.path == Path()]
    if absent:
        raise InputRejected(
            f"{len(absent)} of the {len(samples)} images named in {table.name} are not below {folder}:"
            f" {', '.join(absent[:5])}{' and others' if len(absent) > 5 else ''}."
            " Unpack all image folders, or take the rows out of the table."
        )
