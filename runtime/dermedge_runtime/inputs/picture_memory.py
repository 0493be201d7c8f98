"""What a picture may cost: how many pixels and how much memory its decoder may take, known before it is decoded.

Not covered: pictures that the caller has decoded already, whose memory is the caller's.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

MAX_PIXELS = 100_000_000
MAX_SIDE = 65_535  # JPEG's own limit; a picture one pixel wide would need more for its rows than for its pixels
DECODER_MEMORY = 450_000_000
"""Bytes that all a decoder holds at once may take."""
MEMORY = 500_000_000
"""As `DECODER_MEMORY`, with the encoded file: the whole process then stays below 700 MB."""


_SMALL = 50_000_000
"""Bytes below which a picture waits for no other."""
_freed = threading.Condition()
_taken = 0
_own = threading.local()


class Damaged(Exception):
    """The file is broken, and why."""


class Unsuitable(Exception):
    """The file is whole, but cannot be used, and why: the end of a sentence that begins with its name."""


def check_size(size: tuple[int, int], kind: str = "", bytes_per_pixel: float = 0, encoded: int = 0) -> None:
    """Refuse what takes too much memory.

    :param size: width and height in pixels, as the file's header tells.
    :param kind: what the file is where its decoder needs more than others, such as "a progressive JPEG file".
    :param bytes_per_pixel: what its decoder holds at once.
    :param encoded: bytes of the file that are held meanwhile.
    :raises Unsuitable: no pixels, too many of them, or too long a side.
    """
    width, height = size
    if 0 in size:
        raise Unsuitable(f"is {width} x {height} pixels, so there is nothing to see.")
    pixels = width * height
    limit = MAX_PIXELS if bytes_per_pixel == 0 else min(MAX_PIXELS, int(DECODER_MEMORY / bytes_per_pixel))
    if pixels > limit:
        of_kind = f" for {kind}" if kind and limit < MAX_PIXELS else ""
        raise Unsuitable(
            f"is {width} x {height} pixels, over the limit of {limit // 1_000_000} megapixels{of_kind}"
            " (a decompression bomb?). Reduce it first."
        )
    if max(size) > MAX_SIDE:
        raise Unsuitable(f"is {width} x {height} pixels, and no side may be longer than {MAX_SIDE}. Reduce it first.")
    if encoded + pixels * bytes_per_pixel > MEMORY:
        raise Unsuitable(
            f"is {width} x {height} pixels in a file of {encoded // 1_000_000} MB, more than can be read within"
            f" {MEMORY // 1_000_000} MB of memory. Reduce it first."
        )
    _take(encoded + int(pixels * bytes_per_pixel))


@contextmanager
def one_picture() -> Iterator[None]:
    """Hold the memory that `check_size` foresees until one picture is dealt with: other threads' large ones wait."""
    global _taken
    before, _own.taken = getattr(_own, "taken", None), 0
    try:
        yield
    finally:
        with _freed:
            _taken -= _own.taken
            _freed.notify_all()
        _own.taken = before


def _take(needed: int) -> None:
    global _taken
    if needed < _SMALL or getattr(_own, "taken", None) != 0:
        return
    with _freed:
        _freed.wait_for(lambda: _taken == 0 or _taken + needed <= MEMORY)
        _taken += needed
        _own.taken = needed
