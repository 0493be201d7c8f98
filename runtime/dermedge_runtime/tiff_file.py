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

from .jpeg_whole import read_layout
from .orientation import read_orientation
from .picture_memory import Damaged, check_size
from .stored_picture import StoredPicture

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANAR = 256, 257, 258, 259, 262, 277, 284
_STRIP_OFFSETS, _STRIP_ROWS, _STRIP_BYTES = 273, 278, 279
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTES = 322, 323, 324, 325
_ORIENTATION, _XMP = 274, 700
_KEPT = frozenset(
    (_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANAR, _STRIP_OFFSETS, _STRIP_ROWS, _STRIP_BYTES,
     _TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTES, 266, 292, 293, 317, 320, 332, 338, 339, 347,
     512, 513, 514, 515, 519, 520, 521, 529, 530, 531, 532)
)  # fmt: skip
_TYPES = {1: "B", 2: "c", 3: "H", 4: "I", 5: "II", 6: "b", 7: "c", 8: "h", 9: "i", 10: "ii", 11: "f", 12: "d",
          13: "I", 16: "Q", 17: "q", 18: "Q"}  # fmt: skip
_UNPACKED, _JPEG = 1, 7
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
    part, needed = _check_parts(directory, size)
    bits = directory.numbers(_BITS, (1,))
    held = 4 if len(bits) > 1 or directory.number(_SAMPLES, 1) > 1 or bits[0] == 32 else 2 if bits[0] > 8 else 1
    if directory.number(_PHOTOMETRIC, 0) == 6:
        held, part = 4, max(part, 4 * needed)
    kind = f"a TIFF file in strips or tiles of {part // 1_000_000} MB" if part > _LARGE_PART else ""
    pixels = max(1, size[0] * size[1])
    check_size(size, kind, held + part / pixels, 2 * len(content))
    orientation = directory.number(_ORIENTATION, 0)
    xmp = directory.entries.get(_XMP)
    if not orientation and xmp is not None:
        orientation = read_orientation(None, content[xmp.place : xmp.place + xmp.count])
    return StoredPicture.whole(_decode(directory.cleaned()), orientation)


def _check_parts(directory: _Directory, size: tuple[int, int]) -> tuple[int, int]:
    """See that all strips or tiles are there; give the bytes of the largest when unpacked, and its pixels."""
    width, height = size
    if 0 in size:
        check_size(size)
    check_size(size, "", 0.001)  # before anything is counted by rows
    if _TILE_OFFSETS in directory.entries:
        across, down = directory.number(_TILE_WIDTH, 0), directory.number(_TILE_HEIGHT, 0)
        offsets, lengths = directory.numbers(_TILE_OFFSETS), directory.numbers(_TILE_BYTES)
    else:
        across, down = width, min(directory.number(_STRIP_ROWS, height), height)
        offsets, lengths = directory.numbers(_STRIP_OFFSETS), directory.numbers(_STRIP_BYTES)
    if across < 1 or down < 1:
        raise Damaged("its directory is broken")
    bits, samples = directory.numbers(_BITS, (1,)), directory.number(_SAMPLES, 1)
    planes = samples if directory.number(_PLANAR, 1) == 2 else 1
    per_pixel = sum(bits) if len(bits) > 1 else bits[0] * samples
    row = (across * (per_pixel // planes) + 7) // 8
    wanted = -(-width // across) * -(-height // down) * planes
    if len(offsets) < wanted or (lengths and len(lengths) < wanted):
        raise Damaged(f"{min(len(offsets), len(lengths) or wanted)} of its {wanted} parts are there")
    compression = directory.number(_COMPRESSION, _UNPACKED)
    is_plain = compression == _UNPACKED and _TILE_OFFSETS not in directory.entries
    strips = -(-height // down)
    for k in range(wanted):
        rows = min(down, height - k % strips * down) if is_plain else down
        length = rows * row if compression == _UNPACKED else lengths[k] if lengths else 1
        if offsets[k] == 0 or length == 0 or offsets[k] + length > len(directory.content):
            raise Damaged("it breaks off before its pixel data end")
        if compression == _JPEG and lengths:
            read_layout(directory.content[offsets[k] : offsets[k] + length])
    return row * down, across * down


def _decode(cleaned: bytes) -> Image.Image:
    from PIL import TiffImagePlugin

    class _Tiff(TiffImagePlugin.TiffImageFile):
        """Without Pillow's process-wide limit of pixels; ours was asked before."""

        def load_prepare(self) -> None:
            if self._im is None:
                self.im = Image.core.new(self.mode, self.size)
            super().load_prepare()

    stream = io.BytesIO(cleaned)
    image = _Tiff(stream)
    image.load()
    stream.close()  # the picture would keep it
    return image
