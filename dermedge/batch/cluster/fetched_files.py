"""Files at addresses: copied to this machine ahead of their turn, and named in all answers as they were asked for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from dermedge.batch.census import KnownFile
from dermedge.batch.found_picture import FoundPicture
from dermedge.batch.refused_picture import RefusedPicture
from dermedge_runtime.errors import InputRejected
from dermedge_runtime.inputs.clinical import ClinicalSchema
from dermedge_runtime.inputs.image import ImageSource
from dermedge_runtime.inputs.later_picture import LaterPicture
from dermedge_runtime.inputs.look_ahead import look_ahead
from dermedge_runtime.inputs.picture_source import cannot_read

from .addresses import fetch, is_address

_AT_ONCE, _AHEAD = 16, 64
"""Files of one worker: under way, and under way or waiting for their turn."""


class FetchedFiles:
    """Gives the pictures of files, wherever they lie."""

    def __init__(self, folder: Path, fields: ClinicalSchema) -> None:
        """Begin.

        :param folder: for the copies; empty.
        :param fields: of the model.
        """
        self._folder, self._fields = folder, fields
        self._copies: dict[str, Path] = {}

    def pictures(self, files: Iterable[KnownFile]) -> Iterator[tuple[KnownFile, FoundPicture]]:
        """Give the pictures of some files, in their order, none of them read yet.

        :raises DermedgeError: an address cannot be reached.
        """
        files = list(files)
        if not any(is_address(file.path) for file in files):
            for file in files:
                for each in file.pictures(self._fields):
                    yield file, each
            return
        numbered = enumerate(files)
        pieces = look_ahead(lambda each: self._found(*each), numbered, workers=_AT_ONCE, batch=1, ahead=_AHEAD)
        for piece in pieces:
            for file, found in piece:
                for each in found:
                    yield file, each

    def drop(self, path: str) -> None:
        """Remove the copy of a file whose pictures have their answers."""
        if (copy := self._copies.pop(path, None)) is not None:
            with suppress(OSError):
                copy.unlink()

    def _found(self, number: int, file: KnownFile) -> tuple[KnownFile, list[FoundPicture]]:
        if not is_address(file.path) or not file.is_file:
            return file, file.pictures(self._fields)
        copy = self._folder / f"{number}{os.path.splitext(file.path)[1]}"
        try:
            fetch(file.path, copy)
        except FileNotFoundError:
            missing = str(cannot_read(file.path, "there is no such file"))
            return file, [FoundPicture(file.path, RefusedPicture(file.path, missing))]
        self._copies[file.path] = copy
        found = replace(file, path=str(copy)).pictures(self._fields)
        return file, [replace(each, path=file.path, picture=_Named(each.picture, file.path, copy)) for each in found]


class _Named:
    """A picture of a copy, under the name of what it is a copy of."""

    def __init__(self, picture: LaterPicture, name: str, copy: Path) -> None:
        self.name, self._picture, self._copy = name, picture, str(copy)

    @property
    def sha256(self) -> Any:
        return getattr(self._picture, "sha256", None)

    def fetch(self) -> ImageSource:
        try:
            return self._picture.fetch()
        except InputRejected as error:
            raise InputRejected(str(error).replace(self._copy, self.name)) from error
