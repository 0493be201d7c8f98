"""Unpack zlib data piece by piece, strictly: with their checksum, and no more than belongs there."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from dermedge_runtime.inputs.picture_memory import Damaged

_PIECE = 1 << 20


def unpacked(parts: Iterable[memoryview], expected: int) -> Iterator[bytes]:
    """Give what is in one stream of zlib data, in pieces of at most 1 MiB.

    :param parts: the stream, in order.
    :param expected: bytes that belong there; a few more are passed over.
    :raises Damaged: the data are broken, end early, or are far too many; ask for all pieces to learn of it.
    """
    packer, found = zlib.decompressobj(), 0
    try:
        for part in parts:
            rest: bytes | memoryview = part
            while rest and not packer.eof:
                piece = packer.decompress(rest, _PIECE)
                rest = packer.unconsumed_tail
                found += len(piece)
                if piece:
                    yield piece
                if found > expected + _PIECE:  # a bomb
                    raise Damaged("its pixel data are too many")
    except zlib.error as error:
        raise Damaged("its pixel data are broken") from error
    if not packer.eof or found < expected:
        raise Damaged("its pixel data are incomplete")
