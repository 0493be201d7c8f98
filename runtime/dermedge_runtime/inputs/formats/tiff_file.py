"""Decode a TIFF file: its directory is read here, and Pillow gets a copy with nothing but what describes the pixels.

So no other entry, however broken, can stand in the way or make Pillow warn. Covered: the first picture of a file, in
strips or tiles, also BigTIFF. Not covered: further pictures; wrong pixel data of the right length where the
compression has no checksum.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

from PIL import Image

from dermedge_runtime.inputs.orientation import read_orientation
from dermedge_runtime.inputs.picture_memory import Damaged, check_size

from .deflated import unpacked
from .jpeg_whole import read_layout
from .stored_picture import StoredPicture

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANAR = 256, 257, 258, 259, 262, 277, 284
_STRIP_OFFSETS, _STRIP_ROWS, _STRIP_BYTES = 273, 278, 279
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTES = 322, 323, 324, 325
_ORIENTATION, _XMP, _JPEG_TABLES = 274, 700, 347
_KEPT = frozenset(
    (_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANAR, _STRIP_OFFSETS, _STRIP_ROWS, _STRIP_BYTES,
     _TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTES, 266, 292, 293, 317, 320, 332, 338, 339, _JPEG_TABLES,
     512, 513, 514, 515, 519, 520, 521, 529, 530, 531, 532)
)  # fmt: skip
_TYPES = {1: "B", 2: "c", 3: "H", 4: "I", 5: "II", 6: "b", 7: "c", 8: "h", 9: "i", 10: "ii", 11: "f", 12: "d",
          13: "I", 16: "Q", 17: "q", 18: "Q"}  # fmt: skip
_UNPACKED, _JPEG, _DEFLATED = 1, 7, (8, 32946)
_YCBCR = 6
_MOST_VALUES = 1_000_000
_LARGE_PART = 16_000_000
"""Bytes of a strip or tile from which it counts as large."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of the directory, and where its values stand."""

    record: bytes
    code: str
    count: int
    place: int


@dataclass(frozen=True, slots=True)
class _Parts:
    """Strips or tiles."""

    across: int
    """Pixels of a row of one."""
    down: int
    """Rows of a whole one."""
    row: int
    """Bytes of a row, unpacked."""
    rows: list[int]
    """By part, rows that it has."""
    offsets: tuple[int, ...]
    lengths: tuple[int, ...]
    """Packed bytes; empty where the file does not tell."""


class _Directory:
    """The first directory of a file."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.order = "<" if content[:1] == b"I" else ">"
        self.is_big = 43 in content[2:4]
        self.entries: dict[int, _Entry] = {}
        try:
            self._read()
        except struct.error as error:
            raise Damaged("it breaks off before its directory ends") from error

    def _unpack(self, layout: str, place: int) -> tuple[int, ...]:
        return struct.unpack_from(self.order + layout, self.content, place)

    def _read(self) -> None:
        offset, count_as, entry_as = ("Q", "Q", "HHQ") if self.is_big else ("I", "H", "HHI")
        head, inline = struct.calcsize("=" + entry_as), struct.calcsize("=" + offset)
        (start,) = self._unpack(offset, 8 if self.is_big else 4)
        (count,) = self._unpack(count_as, start)
        first = start + struct.calcsize("=" + count_as)
        for place in range(first, first + count * (head + inline), head + inline):
            tag, kind, values = self._unpack(entry_as, place)
            record = self.content[place : place + head + inline]
            if len(record) < head + inline:
                raise Damaged("it breaks off before its directory ends")
            code = _TYPES.get(kind)
            if code is None or tag not in _KEPT | {_ORIENTATION, _XMP}:
                continue
            length = values * struct.calcsize("=" + code)
            if length > inline:
                (where,) = self._unpack(offset, place + head)
            else:
                where = place + head
            if where + length > len(self.content):
                if tag not in _KEPT:
                    continue
                raise Damaged("it breaks off before its pixel data end")
            self.entries[tag] = _Entry(record, code, values, where)

    def numbers(self, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """Values of one entry."""
        entry = self.entries.get(tag)
        if entry is None or entry.code not in ("B", "H", "I", "Q"):
            return default
        if entry.count > _MOST_VALUES:
            raise Damaged("its directory is broken")
        return self._unpack(f"{entry.count}{entry.code}", entry.place) or default

    def number(self, tag: int, default: int) -> int:
        """The first value of one entry."""
        return self.numbers(tag, (default,))[0]

    @property
    def jpeg_tables(self) -> bytes:
        """JPEG segments that all strips or tiles share."""
        entry = self.entries.get(_JPEG_TABLES)
        return b"" if entry is None else self.content[entry.place + 2 : entry.place + entry.count - 2]

    def cleaned(self) -> bytes:
        """Copy the file with a directory of nothing but what describes the pixels."""
        kept = sorted((tag, entry.record) for tag, entry in self.entries.items() if tag in _KEPT)
        records = b"".join(record for _, record in kept)
        filled = bytes(-len(self.content) % 8)
        place = len(self.content) + len(filled)
        if self.is_big:
            head = self.content[:8] + struct.pack(self.order + "Q", place)
            directory = struct.pack(self.order + "Q", len(kept)) + records + bytes(8)
        else:
            head = self.content[:4] + struct.pack(self.order + "I", place)
            directory = struct.pack(self.order + "H", len(kept)) + records + bytes(4)
        return b"".join((head, memoryview(self.content)[len(head) :], filled, directory))


def read_tiff(content: bytes) -> StoredPicture:
    """Decode the first picture of a TIFF file.

    :raises Damaged: it is not whole.
    :raises Unsuitable: it is too large.
    """
    directory = _Directory(content)
    if not {_WIDTH, _HEIGHT} <= set(directory.entries):
        raise Damaged("its directory is broken")
    size = directory.number(_WIDTH, 0), directory.number(_HEIGHT, 0)
    parts = _read_parts(directory, size)
    part = parts.row * parts.down
    bits = directory.numbers(_BITS, (1,))
    held = 4 if len(bits) > 1 or directory.number(_SAMPLES, 1) > 1 or bits[0] == 32 else 2 if bits[0] > 8 else 1
    if directory.number(_PHOTOMETRIC, 0) == _YCBCR:
        held, part = 4, max(part, 4 * parts.across * parts.down)
    kind = f"a TIFF file in strips or tiles of {part // 1_000_000} MB" if part > _LARGE_PART else ""
    check_size(size, kind, held + part / (size[0] * size[1]), 2 * len(content))
    _check_parts(directory, parts)
    told = directory.numbers(_ORIENTATION)
    orientation = told[0] if len(told) == 1 else 0
    xmp = directory.entries.get(_XMP)
    if not orientation and xmp is not None:
        orientation = read_orientation(None, content[xmp.place : xmp.place + xmp.count])
    return StoredPicture.whole(_decode(directory.cleaned()), orientation)


def _read_parts(directory: _Directory, size: tuple[int, int]) -> _Parts:
    """See what the strips or tiles are, and that none is missing from the directory."""
    width, height = size
    check_size(size)
    is_tiled = _TILE_OFFSETS in directory.entries
    if is_tiled:
        across, down = directory.number(_TILE_WIDTH, 0), directory.number(_TILE_HEIGHT, 0)
        offsets, lengths = directory.numbers(_TILE_OFFSETS), directory.numbers(_TILE_BYTES)
    else:
        across, down = width, min(directory.number(_STRIP_ROWS, height), height)
        offsets, lengths = directory.numbers(_STRIP_OFFSETS), directory.numbers(_STRIP_BYTES)
    if across < 1 or down < 1:
        raise Damaged("its directory is broken")
    bits, samples = directory.numbers(_BITS, (1,)), directory.number(_SAMPLES, 1)
    planes = max(1, samples) if directory.number(_PLANAR, 1) == 2 else 1
    row = (across * ((sum(bits) if len(bits) > 1 else bits[0] * samples) // planes) + 7) // 8
    wanted = -(-width // across) * -(-height // down) * planes
    if len(offsets) < wanted or (lengths and len(lengths) < wanted):
        raise Damaged(f"{min(len(offsets), len(lengths) or wanted)} of its {wanted} parts are there")
    in_a_column = -(-height // down)
    rows = [down if is_tiled else min(down, height - k % in_a_column * down) for k in range(wanted)]
    return _Parts(across, down, row, rows, offsets, lengths)


def _check_parts(directory: _Directory, parts: _Parts) -> None:
    """See that the strips or tiles are whole, as far as their compression shows it."""
    content, compression = memoryview(directory.content), directory.number(_COMPRESSION, _UNPACKED)
    fewer_colours = directory.number(_PHOTOMETRIC, 0) == _YCBCR
    for k, rows in enumerate(parts.rows):
        unpacked_length = rows * parts.row
        known = compression != _UNPACKED and parts.lengths
        length = unpacked_length if compression == _UNPACKED else parts.lengths[k] if known else 1
        start = parts.offsets[k]
        if start == 0 or length == 0 or start + length > len(content):
            raise Damaged("it breaks off before its pixel data end")
        if compression == _JPEG and known:
            read_layout(b"".join((b"\xff\xd8", directory.jpeg_tables, content[start + 2 : start + length])))
        elif compression in _DEFLATED and known and not fewer_colours:
            # libtiff stops at the last row, and never sees the checksum behind it.
            for _ in unpacked([content[start : start + length]], unpacked_length):
                pass


def _decode(cleaned: bytes) -> Image.Image:
    from PIL import TiffImagePlugin

    class _Tiff(TiffImagePlugin.TiffImageFile):
        """Without Pillow's process-wide limit of pixels; ours was asked before."""

        def load_prepare(self) -> None:
            if self._im is None:
                self.im = Image.new(self.mode, self.size).im
            super().load_prepare()

    stream = io.BytesIO(cleaned)
    image = _Tiff(stream)
    image.load()
    stream.close()  # the picture would keep it
    return image
