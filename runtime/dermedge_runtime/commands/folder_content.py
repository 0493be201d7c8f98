"""What lies in one folder: the pictures by name, and in words everything else, which is counted and not kept.

A picture that is left out unseen is an answer that nobody misses. A folder of a million files costs their names alone.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import merge
from itertools import islice
from pathlib import Path
from typing import Protocol

from .shown_names import FEW, named, shown

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".avif", ".tif", ".tiff", ".bmp"})
OVERLAY_SUFFIX = ".heatmap.png"
"""What `infer --explain` appends to a picture's name."""
_SYSTEM_FILES = ("thumbs.db", "desktop.ini")
_CONVERTIBLE = frozenset({".heic", ".heif", ".gif", ".dng", ".jxl", ".jp2", ".psd"})
_COUNTED = {
    "folder": ("inside was not opened", "inside were not opened"),
    "folder again": (
        "inside is one that holds it and was not opened",
        "inside are some that hold them and were not opened",
    ),
    "heat map": (f"(*{OVERLAY_SUFFIX}) was left out", f"(*{OVERLAY_SUFFIX}) were left out"),
    "entry": (
        "that is no file (a pipe or a broken link) was left out",
        "that are no files (pipes or broken links) were left out",
    ),
    "hidden file": ("was left out", "were left out"),
}


class Entry(Protocol):
    """One entry of a folder, as `os.scandir` gives it."""

    @property
    def name(self) -> str:
        """Without the folder."""
        ...

    def is_dir(self) -> bool:
        """Tell a folder."""
        ...

    def is_file(self) -> bool:
        """Tell a regular file."""
        ...


@dataclass(slots=True)
class LeftOut:
    """What else is in a folder, or in several."""

    counts: Counter[str] = field(default_factory=Counter)
    """By key of `_COUNTED`."""
    endings: Counter[str] = field(default_factory=Counter)
    """Of the other files, in small letters."""
    names: list[str] = field(default_factory=list)
    """The first few of the other files."""
    pictures: int = 0
    """How many there are beside it."""

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.counts.total() or self.endings.total())

    def add(self, other: LeftOut) -> None:
        """Count what another folder holds too."""
        self.counts += other.counts
        self.endings += other.endings
        self.names = (self.names + other.names)[:FEW]
        self.pictures += other.pictures

    def sentence(self, folder: str) -> str:
        """Say what was left out of a folder that has pictures too."""
        parts = []
        if others := self.endings.total():
            one, many = "is no picture that dermedge reads and was", "are no pictures that dermedge reads and were"
            verb = one if others == 1 else many
            parts.append(f"{_number(others, 'file')} {verb} left out: {named(self.names, others)}")
        for kind, (one, many) in _COUNTED.items():
            if count := self.counts[kind]:
                parts.append(f"{_number(count, _thing(kind))} {one if count == 1 else many}")
        return f"{shown(folder)}: {_and(parts)}."

    def no_picture(self, folder: str, suffixes: frozenset[str] = SUFFIXES) -> str:
        """Say what a folder holds in which there is no picture."""
        text = f"The folder {shown(folder)} holds no picture ({', '.join(sorted(suffixes))})"
        # Those of no ending last; a folder gives its entries in any order.
        common = sorted(self.endings.items(), key=lambda item: (-item[1], item[0] or "~"))[:FEW]
        held = [_number(count, f"{shown(ending)} file".lstrip()) for ending, count in common]
        if rest := self.endings.total() - sum(count for _, count in common):
            held.append(_number(rest, "other file"))
        held += [_number(self.counts[kind], _thing(kind)) for kind in _COUNTED if self.counts[kind]]
        if not held:
            return f"{text}; it is empty."
        text = f"{text}, only {_and(held)}."
        if (self.endings.keys() - suffixes) & _CONVERTIBLE:
            text += " Convert them to JPEG or PNG first, such as with ImageMagick: magick mogrify -format jpg FILES."
        return text


@dataclass(slots=True)
class FolderContent:
    """One folder; names only, sorted."""

    pictures: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=LeftOut)
    """Everything but the pictures; the folders are counted here too."""


def read_folder(folder: str, suffixes: frozenset[str] = SUFFIXES) -> FolderContent:
    """Look into one folder, not into those inside.

    :param suffixes: endings of pictures, in small letters.
    :raises OSError: it cannot be read.
    """
    with os.scandir(folder) as entries:
        return content_of(entries, suffixes)


def content_of(entries: Iterable[Entry], suffixes: frozenset[str] = SUFFIXES) -> FolderContent:
    """Sort out the entries of one folder.

    :param suffixes: endings of pictures, in small letters.
    """
    content = FolderContent()
    others: list[str] = []
    for entry in entries:
        kind = _kind(entry, suffixes)
        if kind == "picture":
            content.pictures.append(entry.name)
        elif kind == "other":
            content.left_out.endings[Path(entry.name).suffix.lower()] += 1
            others = list(islice(merge(others, [entry.name]), FEW))
        else:
            content.left_out.counts[kind] += 1
            if kind == "folder":
                content.folders.append(entry.name)
    content.pictures.sort()
    content.folders.sort()
    content.left_out.names, content.left_out.pictures = others, len(content.pictures)
    return content


def _kind(entry: Entry, suffixes: frozenset[str]) -> str:
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
    return "picture" if os.path.splitext(name)[1] in suffixes else "other"


def _thing(kind: str) -> str:
    return kind.removesuffix(" again")


def _number(count: int, thing: str) -> str:
    if count == 1:
        return f"1 {thing}"
    return f"{count} {thing[:-1]}ies" if thing.endswith("y") else f"{count} {thing}s"


def _and(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
