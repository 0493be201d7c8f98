"""What is measured of one cell, and its two files in the run folder.

`results.json`: settings, figures of the test split, size and parity of the INT8 file; nothing in it depends on the time
or the place of the measurement. `predictions.csv`: the probabilities of every test photograph, from which the bootstrap
and the ROC curves are made without the data. Reading needs neither torch nor the pictures.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermedge_runtime.errors import DermedgeError
from dermedge_runtime.files import write_json, write_text

_RESULTS, _PREDICTIONS = "results.json", "predictions.csv"
_FORMAT = 1
_KEYS = ("protocol", "seed", "fusion", "image_branch", "settings", "weights_sha256", "scores", "int8", "parameters")
_COLUMNS = ("image_id", "lesion_id", "diagnosis")


@dataclass(frozen=True, slots=True)
class Predictions:
    """Test photographs of one run."""

    images: list[str]
    lesions: NDArray[np.str_]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    """[N, classes]."""


def write_predictions(folder: Path, predictions: Predictions, classes: tuple[str, ...]) -> None:
    """Write one line per photograph."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow((*_COLUMNS, *classes))
    rows = zip(predictions.images, predictions.lesions, predictions.labels, predictions.probabilities, strict=True)
    writer.writerows((image, lesion, classes[label], *map(str, values)) for image, lesion, label, values in rows)
    write_text(folder / _PREDICTIONS, out.getvalue())


def read_predictions(folder: Path) -> Predictions:
    """Read what `write_predictions` wrote.

    :raises DermedgeError: missing or damaged.
    """
    path = folder / _PREDICTIONS
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            classes = next(reader)[len(_COLUMNS) :]
            rows = list(reader)
        return Predictions(
            [row[0] for row in rows],
            np.array([row[1] for row in rows], dtype=np.str_),
            np.array([classes.index(row[2]) for row in rows], dtype=np.int64),
            np.array([row[3:] for row in rows], dtype=np.float32).reshape(len(rows), len(classes)),
        )
    except (OSError, ValueError, IndexError, StopIteration, csv.Error) as error:
        raise DermedgeError(f"{path} cannot be read ({error}). {_mend(folder)}") from error


def write_results(folder: Path, record: dict[str, Any]) -> None:
    """Write the record; it makes the cell measured."""
    write_json(folder / _RESULTS, {"format": _FORMAT, **record})


def read_results(folder: Path) -> dict[str, Any] | None:
    """Read the record; None where there is none, or where the weights have changed since.

    :raises DermedgeError: damaged.
    """
    path = folder / _RESULTS
    if not path.is_file():
        return None
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if absent := [key for key in _KEYS if key not in record]:
            raise KeyError(", ".join(absent))
    except (ValueError, KeyError, TypeError) as error:
        raise DermedgeError(f"{path} is damaged ({error}). {_mend(folder)}") from error
    weights = folder / "weights.safetensors"
    if weights.is_file() and file_sha256(weights) != record["weights_sha256"]:
        return None
    return record


def file_sha256(path: Path) -> str:
    """Hash of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _mend(folder: Path) -> str:
    return f"Remove {folder / _RESULTS} and run the same `dermedge compare` again: it measures anew."
