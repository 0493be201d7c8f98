"""The model in the box: a trained model file that every installation has, so that a prediction needs no training first.

Its card lies beside it. Trained on HAM10000, so for non-commercial use; research only.
"""

from __future__ import annotations

from pathlib import Path

from dermedge_runtime.errors import ModelFileError

_FOLDER = Path(__file__).parent / "shipped"
_NAME = "ham10000-concat-int8"


def model_in_the_box() -> Path:
    """Give the path of the model file.

    :raises ModelFileError: the installation lacks it.
    """
    path = _FOLDER / f"{_NAME}.onnx"
    if not path.is_file():
        raise ModelFileError(f"This installation lacks the model in the box, {path}. Install dermedge again.")
    return path


def card_in_the_box() -> Path:
    """Give the path of its card, Markdown: data, licence, figures with intervals and per group of patients, limits."""
    return _FOLDER / f"{_NAME}.md"
