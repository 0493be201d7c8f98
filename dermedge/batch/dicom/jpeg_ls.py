"""JPEG-LS pictures inside a DICOM file, by GDCM; its decoder finds what is missing.

Their head is looked at before: GDCM ends the whole process for some that make no sense.
"""

from __future__ import annotations

import struct
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermedge.require import how_to_install
from dermedge_runtime.inputs.picture_memory import Damaged, Unsuitable

from .header import Header
from .quiet import quiet_pydicom

_SOF, _LSE, _SOS, _COM = 0xF7, 0xF8, 0xDA, 0xFE
_BROKEN = "its JPEG-LS data are incomplete or wrong"
_MISSING = f"JPEG-LS data are read by GDCM, which is not installed. {how_to_install(['gdcm'], 'dicom')}"
_one_at_a_time = threading.Lock()


def read_jpeg_ls(content: bytes, header: Header) -> NDArray[np.uint8]:
    """Decode one frame.

    :return: uint8 [H, W, 3] or [H, W], in the colours they are stored in.
    :raises Damaged: it is not whole, or not what the header says; or GDCM is not installed.
    """
    is_planar = _check_head(content, header)
    try:
        import gdcm  # noqa: F401
    except ImportError:
        raise Damaged(_MISSING) from None
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder

    width, height = header.size
    options: dict[str, Any] = {
        "rows": height,
        "columns": width,
        "samples_per_pixel": header.samples,
        "photometric_interpretation": header.photometric,
        "planar_configuration": int(is_planar),
        "bits_allocated": 8,
        "bits_stored": 8,
        "pixel_representation": 0,
        "number_of_frames": 1,
        "pixel_keyword": "PixelData",
    }
    try:
        # GDCM promises nothing of several threads.
        with quiet_pydicom(), _one_at_a_time:
            pieces = encapsulate([content], has_bot=False)
            array, _ = get_decoder(header.syntax).as_array(pieces, index=0, raw=True, decoding_plugin="gdcm", **options)
    except MemoryError:
        raise
    except Exception as error:  # GDCM's own reasons are lost on the way through Python
        raise Damaged(_BROKEN) from error
    if array.dtype != np.uint8 or array.shape[:2] != (height, width) or array.ndim != (2 if header.samples == 1 else 3):
        raise Damaged(_BROKEN)
    return array


def _check_head(content: bytes, header: Header) -> bool:
    """Look at every marker before the pixels; tell whether they come channel after channel."""
    if content[:2] != b"\xff\xd8" or not content.rstrip(b"\0").endswith(b"\xff\xd9"):
        raise Damaged(_BROKEN)
    place, is_framed = 2, False
    while place + 4 <= len(content) and content[place] == 0xFF:
        code, (length,) = content[place + 1], struct.unpack_from(">H", content, place + 2)
        body = content[place + 4 : place + 2 + length]
        if length < 2 or len(body) != length - 2:
            break
        if code == _SOS:
            return _check_scan(body, header, is_framed)
        if code == _SOF:
            _check_frame(body, header)
            is_framed = True
        elif code == _LSE:
            # Presets of thresholds are of the decoder; tables of colours and larger sizes no picture of ours has.
            if body[:1] != b"\1" or len(body) != 11 or body[1:3] not in (b"\0\xff", b"\0\0"):
                raise Unsuitable("has JPEG-LS data with tables that are not read. Save it uncompressed.")
        elif not (0xE0 <= code <= 0xEF or code == _COM):
            break
        place += 2 + length
    raise Damaged(_BROKEN)


def _check_frame(body: bytes, header: Header) -> None:
    if len(body) != 6 + 3 * header.samples:
        raise Damaged("its JPEG-LS data are of another size than its header says")
    bits, height, width, channels = struct.unpack_from(">BHHB", body)
    if bits != 8:
        raise Unsuitable("has JPEG-LS data of other than 8 bits per sample. Save it with 8 bits.")
    if (width, height) != header.size or channels != header.samples:
        raise Damaged("its JPEG-LS data are of another size than its header says")
    if any(body[k + 1] != 0x11 or body[k + 2] for k in range(6, len(body), 3)):
        raise Damaged(_BROKEN)


def _check_scan(body: bytes, header: Header, is_framed: bool) -> bool:
    channels = body[0] if body else 0
    if not is_framed or len(body) != 4 + 2 * channels or any(body[2 : 1 + 2 * channels : 2]):
        raise Damaged(_BROKEN)
    near, order, transform = body[-3:]
    if near > 127 or transform or order > 2 or channels != (header.samples if order else 1):
        raise Damaged(_BROKEN)
    return header.samples == 3 and order == 0
