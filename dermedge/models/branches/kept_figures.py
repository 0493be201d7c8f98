"""What image branches cost, kept in the user's cache: measuring all of them takes a minute, reading them no time.

The figures are those of certain versions of the libraries and of this package's own code; of others they are measured
anew. A file that is damaged, or that cannot be read or written, is as none. Not covered: how they are measured
(`branch_list`).
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from dermedge_runtime.files import cache_folder, write_json

_log = logging.getLogger(__name__)
_LIBRARIES = ("torch", "torchvision", "timm")


@dataclass(frozen=True, slots=True)
class Figures:
    """What is measured of one branch, for one size of picture."""

    parameters: int
    operations: int | None
    """Multiply-adds of one picture; None where the branch does not take the size."""
    stride: int
    channels: int


class KeptFigures:
    """Figures by branch and size of picture; None stands for a network that cannot be an image branch."""

    def __init__(self) -> None:
        """Read what is there.

        :raises UsageError: as `cache_folder`.
        """
        self._path = cache_folder() / "branches" / f"{_made_by()}.json"
        self._known = _read(self._path)
        self._new: dict[str, Figures | None] = {}

    def __contains__(self, named: tuple[str, int]) -> bool:
        return _key(*named) in self._known

    def __getitem__(self, named: tuple[str, int]) -> Figures | None:
        return self._known[_key(*named)]

    def __setitem__(self, named: tuple[str, int], figures: Figures | None) -> None:
        self._known[_key(*named)] = self._new[_key(*named)] = figures

    def save(self) -> None:
        """Write what is new beside what others have written meanwhile; where that cannot be, go without."""
        if not self._new:
            return
        every = {**_read(self._path), **self._new}
        try:
            write_json(self._path, {key: figures and asdict(figures) for key, figures in sorted(every.items())})
        except OSError as error:
            _log.debug("the figures of the image branches are not kept: %s", error)


def _key(name: str, size: int) -> str:
    return f"{name} {size}"


def _made_by() -> str:
    """Name the versions of the libraries and of the code beside this file."""
    told = hashlib.sha256()
    for library in _LIBRARIES:
        try:
            told.update(f"{library} {version(library)}\n".encode())
        except PackageNotFoundError:
            told.update(f"{library} absent\n".encode())
    for file in sorted(Path(__file__).parent.glob("*.py")):
        told.update(file.read_bytes())
    return told.hexdigest()[:16]


def _read(path: Path) -> dict[str, Figures | None]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return {key: None if each is None else _checked(each) for key, each in record.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _checked(record: Any) -> Figures:
    """Give the figures of a record.

    :raises TypeError: other entries.
    :raises ValueError: entries that no branch has.
    """
    figures = Figures(**record)
    for name, value in asdict(figures).items():
        if name == "operations" and value is None:
            continue
        if type(value) is not int or value < 0:
            raise ValueError(f"{name} is {value!r}")
    return figures
