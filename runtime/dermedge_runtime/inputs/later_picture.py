"""A picture that is fetched when its turn comes, by the threads that read ahead, and not while the caller lists it."""

from __future__ import annotations

import hashlib
import os
from typing import Any, Protocol, TypeGuard

from .picture_source import ImageSource, picture_name, read_path


class LaterPicture(Protocol):
    """What a caller can give in the place of a picture."""

    @property
    def name(self) -> str:
        """For messages and results."""
        ...

    def fetch(self) -> ImageSource:
        """Give the picture; called once, in any thread.

        :raises InputRejected: it cannot be had.
        """
        ...


def is_later(picture: Any) -> TypeGuard[LaterPicture]:
    """Tell a picture that is to be fetched."""
    return callable(getattr(picture, "fetch", None))


class HashedFile:
    """A picture file whose hash is taken while it is read, so that it is read once; a relative path is one then."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = picture_name(path)
        self._path = path
        self.sha256: str | None = None
        """Of the file's bytes, in hexadecimal; None until it was read."""

    def fetch(self) -> bytes:
        """Read the file.

        :raises InputRejected: it is missing, no regular file, too large or cannot be read.
        """
        content = read_path(self._path, self.name)
        self.sha256 = hashlib.sha256(content).hexdigest()
        return content
