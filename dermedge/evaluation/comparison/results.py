"""What is measured of one run, and its two files in the run folder.

`results.json`: settings, figures of the test split, size and parity of the INT8 file; nothing in it depends on the time
or the place of the measurement. `predictions.csv`: the probabilities of every test photograph, from which the bootstrap
and the ROC curves are made without the data. Reading needs neither torch nor the pictures.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dermedge.data.files.content_hashes import hash_file
from dermedge.training.run_names import PAPERS_BRANCH
from dermedge_runtime.errors import DermedgeError
from dermedge_runtime.files import write_json, write_text

from .given_trunk import GIVEN
from .rows import NONE, model_name

_RESULTS, _PREDICTIONS = "results.json", "predictions.csv"
_FORMAT = 3  # 3: the image branch, and what it started from
MEMBERS = "members"
"""The key of the networks of an ensemble."""
_KEYS = ("protocol", "seed", "fusion", "trunk", "settings", "weights_sha256", "scores", "int8", "parameters")
_COLUMNS = ["image_id", "lesion_id", "diagnosis"]


@dataclass(frozen=True, slots=True)
class Predictions:
    """Test photographs of one run."""

    images: list[str]
    lesions: NDArray[np.str_]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    """[N, classes]."""


def int8_file(folder: Path, image_branch: str, fusion: str) -> Path:
    """Where the INT8 file of a run lies."""
    return folder / f"{model_name(image_branch, fusion)}-int8.onnx"


def write_predictions(folder: Path, predictions: Predictions, classes: tuple[str, ...]) -> None:
    """Write one line per photograph."""
    diagnoses = np.array(classes)[predictions.labels]
    named = pd.DataFrame(dict(zip(_COLUMNS, (predictions.images, predictions.lesions, diagnoses), strict=True)))
    # As text, because the shortest digits of a float32 are fewer than those of the same number as a float64.
    shares = pd.DataFrame(predictions.probabilities.astype(str), columns=list(classes))
    write_text(folder / _PREDICTIONS, named.join(shares).to_csv(index=False, lineterminator="\n"))


def read_predictions(folder: Path) -> Predictions:
    """Read what `write_predictions` wrote.

    :raises DermedgeError: missing or damaged.
    """
    path = folder / _PREDICTIONS
    try:
        # A lesion may be called NA: only a field that is not there is missing.
        table = pd.read_csv(
            path, dtype=dict.fromkeys(_COLUMNS, str), keep_default_na=False, float_precision="round_trip"
        )
        shares = table.drop(columns=_COLUMNS).astype(np.float32)
        labels = shares.columns.get_indexer(pd.Index(table["diagnosis"]))
        if table.isna().any(axis=None) or (labels < 0).any():
            raise ValueError("a line is cut off, or its diagnosis is no class")
    except (OSError, ValueError, KeyError) as error:
        raise DermedgeError(f"{path} cannot be read ({error}). {_mend(folder)}") from error
    lesions = table["lesion_id"].to_numpy(dtype=np.str_)
    return Predictions(table["image_id"].tolist(), lesions, labels.astype(np.int64), shares.to_numpy())


def write_results(folder: Path, record: dict[str, Any]) -> None:
    """Write the record; it makes the run measured."""
    write_json(folder / _RESULTS, {**record, "format": _FORMAT})


def read_results(folder: Path) -> dict[str, Any] | None:
    """Read the record; None where there is none, or where the weights have changed since.

    :raises DermedgeError: damaged.
    """
    path = folder / _RESULTS
    if not path.is_file():
        return None
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if "trunk" not in record and "image_branch" in record:  # format 1 called the trunk so
            record["trunk"] = record.pop("image_branch")
        if absent := [key for key in _KEYS if key not in record]:
            raise KeyError(", ".join(absent))
        record.setdefault("image_branch", NONE if record["trunk"] == NONE else PAPERS_BRANCH)
        record.setdefault("pretrained", None)
        record.setdefault(GIVEN, None)
    except (ValueError, KeyError, TypeError) as error:
        raise DermedgeError(f"{path} is damaged ({error}). {_mend(folder)}") from error
    weights = folder / "weights.safetensors"
    if weights.is_file() and hash_file(weights) != record["weights_sha256"]:
        return None
    return record


def _mend(folder: Path) -> str:
    return f"Remove {folder / _RESULTS} and run the same `dermedge compare` again: it measures anew."
