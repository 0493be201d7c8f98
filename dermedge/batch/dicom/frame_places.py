"""Where the bytes of every frame lie in a file whose pixel data come in pieces, by the pieces' own lengths.

A frame can be in one piece or several. Which piece begins one tells the table before the first piece, or one in the
header; without either, one piece is one frame, or begins as its compressed pictures do.
"""

from __future__ import annotations

import struct
from typing import IO, TypeAlias

from dermedge_runtime.inputs.picture_memory import Damaged

from .header import JPEG_2000, RUN_LENGTH, Header

Piece: TypeAlias = tuple[int, int]
"""Offset in the file and length, in bytes."""

_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_LARGEST_TABLE = 4 << 20
_MOST_PIECES = 1_000_000


def frame_places(stream: IO[bytes], header: Header) -> list[list[Piece]]:
    """Find the pieces of every frame.

    :raises Damaged: a piece breaks off, the end mark is missing, or there are not as many frames as the header tells.
    """
    stream.seek(header.start)
    end = stream.seek(0, 2)
    stream.seek(header.start)
    at, length = _next_piece(stream, end) or (0, -1)
    if not 0 <= length <= _LARGEST_TABLE:
        raise Damaged("its pixel data are not in pieces, as its header says")
    table = [value for (value,) in struct.iter_unpack("<I", stream.read(length // 4 * 4))]
    stream.seek(first := at + length)
    pieces: list[Piece] = []
    while piece := _next_piece(stream, end):
        pieces.append(piece)
        if len(pieces) > _MOST_PIECES:
            raise Damaged("its pixel data are in too many pieces")
        stream.seek(piece[0] + piece[1])
    return _by_frame(stream, header, pieces, [first + offset + 8 for offset in header.offsets or table])


def _next_piece(stream: IO[bytes], end: int) -> Piece | None:
    """Read the head of a piece; None at the end mark."""
    head = stream.read(8)
    if len(head) < 8:
        raise Damaged("it breaks off before its end")
    if head[:4] == _END:
        return None
    (length,) = struct.unpack("<I", head[4:])
    if head[:4] != _ITEM:
        raise Damaged("something else stands where a piece of its pixel data belongs")
    if stream.tell() + length > end:
        raise Damaged("it breaks off before its end")
    return stream.tell(), length


def _by_frame(stream: IO[bytes], header: Header, pieces: list[Piece], told: list[int]) -> list[list[Piece]]:
    if not pieces:
        raise Damaged("there are no pixel data in it")
    if header.frames == 1 and header.stored != RUN_LENGTH:
        return [pieces]
    if len(pieces) == header.frames:
        return [[piece] for piece in pieces]
    if len(told) != header.frames:
        told = [at for at, _ in pieces if _begins_picture(stream, at, header)]
    if len(told) != header.frames or told[0] != pieces[0][0]:
        raise Damaged(f"its header tells of {header.frames:,} frames, and its pixel data of others")
    begins = set(told)
    if len(begins) != len(told) or not begins <= {at for at, _ in pieces}:
        raise Damaged("its table of frames is wrong")
    frames: list[list[Piece]] = []
    for piece in pieces:
        if piece[0] in begins:
            frames.append([])
        frames[-1].append(piece)
    return frames


def _begins_picture(stream: IO[bytes], at: int, header: Header) -> bool:
    stream.seek(at)
    return stream.read(2) == (b"\xff\x4f" if header.stored == JPEG_2000 else b"\xff\xd8")
