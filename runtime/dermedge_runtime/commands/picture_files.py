"""Arguments of `dermedge infer` -> pictures: a folder stands for the pictures in it, `-` for standard input.

What a folder holds besides is counted and named: a picture that is left out unseen is an answer that nobody misses.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dermedge_runtime.errors import InputRejected, UsageError

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".tif", ".tiff", ".bmp"})
OVERLAY_SUFFIX = ".heatmap.png"
"""What `infer --explain` appends to a picture's name."""
STANDARD_INPUT = "-"
_SYSTEM_FILES = ("thumbs.db", "desktop.ini")
_CONVERTIBLE = frozenset({".heic", ".heif", ".avif", ".gif", ".dng", ".jxl", ".jp2", ".psd"})
_COUNTED = {
    "folder": ("inside was not opened", "inside were not opened"),
    "heat map": (f"(*{OVERLAY_SUFFIX}) was left out", f"(*{OVERLAY_SUFFIX}) were left out"),
    "entry": (
        "that is no file (a pipe or a broken link) was left out",
        "that are no files (pipes or broken links) were left out",
    ),
    "hidden file": ("was left out", "were left out"),
}
_NAMED = 5
"""Names that a message gives; the rest is counted."""


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


def shown(name: str) -> str:
    """Give a name as one line can show it: control characters, and bytes of no encoding, are escaped."""
    if name.isprintable():
        return name
    return "".join(c if _is_shown(c) else c.encode("unicode_escape").decode("ascii") for c in name)


def _is_shown(character: str) -> bool:
    blank = character >= "\xa0" and character.isspace() and character not in "\u2028\u2029"
    return blank or character.isprintable()


def _look_into(folder: str, files: PictureFiles) -> None:
    pictures: list[str] = []
    others: list[str] = []
    counts: Counter[str] = Counter()
    try:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                kind = _kind(entry)
                if kind == "picture":
                    pictures.append(str(Path(folder, entry.name)))
                elif kind == "other":
                    others.append(entry.name)
                else:
                    counts[kind] += 1
    except OSError as error:
        reason = error.strerror or error
        files.without.append((folder, f"Cannot read the folder {shown(folder)}: {reason}."))
        return
    files.found += pictures
    if not pictures:
        files.without.append((folder, _no_picture(folder, others, counts)))
    elif others or counts:
        files.left_out.append(f"{shown(folder)}: {_and(_left_out(others, counts))}.")


def _kind(entry: os.DirEntry[str]) -> str:
    """Tell what an entry of a folder is: picture, other, or a key of `_COUNTED`."""
    name = entry.name.lower()
    if name.startswith(".") or name in _SYSTEM_FILES:
        return "hidden file"
    try:
        if entry.is_dir():
            return "folder"
        if name.endswith(OVERLAY_SUFFIX):
            return "heat map"
        if not entry.is_file():
            return "entry"
    except OSError:  # a link into a folder that must not be read
        return "entry"
    return "picture" if Path(name).suffix in SUFFIXES else "other"


def _left_out(others: Sequence[str], counts: Counter[str]) -> list[str]:
    """Say what was left out, in parts of one sentence."""
    parts = []
    if others:
        one, many = "is no picture that dermedge reads and was", "are no pictures that dermedge reads and were"
        verb = one if len(others) == 1 else many
        parts.append(f"{_number(len(others), 'file')} {verb} left out: {_names(others)}")
    for kind, (one, many) in _COUNTED.items():
        if count := counts[kind]:
            parts.append(f"{_number(count, kind)} {one if count == 1 else many}")
    return parts


def _no_picture(folder: str, others: Sequence[str], counts: Counter[str]) -> str:
    text = f"The folder {shown(folder)} holds no picture ({', '.join(sorted(SUFFIXES))})"
    endings = Counter(Path(name).suffix.lower() for name in others)
    named = endings.most_common(_NAMED)
    held = [_number(count, f"{shown(ending)} file".lstrip()) for ending, count in named]
    if rest := len(others) - sum(count for _, count in named):
        held.append(_number(rest, "other file"))
    held += [_number(counts[kind], kind) for kind in _COUNTED if counts[kind]]
    if not held:
        return f"{text}; it is empty."
    text = f"{text}, only {_and(held)}."
    if endings.keys() & _CONVERTIBLE:
        text += " Convert them to JPEG or PNG first, such as with ImageMagick: magick mogrify -format jpg FILES."
    return text


def _names(names: Sequence[str]) -> str:
    listed = ", ".join(shown(name) for name in names[:_NAMED])
    return listed if len(names) <= _NAMED else f"{listed} and {len(names) - _NAMED} more"


def _number(count: int, thing: str) -> str:
    if count == 1:
        return f"1 {thing}"
    return f"{count} {thing[:-1]}ies" if thing.endswith("y") else f"{count} {thing}s"


def _and(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
