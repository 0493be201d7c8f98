"""Arguments of `dermedge infer` -> picture files: a folder stands for the pictures in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dermedge_runtime.errors import InputRejected

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".tif", ".tiff", ".bmp"})
OVERLAY_SUFFIX = ".heatmap.png"
"""What `infer --explain` appends to a picture's name."""


def picture_files(arguments: Sequence[str]) -> list[str]:
    """Replace every folder by the pictures in it, by name; what is no folder stays as it is.

    Folders within it, hidden files, heat maps written by `infer --explain`, and files with other endings are left out.

    :raises InputRejected: a folder without a picture, or one that cannot be read.
    """
    files: list[str] = []
    for argument in arguments:
        files += _pictures_in(Path(argument)) if Path(argument).is_dir() else [argument]
    return files


def _pictures_in(folder: Path) -> list[str]:
    try:
        found = sorted(path for path in folder.iterdir() if _is_picture(path))
    except OSError as error:
        raise InputRejected(f"Cannot read the folder {folder}: {error.strerror or error}.") from error
    if not found:
        raise InputRejected(f"The folder {folder} holds no picture ({', '.join(sorted(SUFFIXES))}).")
    return [str(path) for path in found]


def _is_picture(path: Path) -> bool:
    name = path.name.lower()
    hidden_or_ours = name.startswith(".") or name.endswith(OVERLAY_SUFFIX)
    return path.suffix.lower() in SUFFIXES and not hidden_or_ours and path.is_file()
