"""The models in the box: trained model files that every installation has, so that a prediction needs no training first.

A model is a file `NAME.onnx` in the folder `shipped`, with its card `NAME.md` beside it; whatever lies there is in the
box, and nothing else names it. Trained on HAM10000, so for non-commercial use; research only.
"""

from __future__ import annotations

from pathlib import Path

from dermedge_runtime.errors import ModelFileError, UsageError

_FOLDER = Path(__file__).parent / "shipped"
DEFAULT = "box"


def names_in_the_box() -> tuple[str, ...]:
    """Give the names of the models that this installation has, the default first; empty where it lacks them all."""
    found = sorted(path.stem for path in _FOLDER.glob("*.onnx"))
    return tuple(sorted(found, key=lambda name: name != DEFAULT))


def model_in_the_box(name: str = DEFAULT) -> Path:
    """Give the path of a model file.

    :param name: which one; `box` is the one to take unless size or speed count more than accuracy.
    :raises UsageError: there is none of this name; the message has the names.
    :raises ModelFileError: the installation lacks the default one.
    """
    return _path(name, ".onnx")


def card_in_the_box(name: str = DEFAULT) -> Path:
    """Give the path of its card, Markdown: data, licence, figures with intervals and per group of patients, limits.

    :raises UsageError: there is no model of this name.
    :raises ModelFileError: the installation lacks the default one.
    """
    return _path(name, ".md")


def _path(name: str, ending: str) -> Path:
    names = names_in_the_box()
    if name in names:
        return _FOLDER / f"{name}{ending}"
    if name == DEFAULT or not names:
        missing = _FOLDER / f"{name}.onnx"
        raise ModelFileError(f"This installation lacks the model in the box, {missing}. Install dermedge again.")
    raise UsageError(f"There is no model '{name}' in the box; there is {' and '.join(names)}.")
