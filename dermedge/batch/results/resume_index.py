"""Which pictures have their row already: 16 bytes each, in a set."""

from __future__ import annotations

from hashlib import blake2b

from dermedge_runtime.result_row import Cell

from .cells import text_of


class ResumeIndex:
    """The pictures of the rows that are there."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._seen)

    def add(self, file: Cell, frame: Cell) -> None:
        """Take note of a row, as it was read from whatever format."""
        self._seen.add(_digest(file, frame))

    def has(self, file: str, frame: int | None) -> bool:
        """Tell whether a picture has its row."""
        return bool(self._seen) and _digest(file, frame) in self._seen


def _digest(file: Cell, frame: Cell) -> bytes:
    # CSV gives back the text of its cells, the other formats the name itself: both are one here.
    plain = str(file)
    cell = plain if plain.startswith("'") else str(text_of(plain))
    number = "" if frame in (None, "") else str(int(float(str(frame))))
    return blake2b(f"{cell}\0{number}".encode("utf-8", "surrogateescape"), digest_size=16).digest()
