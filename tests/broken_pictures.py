"""Pictures that look like photographs, in every format, and the ways in which their files break."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image


def skin(width: int = 203, height: int = 149, seed: int = 0) -> Image.Image:
    """Draw a spot on skin with some grain."""
    y, x = np.mgrid[:height, :width]
    spot = np.exp(-(((x / width - 0.5) / 0.2) ** 2 + ((y / height - 0.5) / 0.2) ** 2))[..., None]
    grain = np.random.default_rng(seed).normal(0, 5, (height, width, 3))
    return Image.fromarray(((1 - spot) * [215, 160, 140] + spot * [90, 50, 40] + grain).clip(0, 255).astype(np.uint8))


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


SKIN = skin()
_JPEG_OPTIONS = {
    "full colour": {"quality": 95, "subsampling": 0},
    "usual": {"quality": 80},
    "optimised": {"quality": 80, "optimize": True},
    "grey": {"quality": 80},
    "CMYK": {"quality": 80},
    "progressive": {"quality": 80, "progressive": True},
    "restarts by row": {"quality": 80, "restart_marker_rows": 1},
    "restarts": {"quality": 80, "restart_marker_blocks": 5},
    "MPO": {"save_all": True, "append_images": [skin(seed=1)]},
}


def jpeg(kind: str, picture: Image.Image, **options: Any) -> bytes:
    """Encode a kind of JPEG file."""
    picture = picture.convert({"grey": "L", "CMYK": "CMYK"}.get(kind, "RGB"))
    return encode(picture, "MPO" if kind == "MPO" else "JPEG", **(_JPEG_OPTIONS[kind] | options))


JPEGS = {kind: jpeg(kind, SKIN) for kind in _JPEG_OPTIONS}
OTHERS = {
    "PNG": encode(SKIN, "PNG"),
    "PNG palette": encode(SKIN.quantize(64), "PNG"),
    "WebP lossless": encode(SKIN, "WEBP", lossless=True),
    "WebP": encode(SKIN, "WEBP", quality=80),
    "AVIF": encode(SKIN, "AVIF", quality=80),
    "TIFF": encode(SKIN, "TIFF"),
    "TIFF LZW": encode(SKIN, "TIFF", compression="tiff_lzw"),
    "TIFF deflate": encode(SKIN, "TIFF", compression="tiff_adobe_deflate", tiffinfo={278: 40}),
    "TIFF JPEG": encode(SKIN, "TIFF", compression="jpeg", tiffinfo={278: 40}),
    "BMP": encode(SKIN, "BMP"),
    "BMP palette": encode(SKIN.quantize(64), "BMP"),
}
ALL = JPEGS | OTHERS


def pixel_data(content: bytes) -> tuple[int, int]:
    """Tell where the pixel data of a JPEG file begin and end (of the last large scan, of the first picture)."""
    end = content.find(b"\xff\xd9")
    return content.rfind(b"\xff\xda", 0, end - 300) + 14, end


def broken_jpegs(content: bytes, share: float) -> Iterator[tuple[str, bytes]]:
    """Break a JPEG file in every way at one place of its pixel data."""
    start, end = pixel_data(content)
    place, rest = start + int(share * (end - start)), len(content) - start - int(share * (end - start))
    noise = np.random.default_rng(place).bytes(rest)
    marker = b"\xff\xd9"
    yield "cut", content[:place]
    yield "cut, with an end marker", content[:place] + marker
    for name, fill in (("zeros", bytes(rest)), ("0xFF", b"\xff" * rest), ("noise", noise)):
        yield f"a tail of {name}", content[:place] + fill
        yield f"a tail of {name}, with an end marker", content[:place] + fill[:-2] + marker
    yield "another file from there", content[:place] + ALL["full colour"]
    yield "text from there", content[:place] + b"lorem ipsum " * 99
