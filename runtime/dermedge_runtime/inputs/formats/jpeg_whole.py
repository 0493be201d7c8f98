"""Whether a JPEG file is whole, by its markers: libjpeg only warns where pixel data are missing, and paints them grey.

Covered: files that break off, that go on with something else (zeros, 0xFF, another file, noise), scans and restart
markers that are missing, whatever stands after the end marker (some cameras write there; it is left alone).
Not covered: pixel data that are wrong and of the right length; `jpeg_file` finds where they are too many or too few.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dermedge_runtime.inputs.picture_memory import Damaged, Unsuitable

_SOI, _EOI, _SOS, _DHT, _DQT, _DRI, _DNL, _COM, _APP1 = 0xD8, 0xD9, 0xDA, 0xC4, 0xDB, 0xDD, 0xDC, 0xFE, 0xE1
_FRAMES = frozenset(range(0xC0, 0xD0)) - {_DHT, 0xC8, 0xCC}
_PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))
_HUFFMAN_SEQUENTIAL = frozenset((0xC0, 0xC1))
_BARE = frozenset((0x01, *range(0xD0, 0xD8)))  # without a length
_KNOWN = _FRAMES | {_DHT, 0xCC, _EOI, _SOS, _DQT, _DRI, _DNL, _COM, *range(0xE0, 0xF0)} | _BARE

_STRAY_BYTES = 64  # before the first scan libjpeg passes over what is no marker; after it, it is a hole
_FILLING_BYTES = 64  # 0xFF may come before a marker as often as an encoder likes
_ZEROS = bytes(256)
_MOST_SCANS = 100  # mozjpeg writes up to about 20; each one costs a pass over the whole picture
_SLICE = 1 << 22


@dataclass(slots=True)
class Component:
    """One channel of the frame."""

    across: int
    """Sampling factor, 1 to 4."""
    down: int
    precision: list[int | None] = field(default_factory=lambda: [None] * 64)
    """By coefficient, bits of it that are still missing; None before its first scan."""


@dataclass(frozen=True, slots=True)
class Scan:
    """Entropy-coded data, as offsets into the file."""

    start: int
    end: int
    restarts: tuple[int, ...]
    """Where its restart markers stand."""
    interleaved: bool


@dataclass(slots=True)
class JpegLayout:
    """What the markers tell."""

    size: tuple[int, int] = (0, 0)
    frame: int = 0
    """The second byte of its start-of-frame marker; 0: there is none."""
    components: dict[int, Component] = field(default_factory=dict)
    scans: list[Scan] = field(default_factory=list)
    restart_interval: int = 0
    """Blocks of a scan between two restart markers; 0: there are none."""
    end: int = 0
    """Where the end marker stands."""
    exif: bytes | None = None
    xmp: bytes | None = None
    zero_codes: dict[int, int] = field(default_factory=dict)
    """By class and number of a Huffman table, the symbol whose code is nothing but zeros."""

    @property
    def is_progressive(self) -> bool:
        """Coefficients come in several scans, each of a part of them."""
        return self.frame in _PROGRESSIVE

    @property
    def is_simple(self) -> bool:
        """All is in one scan of Huffman codes: the usual file."""
        return self.frame in _HUFFMAN_SEQUENTIAL and len(self.scans) == 1

    @property
    def unit(self) -> tuple[int, int]:
        """Width and height in pixels of what one step of an interleaved scan decodes."""
        return (
            8 * max(component.across for component in self.components.values()),
            8 * max(component.down for component in self.components.values()),
        )


def read_layout(content: bytes) -> JpegLayout:
    """Walk through all markers up to the end marker.

    :raises Damaged: the file is not whole.
    :raises Unsuitable: it is of a kind that is not read.
    """
    layout = JpegLayout()
    if not content.startswith(b"\xff\xd8"):
        raise Damaged("it does not begin as a JPEG file")
    markers = _markers(content)
    place = 2
    while True:
        place, code = _next_marker(content, markers, place, strict=bool(layout.scans))
        if code == _EOI:
            break
        if code in _BARE:
            place += 2
            continue
        length = int.from_bytes(content[place + 2 : place + 4], "big")
        body = content[place + 4 : place + 2 + length]
        if length < 2 or len(body) < length - 2:
            raise Damaged("it breaks off before its end marker")
        place += 2 + length
        if code == _SOS:
            place = _read_scan(content, markers, place, body, layout)
        else:
            _read_segment(code, body, layout)
    layout.end = place
    _check_complete(layout)
    return layout


def _markers(content: bytes) -> NDArray[np.intp]:
    """Offsets of every 0xFF that is not followed by 0: in pixel data only markers and what fills up before them."""
    values = np.frombuffer(content, np.uint8)
    found = []
    for start in range(0, len(content) - 1, _SLICE):
        part = values[start : start + _SLICE + 1]
        places = np.flatnonzero(part[:-1] == 0xFF)
        found.append(places[part[places + 1] != 0] + start)
    return np.concatenate(found) if found else np.empty(0, np.intp)


def _next_marker(content: bytes, markers: NDArray[np.intp], place: int, *, strict: bool) -> tuple[int, int]:
    for k in range(int(np.searchsorted(markers, place)), len(markers)):
        found = int(markers[k])
        code = content[found + 1]
        if code == 0xFF:
            continue
        stray = len(content[place:found].strip(b"\xff"))
        if stray > (0 if strict else _STRAY_BYTES) or code not in _KNOWN:
            raise Damaged("something else stands where a JPEG marker belongs")
        return found, code
    raise Damaged("it breaks off before its end marker")


def _read_segment(code: int, body: bytes, layout: JpegLayout) -> None:
    if code in _FRAMES:
        _read_frame(code, body, layout)
    elif code == _DHT:
        _read_huffman_tables(body, layout)
    elif code == _DQT:
        _check_quantisation(body)
    elif code == _DRI:
        if len(body) < 2:
            raise Damaged("its restart interval is broken")
        layout.restart_interval = int.from_bytes(body[:2], "big")
    elif code == _APP1 and not layout.scans:
        if layout.exif is None and body.startswith(b"Exif\0\0"):
            layout.exif = body
        elif layout.xmp is None and body.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
            layout.xmp = body


def _read_frame(code: int, body: bytes, layout: JpegLayout) -> None:
    if layout.frame:
        raise Damaged("it has two frame headers")
    if len(body) < 6 or len(body) < 6 + 3 * body[5]:
        raise Damaged("its frame header is broken")
    bits, height, width, count = struct.unpack_from(">BHHB", body)
    if bits != 8:
        raise Unsuitable(f"has {bits} bits per channel, and JPEG is read with 8. Save it with 8 bits.")
    if not 1 <= count <= 4:
        raise Unsuitable(f"has {count} channels, and JPEG is read with 1, 3 or 4.")
    layout.frame, layout.size = code, (width, height)
    for k in range(6, 6 + 3 * count, 3):
        across, down = body[k + 1] >> 4, body[k + 1] & 15
        if not (1 <= across <= 4 and 1 <= down <= 4):
            raise Damaged("its frame header is broken")
        layout.components[body[k]] = Component(across, down)
    if len(layout.components) != count:
        raise Damaged("its frame header is broken")


def _read_huffman_tables(body: bytes, layout: JpegLayout) -> None:
    while body:
        symbols = sum(body[1:17])
        if len(body) < 17 + symbols or symbols == 0:
            raise Damaged("its Huffman tables are broken")
        layout.zero_codes[body[0]] = body[17]
        body = body[17 + symbols :]


def _check_quantisation(body: bytes) -> None:
    while body:
        wide = body[0] >> 4
        values = np.frombuffer(body[1 : 65 + 64 * bool(wide)], ">u2" if wide else np.uint8)
        if len(values) < 64 or not values.all():
            raise Damaged("its quantisation tables are broken")
        body = body[65 + 64 * bool(wide) :]


def _read_scan(content: bytes, markers: NDArray[np.intp], start: int, body: bytes, layout: JpegLayout) -> int:
    """Read a scan's header and find where its data end."""
    if not layout.frame or len(body) < 1 or len(body) != 4 + 2 * body[0] or len(layout.scans) >= _MOST_SCANS:
        raise Damaged("its scans are broken")
    tables = dict(zip(body[1:-3:2], body[2:-3:2], strict=True))
    first, last, high_low = body[-3:]
    if not set(tables) <= set(layout.components) or not tables:
        raise Damaged("its scans are broken")
    _note_scan(layout, tables, first, last, high_low)
    end, restarts = _find_end(content, markers, start)
    _check_restarts(layout, tables, bytes(content[place + 1] for place in restarts))
    if _zeros_are_blocks(layout, tables, first, high_low) is False and content.find(_ZEROS, start, end) >= 0:
        raise Damaged("there is a hole of zeros in its pixel data")
    layout.scans.append(Scan(start, end, tuple(restarts), len(tables) > 1))
    return end


def _find_end(content: bytes, markers: NDArray[np.intp], start: int) -> tuple[int, list[int]]:
    """Find where a scan's data end, before what fills up to the next marker, and its restart markers."""
    found = markers[np.searchsorted(markers, start) :]
    codes = np.frombuffer(content, np.uint8)[found + 1]
    is_restart, is_filling = (codes >= 0xD0) & (codes <= 0xD7), codes == 0xFF
    others = np.flatnonzero(~is_restart & ~is_filling)
    if len(others) == 0:
        raise Damaged("it breaks off before its end marker")
    end = int(found[others[0]])
    if content[end + 1] not in _KNOWN:
        raise Damaged("its pixel data are interrupted by something else")
    if int(is_filling[: others[0]].sum()) > _FILLING_BYTES:
        raise Damaged("there is a hole in its pixel data")
    while end > start and content[end - 1] == 0xFF:  # filling; in data a zero follows it
        end -= 1
    return end, found[: others[0]][is_restart[: others[0]]].tolist()


def _note_scan(layout: JpegLayout, tables: dict[int, int], first: int, last: int, high_low: int) -> None:
    """Note which coefficients a scan brings, and how many of their bits are still missing."""
    if not layout.is_progressive:
        for number in tables:
            if layout.components[number].precision[0] is not None:
                raise Damaged("a second scan of the same channel follows its pixel data")
            layout.components[number].precision[:] = [0] * 64
        return
    if not first <= last <= 63:
        raise Damaged("its scans are broken")
    for number in tables:
        precision = layout.components[number].precision
        precision[first : last + 1] = [high_low & 15] * (last + 1 - first)


def _blocks(layout: JpegLayout, tables: dict[int, int]) -> int:
    """Steps of a scan."""
    width, height = layout.size
    across, down = layout.unit
    if len(tables) == 1:
        component = layout.components[next(iter(tables))]
        across, down = across // component.across, down // component.down
    return -(-width // across) * -(-height // down)


def _check_restarts(layout: JpegLayout, tables: dict[int, int], codes: bytes) -> None:
    if layout.restart_interval == 0:
        if len(codes):
            raise Damaged("its pixel data are interrupted by something else")
        return
    wanted = -(-_blocks(layout, tables) // layout.restart_interval) - 1
    # Some encoders write one more, after the last interval.
    if len(codes) not in (wanted, wanted + 1) or any(code != 0xD0 + k % 8 for k, code in enumerate(codes)):
        raise Damaged("restart markers are missing from its pixel data")


def _zeros_are_blocks(layout: JpegLayout, tables: dict[int, int], first: int, high_low: int) -> bool | None:
    """Tell whether many bytes of zeros can be real data of this scan, namely many flat blocks; None: not known."""

    def symbols(kind: int) -> Iterator[int | None]:
        for chosen in tables.values():
            yield layout.zero_codes.get(kind << 4 | (chosen >> 4 if kind == 0 else chosen & 15))

    direct, detail = list(symbols(0)), list(symbols(1))
    if layout.frame in _HUFFMAN_SEQUENTIAL:
        # A difference of 0, then the end of the block; any other symbols would draw the same stripes again and again.
        return None if None in direct + detail else not any(direct + detail)
    if layout.frame != 0xC2 or (first == 0 and high_low >> 4):
        return None
    if first == 0:
        return None if None in direct else not any(direct)
    return (
        None if None in detail else all(symbol is not None and symbol & 15 == 0 != symbol - 0xF0 for symbol in detail)
    )


def _check_complete(layout: JpegLayout) -> None:
    if not layout.scans:
        raise Damaged("there are no pixel data in it")
    for component in layout.components.values():
        if component.precision[0] is None:
            raise Damaged("a colour channel is missing from it")
        if any(component.precision):
            raise Damaged("its last scans are missing")
        if None in component.precision:
            raise Damaged("its last scans are missing")


def iterate_ends(layout: JpegLayout) -> Iterator[int]:
    """Offsets at which a stretch of pixel data ends, at a restart marker or at the end of a scan, in order."""
    for scan in layout.scans:
        yield from (place for place in scan.restarts if place < scan.end)
        yield scan.end
