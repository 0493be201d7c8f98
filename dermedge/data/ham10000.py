"""HAM10000's shipped schema, and its words for what is made in its layout."""

from __future__ import annotations

from pathlib import Path

from dermedge_runtime.inputs.clinical import CategoricalField

from . import samples
from .samples import Sample
from .schema_file import load_schema

HAM10000 = load_schema("ham10000")
CLASSES = HAM10000.classes
SITES = next(
    field.vocabulary
    for field in HAM10000.clinical("grouped").fields
    if isinstance(field, CategoricalField) and field.name == "site"
)


def read_samples(folder: Path | None) -> list[Sample]:
    """Read HAM10000 in one of its published layouts.

    :raises InputRejected: as `samples.read_samples`.
    """
    return samples.read_samples(folder, HAM10000)
