"""Decode a JPEG file, smaller where that is enough, and find out whether its pixel data were too few or too many.

libjpeg keeps silent about both: it paints what is missing grey and passes over what is left. So it is fed in steps, and
what it has painted by then is looked at. Not covered: arithmetic coding, whose decoder cannot be fed so; wrong data
of the right length; too many data between two restart markers.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import pairwise

from PIL import Image

from dermedge_runtime.inputs.orientation import read_orientation
from dermedge_runtime.inputs.picture_memory import Damaged, Unsuitable, check_size

from .jpeg_whole import JpegLayout, iterate_ends, read_layout
from .stored_picture import Enough, StoredPicture, cut_out

_MODES = {1: ("L", "L"), 3: ("RGB", "RGB"), 4: ("CMYK", "CMYK;I")}  # CMYK is inverted, as Adobe and all after it do
_HELD_BACK = 16
"""Bytes without which no whole file can be finished; what an encoder may write too many at the end."""
_READ_AHEAD = 16
"""Bytes that are enough for libjpeg to see the end coming; it reads up to 8 ahead."""
_JUNK = bytes(range(1, 255, 2)) * 2
_MOST_ENDS = 20_000


def read_jpeg(content: bytes, enough: Enough | None) -> StoredPicture:
    """Decode a JPEG file.

    :param enough: leave out detail while decoding where the picture is at least twice as wide and high as this tells,
        and give no less than it tells; None: decode everything.
    :raises Damaged: the file is not whole.
    :raises Unsuitable: it is too large.
    """
    layout = read_layout(content)
    channels = len(layout.components)
    if channels not in _MODES:
        raise Unsuitable(f"has {channels} channels, and JPEG is read with 1, 3 or 4.")
    held = 1 if channels == 1 else 4
    if layout.is_progressive or len(layout.scans) > 1:
        # Its decoder keeps all coefficients, two bytes each.
        check_size(layout.size, "a progressive JPEG file", held + 2 * channels, 2 * len(content))
    else:
        check_size(layout.size, "a JPEG file", held, len(content) * (2 if layout.restart_interval else 1))
    width, height = layout.size
    scale = 1
    if enough is not None:
        wide, high = enough(layout.size)
        scale = next((s for s in (8, 4, 2) if min(width // wide, height // high) >= s), 1)
    image = _decode(content, layout, scale)
    box = (0.0, 0.0, width / scale, height / scale)
    return StoredPicture(image, layout.size, box, read_orientation(layout.exif, layout.xmp))


def _decode(content: bytes, layout: JpegLayout, scale: int) -> Image.Image:
    if not layout.is_simple:
        # What comes too early in one of many scans shows nowhere: does more data change the picture?
        longer = _digest(_decode_at_once(_with_junk(content, layout), layout, scale))
        image = _decode_at_once(memoryview(content)[: layout.end + 2], layout, scale)
        if layout.frame in (0xC0, 0xC1, 0xC2, 0xC3) and _digest(image) != longer:
            raise Damaged("its pixel data are incomplete")
        return image
    image, is_sure = _decode_in_steps(content, layout, scale)
    if not is_sure or _looks_unfinished(image, layout, scale):
        longer = _digest(_decode_at_once(_with_junk(content, layout), layout, scale))
        if _digest(image) != longer:
            raise Damaged("its pixel data are incomplete")
    return image


class _Decoding:
    """One picture on its way through libjpeg, with marks in rows that are not painted yet."""

    def __init__(self, layout: JpegLayout, scale: int, marked: Sequence[int] = ()) -> None:
        mode, raw = _MODES[len(layout.components)]
        width, height = (-(-side // scale) for side in layout.size)
        self.image = Image.new(mode, (width, height))
        mark = bytes((k * 167 + (k >> 8) * 91) % 251 for k in range(min(width, 64) * len(self.image.getbands())))
        self._mark = Image.frombytes(mode, (min(width, 64), 1), mark)
        for row in marked:
            self.image.paste(self._mark, (0, row))
        self._decoder = Image._getdecoder(mode, "jpeg", (raw, ""), (scale, 0))
        self._decoder.setimage(self.image.im, (0, 0, width, height))
        self._rest = b""
        self.finished = False

    def feed(self, part: bytes | memoryview) -> None:
        """Give the next bytes of the file."""
        if self.finished:
            return
        given = self._rest + bytes(part) if self._rest else part
        used, error = self._decoder.decode(given)
        if used < 0:
            self.finished = True
            self._decoder.cleanup()
            if error:
                raise Damaged("its pixel data are broken")
        else:
            self._rest = bytes(given[used:])

    def has_painted(self, row: int) -> bool:
        """Tell whether a row still shows its mark."""
        width = self._mark.width
        return cut_out(self.image, (0, row, width, row + 1)).tobytes() != self._mark.tobytes()


def _decode_at_once(content: bytes | memoryview, layout: JpegLayout, scale: int) -> Image.Image:
    decoding = _Decoding(layout, scale)
    decoding.feed(content)
    if not decoding.finished:
        raise Damaged("its pixel data are incomplete")
    return decoding.image


def _decode_in_steps(content: bytes, layout: JpegLayout, scale: int) -> tuple[Image.Image, bool]:
    """Give the picture, and whether its end was seen to be in its place."""
    scan, view = layout.scans[0], memoryview(content)
    bottom = -(-layout.size[1] // scale) - 1
    is_sure = layout.size[0] >= 32 * scale  # a narrow row could look like its mark
    decoding = _Decoding(layout, scale, [bottom] if is_sure else [])
    held_back = max(scan.start, scan.end - _HELD_BACK)
    decoding.feed(view[:held_back])
    if decoding.finished or (is_sure and decoding.has_painted(bottom)):
        raise Damaged("its pixel data go on after its last row, so some of them are wrong")
    decoding.feed(view[held_back : scan.end])
    # Now only that is missing what libjpeg reads ahead; no more than that, and no bit of it is used.
    decoding.feed(_JUNK[:_READ_AHEAD])
    if is_sure and not decoding.has_painted(bottom):
        raise Damaged("its pixel data are incomplete")
    decoding.feed(view[scan.end : layout.end + 2])
    if not decoding.finished:
        raise Damaged("its pixel data are incomplete")
    return decoding.image, is_sure


def _with_junk(content: bytes, layout: JpegLayout) -> bytes:
    """Lengthen every stretch of pixel data: a decoder that has all it needs passes over the rest."""
    places = [0, *iterate_ends(layout), layout.end + 2]
    return _JUNK.join(content[start:end] for start, end in pairwise(places))


def _looks_unfinished(image: Image.Image, layout: JpegLayout, scale: int) -> bool:
    """Tell whether what comes before a restart marker ends in the grey that libjpeg paints where data are missing."""
    width, height = image.size
    across, down = layout.unit
    if not layout.scans[0].interleaved:
        across = down = 8
    columns = -(-layout.size[0] // across)
    interval = layout.restart_interval
    ends = range(interval - 1, interval * len(layout.scans[0].restarts), interval) if interval else range(0)
    for last in ends[:: max(1, len(ends) // _MOST_ENDS)]:
        x, y = last % columns * across + across // 2, last // columns * down + down // 2
        if _is_grey(image, min(x // scale, width - 1), min(y // scale, height - 1)):
            return True
    return False


def _is_grey(image: Image.Image, x: int, y: int) -> bool:
    found = image.getpixel((x, y))
    return all(abs(value - 128) <= 1 for value in (found if isinstance(found, tuple) else (found or 0,)))


def _digest(image: Image.Image) -> int:
    """Checksum of all pixels, taken in bands."""
    width, height = image.size
    step, found = max(1, (1 << 22) // width), 0
    for top in range(0, height, step):
        found = zlib.crc32(cut_out(image, (0, top, width, min(top + step, height))).tobytes(), found)
    return found
