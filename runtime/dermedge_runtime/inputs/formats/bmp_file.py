"""Decode a BMP file; its rows must all be there. Not covered: wrong values in them, for the format has no checksums."""

from __future__ import annotations

import io

from PIL import Image

from dermedge_runtime.inputs.picture_memory import Damaged, check_size

from .stored_picture import StoredPicture

_RUN_LENGTHS_HELD = 25
"""Bytes per pixel for Pillow's decoder of run lengths: few, but it is slow, and 20 megapixels take it a minute."""


def read_bmp(content: bytes) -> StoredPicture:
    """Decode a BMP file.

    :raises Damaged: it is not whole.
    :raises Unsuitable: it is too large.
    """
    from PIL import BmpImagePlugin

    stream = io.BytesIO(content)
    header = BmpImagePlugin.BmpImageFile(stream)
    codec, _, offset, args = header.tile[0]
    mode, (raw, *rest) = header.mode, args if isinstance(args, tuple) else (args,)
    if raw == "BGRA" and header.info["compression"] == 0:
        # The fourth byte is no alpha by the standard; another part of the process has told Pillow that it is.
        mode, raw = "RGB", "BGRX"
    if codec == "raw":
        check_size(header.size, "", 1 if mode in ("1", "L", "P") else 4, len(content))
        image = _new(mode, header)
        _decode_rows(image, raw, content, offset, *rest)
        return StoredPicture.whole(image)
    check_size(header.size, "a BMP file of run lengths", _RUN_LENGTHS_HELD, len(content))
    image = _new(mode, header)
    decoder = Image._getdecoder(mode, codec, args)
    stream.seek(offset)
    decoder.setimage(image.im, (0, 0, *image.size))
    decoder.setfd(stream)
    decoder.decode(b"")
    return StoredPicture.whole(image)


def _new(mode: str, header: Image.Image) -> Image.Image:
    image = Image.new(mode, header.size)
    if mode == "P" and header.palette is not None:
        image.putpalette(header.palette)
    return image


def _decode_rows(image: Image.Image, raw: str, content: bytes, offset: int, stride: int, direction: int) -> None:
    bits = {"1": 1, "P;1": 1, "P;4": 4, "L": 8, "P": 8, "BGR;15": 16, "BGR;16": 16, "BGR": 24}.get(raw, 32)
    # What fills up the last row may be missing.
    if len(content) < offset + stride * (image.height - 1) + (image.width * bits + 7) // 8:
        raise Damaged("it breaks off before its last row")
    decoder = Image._getdecoder(image.mode, "raw", (raw, stride, direction))
    decoder.setimage(image.im, (0, 0, *image.size))
    used, error = decoder.decode(memoryview(content)[offset:])
    decoder.cleanup()
    if used >= 0 or error:
        raise Damaged("its pixel data are broken")
