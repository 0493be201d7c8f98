"""All of a DICOM file that comes before its pixels, by pydicom: how they are stored, and the tags that are asked for.

Only the asked tags are read; all others are passed over by their lengths. Values are taken as they are stored: pydicom
would quote one that it does not like.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from dermedge_runtime.inputs.picture_memory import Damaged, Unsuitable

from .quiet import quiet_pydicom
from .recognised import MARK, PREAMBLE

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

ROWS, COLUMNS, SAMPLES = 0x00280010, 0x00280011, 0x00280002
PHOTOMETRIC, PLANAR, FRAMES = 0x00280004, 0x00280006, 0x00280008
BITS_ALLOCATED, BITS_STORED, SIGNED = 0x00280100, 0x00280101, 0x00280103
OFFSETS, PIXELS = 0x7FE00001, 0x7FE00010
PALETTES: Final = ((0x00281101, 0x00281201), (0x00281102, 0x00281202), (0x00281103, 0x00281203))
"""Descriptor and data of red, green and blue."""
SEGMENTED = 0x00281221

NATIVE, RUN_LENGTH, JPEG, LOSSLESS_JPEG, JPEG_LS, JPEG_2000 = "native", "RLE", "JPEG", "lossless", "JPEG-LS", "JPEG2000"
SYNTAXES: Final = {
    "1.2.840.10008.1.2": NATIVE,
    "1.2.840.10008.1.2.1": NATIVE,
    "1.2.840.10008.1.2.2": NATIVE,
    "1.2.840.10008.1.2.4.50": JPEG,
    "1.2.840.10008.1.2.4.51": JPEG,
    "1.2.840.10008.1.2.4.57": LOSSLESS_JPEG,
    "1.2.840.10008.1.2.4.70": LOSSLESS_JPEG,
    "1.2.840.10008.1.2.4.80": JPEG_LS,
    "1.2.840.10008.1.2.4.81": JPEG_LS,
    "1.2.840.10008.1.2.4.90": JPEG_2000,
    "1.2.840.10008.1.2.4.91": JPEG_2000,
    "1.2.840.10008.1.2.5": RUN_LENGTH,
}
"""How pixels can be stored, by transfer syntax."""
GREY = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
MOST_FRAMES = 100_000
_LARGEST_VALUE = 1 << 20
"""Bytes that a tag is taken with; the offset table of a file has 8 a frame."""
_NO_LENGTH = 0xFFFFFFFF
_LONG = (b"OB", b"OW", b"SQ", b"UN", b"UT")
"""Types whose length has four bytes."""


@dataclass(frozen=True, slots=True)
class Header:
    """How the pixels of a file are stored."""

    syntax: str
    """UID of the transfer syntax, a key of `SYNTAXES`."""
    size: tuple[int, int]
    """Width and height in pixels."""
    samples: int
    """1 or 3 a pixel, of 8 bits each."""
    photometric: str
    """One of `GREY` or `COLOUR`."""
    is_planar: bool
    """Stored channel after channel, if it is not compressed."""
    frames: int
    start: int
    """Where the pixel data begin in the file."""
    length: int | None
    """Bytes of the pixel data; None: they are in pieces, and end with a mark."""
    is_swapped: bool
    """Every two bytes are exchanged: 8-bit pixels as 16-bit words, the high byte first."""
    offsets: tuple[int, ...] = field(default=(), repr=False)
    """Where the frames begin, after the first piece; empty: the header does not tell."""
    palette: NDArray[np.uint8] | None = field(default=None, repr=False)
    """[256, 3] RGB by value, for PALETTE COLOR."""

    @property
    def stored(self) -> str:
        """How the pixels are stored, such as `NATIVE`."""
        return SYNTAXES[self.syntax]


def read_header(stream: IO[bytes], asked: tuple[int, ...]) -> tuple[Header, Dataset]:
    """Read a DICOM file up to its pixels.

    :param stream: the open file; where it stands afterwards is undefined.
    :param asked: further tags to read.
    :return: how its pixels are stored; and the further tags, for `value_of` and `items_of`.
    :raises Damaged: it is no DICOM file, or its header is broken.
    :raises Unsuitable: it holds no pictures, or such as are not read.
    :raises ModuleNotFoundError: pydicom is not installed.
    """
    import pydicom

    # First, and without pydicom: that would inflate a deflated file whole, and nobody knows how large it becomes.
    syntax = _syntax(stream)
    own: Any = (ROWS, COLUMNS, SAMPLES, PHOTOMETRIC, PLANAR, FRAMES, BITS_ALLOCATED, BITS_STORED, SIGNED, OFFSETS)
    own = [*own, *(tag for pair in PALETTES for tag in pair), SEGMENTED, *asked]
    with quiet_pydicom():
        try:
            stream.seek(0)
            dataset = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=own)
        except MemoryError:
            raise
        except Exception:  # pydicom raises nearly anything for a broken file, and quotes it
            raise Damaged("its header is broken") from None
    return _header(stream, syntax, dataset), dataset


def value_of(dataset: Dataset, tag: int) -> bytes:
    """Give the value of a tag as it is stored; empty where the file lacks it."""
    element = dataset.get_item(tag)
    value = getattr(element, "value", None)
    if isinstance(value, str):
        return value.encode(errors="replace")
    return value if isinstance(value, bytes) and len(value) <= _LARGEST_VALUE else b""


def text_of(dataset: Dataset, tag: int) -> str:
    """Give the first value of a tag as text, without the blanks that fill it up."""
    return value_of(dataset, tag).decode("ascii", "replace").split("\\")[0].strip(" \0")


def items_of(dataset: Dataset, tag: int) -> list[Dataset]:
    """Give the items of a sequence; none where the file lacks it or it is broken."""
    with quiet_pydicom():
        try:
            return list(dataset[tag].value) if tag in dataset else []
        except Exception:  # what pydicom raises may quote the file
            return []


def _syntax(stream: IO[bytes]) -> str:
    """Find the transfer syntax in the group that begins every DICOM file, always explicit and little endian."""
    stream.seek(0)
    if stream.read(PREAMBLE + len(MARK))[PREAMBLE:] != MARK:
        raise Damaged("it is no DICOM file, for the mark DICM after its first 128 bytes is missing")
    uid = ""
    while len(head := stream.read(8)) == 8 and head[:2] == b"\2\0":
        length = int.from_bytes(head[6:] if head[4:6] not in _LONG else stream.read(4), "little")
        if head[2:4] == b"\x10\0":
            uid = stream.read(min(length, 65)).decode("ascii", "replace").strip(" \0")
            break
        stream.seek(length, os.SEEK_CUR)
    if uid in SYNTAXES:
        return uid
    if not uid or len(uid) > 64 or not set(uid) <= set("0123456789."):
        raise Damaged("its header does not tell how its pixels are stored")
    from pydicom.uid import UID

    with quiet_pydicom():
        name = UID(uid).name
    name = "an unknown one" if name == uid else name
    raise Unsuitable(
        f"has pixels in the transfer syntax {uid} ({name}), which is not read. Save it uncompressed, or as JPEG."
    )


def _header(stream: IO[bytes], syntax: str, dataset: Dataset) -> Header:
    little = syntax != "1.2.840.10008.1.2.2"
    # Whether types are told or not pydicom finds out, whatever the syntax says.
    start, length, words = _pixel_data(stream, "<" if little else ">", bool(dataset.original_encoding[0]))

    def number(tag: int, missing: int | None = None) -> int:
        value = value_of(dataset, tag)
        if len(value) < 2 and missing is None:
            raise Damaged("its header does not tell how large its pixels are")
        return int.from_bytes(value[:2], "little" if little else "big") if len(value) >= 2 else missing or 0

    samples, photometric = number(SAMPLES, 1), text_of(dataset, PHOTOMETRIC)
    _check_samples(samples, photometric, number(BITS_ALLOCATED), number(BITS_STORED, 8), number(SIGNED, 0))
    stored = SYNTAXES[syntax]
    if (stored == NATIVE) != (length is not None):
        raise Damaged("its header says otherwise how its pixels are stored than they are")
    header = Header(
        syntax,
        (number(COLUMNS), number(ROWS)),
        samples,
        photometric,
        number(PLANAR, 0) == 1,
        _frames(dataset),
        start,
        length,
        is_swapped=not little and words,
        offsets=_offsets(value_of(dataset, OFFSETS)),
        palette=_palette(dataset, little) if photometric == "PALETTE COLOR" else None,
    )
    _check_length(header, os.fstat(stream.fileno()).st_size)
    return header


def _pixel_data(stream: IO[bytes], order: str, implicit: bool) -> tuple[int, int | None, bool]:
    """Find where the pixel data begin, how many bytes they have, and whether they are 16-bit words."""
    found = stream.read(8)
    if len(found) < 8 or struct.unpack(f"{order}HH", found[:4]) != (PIXELS >> 16, PIXELS & 0xFFFF):
        if len(found) == 8 and struct.unpack(f"{order}H", found[:2])[0] == PIXELS >> 16:
            raise Unsuitable("has pixels of floating point. Save it with 8 bits per sample.")
        raise Unsuitable("is a DICOM file without pixel data, so there is no picture in it.")
    words = not implicit and found[4:6] == b"OW"
    raw = found[4:8] if implicit else stream.read(4)
    if len(raw) < 4:
        raise Damaged("it breaks off before its pixel data")
    (length,) = struct.unpack(f"{order}I", raw)
    return stream.tell(), None if length == _NO_LENGTH else length, words


def _check_samples(samples: int, photometric: str, allocated: int, stored: int, signed: int) -> None:
    known = {1: GREY, 3: COLOUR}.get(samples, ())
    if photometric not in known:
        named = (
            photometric if photometric.replace("_", "").replace(" ", "").isalnum() and len(photometric) < 17 else "?"
        )
        of = "1 sample" if samples == 1 else f"{samples} samples"
        raise Unsuitable(
            f"has {of} per pixel in the colours '{named}', and DICOM is read with 1 ({', '.join(GREY)})"
            f" or 3 ({', '.join(COLOUR)})."
        )
    if (allocated, stored) != (8, 8) or signed:
        kind = "signed " if signed else ""
        raise Unsuitable(
            f"has {kind}samples of {stored} in {allocated} bits, and DICOM is read with 8 bits without a sign."
            " Save it with 8 bits."
        )


def _offsets(table: bytes) -> tuple[int, ...]:
    return tuple(np.frombuffer(table[: len(table) // 8 * 8], "<u8").tolist())


def _frames(dataset: Dataset) -> int:
    text = text_of(dataset, FRAMES)
    if not text:
        return 1
    if not text.isdecimal() or not 1 <= int(text) <= MOST_FRAMES:
        raise Unsuitable(f"does not tell its number of frames, or has none, or more than {MOST_FRAMES:,}.")
    return int(text)


def frame_length(header: Header) -> int:
    """Tell how many bytes a frame has that is not compressed."""
    width, height = header.size
    return width * height * (2 if header.photometric == "YBR_FULL_422" else header.samples)


def _check_length(header: Header, in_file: int) -> None:
    if header.length is None:
        # Every frame is at least one piece, of which 8 bytes tell how long it is.
        if header.start + 8 * header.frames > in_file:
            raise Damaged("it breaks off before its end")
        return
    wanted = header.frames * frame_length(header)
    if header.start + header.length > in_file:
        raise Damaged("it breaks off before its end")
    if header.length not in (wanted, wanted + wanted % 2):
        raise Damaged(f"it holds {header.length:,} bytes of pixels, and its header tells of {wanted:,}")


def _palette(dataset: Dataset, little: bool) -> NDArray[np.uint8]:
    """Give the colours of a palette, [256, 3]; 16-bit colours give their upper 8 bits."""
    if value_of(dataset, SEGMENTED):
        raise Unsuitable("has a palette in segments, which is not read. Save it as RGB.")
    order = "<" if little else ">"
    table = np.empty((256, 3), np.uint8)
    for channel, (descriptor_tag, data_tag) in enumerate(PALETTES):
        descriptor = np.frombuffer(value_of(dataset, descriptor_tag)[:6], f"{order}u2").tolist()
        data = value_of(dataset, data_tag)
        if len(descriptor) != 3:
            raise Damaged("its palette is broken")
        entries, first, bits = descriptor
        entries = entries or 1 << 16
        if bits == 16 or len(data) >= 2 * entries:
            if len(data) < 2 * entries:
                raise Damaged("its palette is broken")
            values = np.frombuffer(data[: 2 * entries], f"{order}u2")
            # Some writers keep 8-bit colours in 16-bit entries.
            levels = values if bits == 8 or values.max() <= 255 else values >> 8
        else:
            if len(data) < entries or bits != 8:
                raise Damaged("its palette is broken")
            levels = np.frombuffer(data[:entries], np.uint8)
        # Values below the first entry have its colour, those after the last one have the last one's.
        table[:, channel] = levels[np.clip(np.arange(256) - first, 0, entries - 1)]
    return table
