"""What somebody wants of many pictures: where they are, what is known of the patients, where everything goes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dermedge_runtime.classifier import Classifier
from dermedge_runtime.errors import InputRejected, UsageError
from dermedge_runtime.inputs.clinical import ClinicalValue
from dermedge_runtime.result_row import NUMBER, Column, columns

from .summary_page import check_report

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class BatchJob:
    """One call for many pictures."""

    inputs: tuple[str, ...]
    """Files and folders."""
    recursive: bool = False
    """Folders inside folders too."""
    clinical: Mapping[str, ClinicalValue] = field(default_factory=dict)
    """Values of all patients, by field."""
    table: Path | None = None
    """Table of patients."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """By field, or image, the column of the table."""
    id: str | None = None
    """Column that is carried into the results."""
    strict: bool = False
    """Rows without a file, files without a row, and doubts between them are errors."""
    out: Path | None = None
    """Results file."""
    overwrite: bool = False
    """Begin the results file anew."""
    explain: bool = False
    """The explanation too."""
    target: str | None = None
    """Class to explain; by default the predicted one."""
    overlays: Path | None = None
    """Folder of overlays; None: without them."""
    report: Path | None = None
    """Page about all pictures."""
    fhir: Path | None = None
    """Folder of FHIR reports."""
    workers: int | None = None
    """Threads that read; None: as many as CPUs."""

    def result_columns(self, classifier: Classifier) -> tuple[Column, ...]:
        """Give the columns of the results."""
        file, *others, error = columns(classifier.spec, explain=self.explain)
        overlay = [Column("overlay")] if self.overlays is not None else []
        return (Column("id"), file, Column("frame", NUMBER), *others, *overlay, error)

    def settings(self, classifier: Classifier) -> dict[str, Any]:
        """Give, JSON-ready, what must be the same for results to be gone on with.

        :raises InputRejected: the table cannot be read.
        """
        return {
            "pictures": list(self.inputs),
            "--recursive": self.recursive,
            "values of all patients": {name: _plain(value) for name, value in self.clinical.items()},
            "--table": None if self.table is None else str(self.table),
            "SHA-256 of the table": None if self.table is None else _sha256(self.table),
            "--columns": dict(self.columns),
            "--id": self.id,
            "--explain": self.explain,
            "--target": self.target,
            "--overlays": None if self.overlays is None else str(self.overlays),
            "--fhir": None if self.fhir is None else str(self.fhir),
            "model": classifier.name,
            "SHA-256 of the model": classifier.sha256,
            "device": classifier.device,
        }

    def check(self, classifier: Classifier) -> None:
        """See that the options make sense together.

        :raises UsageError: they do not, or the model cannot give what they ask for.
        """
        if self.table is None:
            for option, given in (("--columns", self.columns), ("--id", self.id), ("--strict", self.strict)):
                if given:
                    raise UsageError(f"{option} is about the table of patients; name it with --table.")
        if self.overlays is not None and not self.explain:
            raise UsageError("--overlays says where --explain writes; ask for --explain too.")
        if self.target is not None and not self.explain and self.report is None:
            raise UsageError("--target chooses the class to explain; ask for --explain or --report too.")
        if self.report is not None:
            check_report(self.report)
        if self.overwrite and self.out is None:
            raise UsageError("--overwrite begins the file of --out anew; name that file.")
        if self.explain:
            classifier.require_explanations()
        if classifier.spec.image is None:
            raise UsageError(f"{classifier.name} reads no picture; call it once for each patient, without one.")
        classifier.spec.clinical.encode([self.clinical])  # a wrong value concerns every picture: say it once


def _plain(value: ClinicalValue) -> float | str | None:
    return value if value is None or isinstance(value, str) else float(value)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while piece := stream.read(_PIECE):
                digest.update(piece)
    except OSError as error:
        raise InputRejected(f"Cannot read the table {path}: {error.strerror or error}.") from error
    return digest.hexdigest()
