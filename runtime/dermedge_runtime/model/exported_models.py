"""Find exported model files: the newest, those that were made from a run's weights, or the one in the box."""

from __future__ import annotations

import logging
from pathlib import Path

from dermedge_runtime.errors import ModelFileError
from dermedge_runtime.model.model_file import read_model_file
from dermedge_runtime.model.shipped_model import model_in_the_box

_log = logging.getLogger(__name__)
MODELS = Path("models")


def newest_model(folder: Path = MODELS) -> Path:
    """Give the newest model file of a folder.

    :raises ModelFileError: the folder has none.
    """
    found = sorted(folder.glob("*.onnx"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise ModelFileError(
            f"There is no exported model in {folder.absolute()}. Run `dermedge export`, or name a file with --model."
        )
    return found[-1]


def newest_or_boxed_model(folder: Path) -> Path:
    """Give the newest model file of a folder; where the usual folder has none, the model in the box, and log it.

    :raises ModelFileError: another folder without a model file, or no model in the box.
    """
    if folder != MODELS or any(folder.glob("*.onnx")):
        return newest_model(folder)
    path = model_in_the_box()
    _log.info(
        "There is no exported model in %s: this is the model in the box, %s, for research and non-commercial use alone."
        " `dermedge inspect` tells about it.",
        folder.absolute(),
        path.name,
    )
    return path


def models_of(weights_sha256: str, folder: Path = MODELS, precision: str | None = None) -> list[Path]:
    """Give the model files of a folder that were made from these weights; files that cannot be read are passed over.

    :param precision: only files of this precision, and only those that carry what explanations they can.
    """
    found = []
    for path in sorted(folder.glob("*.onnx")):
        try:
            spec = read_model_file(path).spec
        except ModelFileError:
            continue
        fits = precision is None or (spec.precision == precision and (spec.explains or spec.no_heatmap))
        if fits and spec.weights_sha256 == weights_sha256:
            found.append(path)
    return found
