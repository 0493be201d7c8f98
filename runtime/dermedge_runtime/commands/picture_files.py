"""Arguments of `dermedge infer` -> pictures: a folder stands for the pictures in it, `-` for standard input.

What a folder holds besides is counted and named.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dermedge_runtime.errors import InputRejected, UsageError

from .folder_content import read_folder
from .shown_names import shown

STANDARD_INPUT = "-"


@dataclass(slots=True)
class PictureFiles:
    """What the arguments stand for."""

    found: list[str] = field(default_factory=list)
    """Paths, and `-` for standard input, in the order of the arguments."""
    without: list[tuple[str, str]] = field(default_factory=list)
    """Folders that give no picture, each with the sentence that says why."""
    left_out: list[str] = field(default_factory=list)
    """Sentences about what else is in the folders."""


def picture_files(arguments: Sequence[str]) -> PictureFiles:
    """Replace every folder by the pictures in it, by name; what is no folder stays as it is.

    :raises UsageError: standard input is named twice.
    """
    if list(arguments).count(STANDARD_INPUT) > 1:
        raise UsageError("Standard input (-) holds one picture; name it once.")
    files = PictureFiles()
    for argument in arguments:
        if argument != STANDARD_INPUT and Path(argument).is_dir():
            _look_into(argument, files)
        else:
            files.found.append(argument)
    return files


class StandardInput:
    """Standard input as an open file with one picture."""

    name = STANDARD_INPUT

    def read(self) -> bytes:
        """Read it to its end.

        :raises InputRejected: it is closed, a terminal, or longer than any pipe may be.
        """
        from dermedge_runtime.inputs.kept_source import MAX_STREAM

        if sys.stdin is None:
            raise InputRejected("Standard input is closed, so there is no picture to read from it.")
        if sys.stdin.isatty():
            raise InputRejected("Standard input is a terminal; send a picture: dermedge infer - < lesion.jpg")
        content = sys.stdin.buffer.read(MAX_STREAM + 1)
        if len(content) > MAX_STREAM:
            raise InputRejected(f"Standard input gives more than {MAX_STREAM // 2**20} MB. Save the picture to a file.")
        return content


def _look_into(folder: str, files: PictureFiles) -> None:
    try:
        content = read_folder(folder)
    except OSError as error:
        reason = error.strerror or error
        files.without.append((folder, f"Cannot read the folder {shown(folder)}: {reason}."))
        return
    files.found += [str(Path(folder, name)) for name in content.pictures]
    if not content.pictures:
        files.without.append((folder, content.left_out.no_picture(folder)))
    elif content.left_out:
        files.left_out.append(content.left_out.sentence(folder))
