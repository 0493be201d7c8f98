"""Requests that a service should survive: broken pictures of every kind, wrong types, broken forms.

Each request is made from a seed and its number alone, so that one that did harm can be made again.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, SecondaryCaptureImageStorage

_FORMATS = {
    "jpeg": {"format": "JPEG"},
    "progressive jpeg": {"format": "JPEG", "progressive": True},
    "png": {"format": "PNG"},
    "webp": {"format": "WEBP"},
    "avif": {"format": "AVIF"},
    "tiff": {"format": "TIFF"},
    "tiff, lzw": {"format": "TIFF", "compression": "tiff_lzw"},
    "bmp": {"format": "BMP"},
    "gif": {"format": "GIF"},
}
_TYPES = ("image/jpeg", "image/png", "application/dicom", "text/html", "application/json", "x", "", "image/jpeg; a=b")


@dataclass(frozen=True, slots=True)
class Case:
    """One request."""

    kind: str
    """What it is made of and how: png, cut."""
    request: bytes
    """From the first line to the last byte of the body."""


def seeds() -> dict[str, bytes]:
    """Whole pictures, by kind."""
    rows, columns = np.mgrid[0:72, 0:96]
    pixels = np.stack([rows * 3, columns * 2, (rows * columns) % 256], axis=2).astype(np.uint8)
    found = {}
    for name, options in _FORMATS.items():
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, **options)
        found[name] = stream.getvalue()
    found["dicom"] = _dicom(pixels, packed=False)
    found["dicom, rle"] = _dicom(pixels, packed=True)
    return found


def _dicom(pixels: np.ndarray, *, packed: bool) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid(entropy_srcs=["fuzz"])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.Modality, dataset.PatientAge, dataset.PatientSex = "XC", "055Y", "F"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel, dataset.PlanarConfiguration = *pixels.shape[:2], 3, 0
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = "RGB", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelData = pixels.tobytes()
    if packed:
        dataset.compress(RLELossless)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "seed.dcm"
        dataset.save_as(path, enforce_file_format=True)
        return path.read_bytes()


def _flipped(random: Random, content: bytearray, _: bytes) -> None:
    reach = len(content) if random.random() < 0.5 else min(len(content), 400)  # the head decides more than the rest
    for _each in range(2 ** random.randrange(8)):
        content[random.randrange(reach)] ^= 1 << random.randrange(8)


def _cut(random: Random, content: bytearray, _: bytes) -> None:
    del content[random.randrange(len(content)) :]


def _spliced(random: Random, content: bytearray, other: bytes) -> None:
    start = random.randrange(len(content))
    content[start : start + random.randrange(2000)] = other[random.randrange(len(other)) :][: random.randrange(4000)]


def _large_number(random: Random, content: bytearray, _: bytes) -> None:
    """Overwrite what may be a length or a size by a large one."""
    place = random.randrange(min(len(content), 600))
    width = random.choice((2, 4, 8))
    value = random.choice((0, 1, 2 ** (8 * width) - 1, 2 ** (8 * width - 1), 65_500, 20_000))
    content[place : place + width] = (value % 2 ** (8 * width)).to_bytes(width, random.choice(("big", "little")))


def _repeated(random: Random, content: bytearray, _: bytes) -> None:
    start = random.randrange(len(content))
    piece = content[start : start + random.randrange(1, 200)]
    content[start:start] = piece * random.randrange(1, 300)


MUTATIONS: Mapping[str, Callable[[Random, bytearray, bytes], None]] = {
    "bits flipped": _flipped,
    "cut": _cut,
    "spliced": _spliced,
    "large number": _large_number,
    "repeated": _repeated,
}


def mutated_upload(seed: int, number: int, pictures: Mapping[str, bytes]) -> Case:
    """Make the request with a number."""
    random = Random(f"{seed} {number}")
    name, how = random.choice(sorted(pictures)), random.choice(sorted(MUTATIONS))
    content, other = bytearray(pictures[name]), pictures[random.choice(sorted(pictures))]
    MUTATIONS[how](random, content, other)
    several = random.random() < 0.1
    part = "images" if several else "image"
    sent_as = random.choice(_TYPES) if random.random() < 0.2 else "application/octet-stream"
    parts = [_part(part, bytes(content), f'; filename="{number}.jpg"', sent_as)]
    if several:
        parts += [_part(part, other, '; filename="other"', "") for _ in range(random.randrange(1, 4))]
    if random.random() < 0.3:
        parts.insert(0, _part("age", random.choice((b"55", b"", b"-1", b"\xff", b"NaN", b"9" * 400)), "", ""))
    body, boundary, kind = b"".join(parts) + b"--fuzz--\r\n", b"fuzz", f"{name}, {how}"
    if random.random() < 0.1:
        body, boundary, broken = _broken(random, body)
        kind = f"form, {broken}"
    head = (
        b"POST /v1/predict%b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n"
        b"Content-Type: multipart/form-data; boundary=%b\r\n\r\n"
    )
    return Case(kind, head % (b"/batch" if several else b"", len(body), boundary) + body)


def _part(name: str, content: bytes, more: str, kind: str) -> bytes:
    head = f'--fuzz\r\nContent-Disposition: form-data; name="{name}"{more}\r\n'
    return head.encode() + (f"Content-Type: {kind}\r\n" if kind else "").encode() + b"\r\n" + content + b"\r\n"


def _broken(random: Random, body: bytes) -> tuple[bytes, bytes, str]:
    """Break a form: gives its body, the boundary that is said, and how."""
    head, _, rest = body.partition(b"\r\n\r\n")
    how = random.choice(("no end", "another boundary", "no name", "bits flipped", "no blank line", "long header"))
    if how == "no end":
        return body[: random.randrange(len(body))], b"fuzz", how
    if how == "another boundary":
        return body, random.choice((b"other", b"", b"fuz", b"f" * 5000, b'"fuzz')), how
    if how == "no name":
        return head.replace(b"name=", random.choice((b"nam=", b"", b"name"))) + b"\r\n\r\n" + rest, b"fuzz", how
    if how == "no blank line":
        return head + rest, b"fuzz", how
    if how == "long header":
        return head + b"\r\nX: " + b"x" * random.randrange(100_000) + b"\r\n\r\n" + rest, b"fuzz", how
    flipped = bytearray(head)
    _flipped(random, flipped, b"")
    return bytes(flipped) + b"\r\n\r\n" + rest, b"fuzz", how
