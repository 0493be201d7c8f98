"""Files and folders as they were named -> picture files, one after the other, sorted within each folder.

Only the names of the folders that are open just now are held, so that a million files cost no more than the largest
folder. A folder that holds itself, by a link, is opened once on each way to it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dermedge_runtime.commands.folder_content import FolderContent, LeftOut, read_folder
from dermedge_runtime.commands.shown_names import shown
from dermedge_runtime.errors import DermedgeError, UsageError

from .readable import ENDINGS

_Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One picture file, or a folder that could not be read."""

    path: str
    """The argument as it was given, and what follows it."""
    relative: str
    """Seen from the folder that was named; of a file that was named itself, its name."""
    refused: str = ""
    """Why it cannot be read; empty for a file, which nobody has opened yet."""


@dataclass(slots=True)
class Walk:
    """All pictures of some arguments; can be walked several times."""

    arguments: Sequence[str]
    """Files and folders."""
    recursive: bool = False
    """Open the folders inside too."""
    left_out: dict[str, LeftOut] = field(default_factory=dict)
    """What else the last walk found, by folder that was named."""

    def __iter__(self) -> Iterator[FoundFile]:
        """Give the pictures.

        :raises DermedgeError: a folder that was named is gone.
        """
        self.left_out = {}
        for argument in self.arguments:
            if self.is_folder(argument):
                yield from self._folder(argument)
            else:
                yield FoundFile(argument, os.path.basename(argument) or argument)

    def is_folder(self, path: str) -> bool:
        """Tell whether an argument is a folder that is there."""
        return os.path.isdir(path)

    def content(self, folder: str) -> FolderContent:
        """Look into one folder.

        :raises OSError: it cannot be read.
        """
        return read_folder(folder, ENDINGS)

    def require_folders(self) -> None:
        """See that the folders that were walked are still there.

        :raises DermedgeError: one is gone.
        """
        for folder in self.left_out:
            if not self.is_folder(folder):
                raise DermedgeError(
                    f"The folder {shown(folder)} is gone. Once it is back, the same command goes on where it stopped."
                )

    def require_each_once(self) -> None:
        """See that no picture is named twice, so that it would have two rows.

        :raises UsageError: an argument is another one, or lies in another one.
        """
        folders = {os.path.realpath(name): name for name in self.arguments if self.is_folder(name)}
        seen: dict[str, str] = {}
        for argument in self.arguments:
            real = os.path.realpath(argument)
            above = _above(real) if self.recursive else [os.path.dirname(real)]
            if not self.recursive and real in folders:
                above = []  # of a folder inside a folder nothing was opened
            twice = seen.get(real) or next((folders[each] for each in above if each in folders), None)
            if twice is not None:
                raise UsageError(f"{shown(argument)} is named twice, for it is in {shown(twice)} too; name it once.")
            seen[real] = argument

    def _folder(self, root: str) -> Iterator[FoundFile]:
        total, unreadable = LeftOut(), False
        self.left_out[root] = total
        open_ones: list[tuple[Iterator[str], frozenset[_Place]]] = []
        waiting: tuple[str, frozenset[_Place]] | None = (root, frozenset())
        while waiting is not None:
            folder, above = waiting
            waiting, place = None, _place(folder)
            if place in above:
                total.counts["folder again"] += 1
                total.counts["folder"] -= 1
            elif isinstance(content := self._read(root, folder), FoundFile):
                unreadable = True
                yield content
            else:
                yield from (_found(root, folder, name) for name in content.pictures)
                if self.recursive:
                    content.left_out.counts["folder"] = 0
                    inside = iter([os.path.join(folder, name) for name in content.folders])
                    open_ones.append((inside, above if place is None else above | {place}))
                total.add(content.left_out)
            while open_ones and waiting is None:
                inside, within = open_ones[-1]
                if (deeper := next(inside, None)) is None:
                    open_ones.pop()
                else:
                    waiting = deeper, within
        if not total.pictures and not unreadable:
            yield FoundFile(root, os.path.basename(root) or root, total.no_picture(root, ENDINGS))

    def _read(self, root: str, folder: str) -> FolderContent | FoundFile:
        try:
            return self.content(folder)
        except OSError as error:
            self.require_folders()
            relative = os.path.relpath(folder, root)
            return FoundFile(folder, relative, f"Cannot read the folder {shown(folder)}: {error.strerror or error}.")


def _found(root: str, folder: str, name: str) -> FoundFile:
    path = os.path.join(folder, name)
    return FoundFile(path, path[len(root) :].lstrip(os.sep))


def _above(path: str) -> list[str]:
    above: list[str] = []
    while (parent := os.path.dirname(path)) != path:
        above.append(parent)
        path = parent
    return above


def _place(folder: str) -> _Place | None:
    try:
        found = os.stat(folder)
    except OSError:
        return None
    return found.st_dev, found.st_ino
