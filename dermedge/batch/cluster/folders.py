"""The folder that results go into, on a disk or at an address: names, and files that are whole or absent."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Protocol

from dermedge_runtime.files import atomic_path

from .addresses import file_system, is_address, unreachable

_WHOLE_BY_NATURE = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "memory"})
"""Object stores show an object once all of it is there."""
_UNFINISHED = "_unfinished-"


class Folder(Protocol):
    """A folder of results."""

    name: str

    def names(self) -> list[str]:
        """Give the names in it, sorted; none where it does not exist yet."""
        ...

    def read(self, name: str) -> bytes:
        """Read a file."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file."""
        ...


def folder_at(place: str) -> Folder:
    """Give the folder of a path or an address; it need not exist.

    :raises UsageError: an address that nobody knows.
    :raises DermedgeError: its package is missing.
    """
    return _AtAddress(place) if is_address(place) else _OnDisk(place)


class _OnDisk:
    def __init__(self, place: str) -> None:
        self.name = place
        self._path = Path(place)

    def names(self) -> list[str]:
        with suppress(FileNotFoundError):
            return sorted(entry.name for entry in self._path.iterdir())
        return []

    def read(self, name: str) -> bytes:
        return (self._path / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        with atomic_path(self._path / name, durable=True) as temporary:
            temporary.write_bytes(content)

    def remove(self, name: str) -> None:
        (self._path / name).unlink(missing_ok=True)


class _AtAddress:
    def __init__(self, place: str) -> None:
        self.name = place.rstrip("/")
        self._fs, inside = file_system(place)
        self._inside = inside.rstrip("/")
        self._whole = place.partition("://")[0].lower() in _WHOLE_BY_NATURE

    def names(self) -> list[str]:
        try:
            return sorted(str(each).rstrip("/").rpartition("/")[2] for each in self._fs.ls(self._inside, detail=False))
        except FileNotFoundError:
            return []
        except Exception as error:
            raise unreachable(self.name, error) from error

    def read(self, name: str) -> bytes:
        try:
            return bytes(self._fs.cat_file(self._at(name)))
        except Exception as error:
            raise unreachable(f"{self.name}/{name}", error) from error

    def write(self, name: str, content: bytes) -> None:
        try:
            if self._whole:
                self._fs.pipe_file(self._at(name), content)
                return
            self._fs.makedirs(self._inside, exist_ok=True)
            self._fs.pipe_file(self._at(_UNFINISHED + name), content)
            self._fs.mv(self._at(_UNFINISHED + name), self._at(name))
        except Exception as error:
            raise unreachable(f"{self.name}/{name}", error) from error

    def remove(self, name: str) -> None:
        try:
            self._fs.rm_file(self._at(name))
        except FileNotFoundError:
            return
        except Exception as error:
            raise unreachable(f"{self.name}/{name}", error) from error

    def _at(self, name: str) -> str:
        return f"{self._inside}/{name}"
