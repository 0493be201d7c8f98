"""The pictures of a file whose bytes are at hand and whose name is only a name, as those of an upload are.

DICOM and HEIC are read by path: their bytes get one that leads to memory, so that nothing is ever stored.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dermedge_runtime.errors import InputRejected
from dermedge_runtime.inputs.clinical import ClinicalSchema

from .dicom.found import dicom_pictures
from .dicom.recognised import MARK, PREAMBLE
from .found_picture import FoundPicture
from .heic_file import HeicFile

_HEIC = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")


@dataclass(frozen=True, slots=True)
class _Bytes:
    name: str
    content: bytes

    def fetch(self) -> bytes:
        return self.content


@contextmanager
def upload_pictures(name: str, content: bytes, fields: ClinicalSchema) -> Iterator[list[FoundPicture]]:
    """Give the pictures in some bytes, to be fetched while the body runs.

    :param name: for messages.
    :param fields: of the model, for what the file itself says of the patient.
    :raises InputRejected: it is of a kind that holds pictures, and holds none that can be had.
    """
    is_dicom = content[PREAMBLE : PREAMBLE + len(MARK)] == MARK
    if not is_dicom and not (content[4:8] == b"ftyp" and content[8:12] in _HEIC):
        yield [FoundPicture(name, _Bytes(name, content))]
        return
    with _in_memory(content, name) as path:
        try:
            yield dicom_pictures(path, fields) if is_dicom else [FoundPicture(name, HeicFile(path))]
        except InputRejected as error:
            raise InputRejected(str(error).replace(path, name)) from error


@contextmanager
def _in_memory(content: bytes, name: str) -> Iterator[str]:
    if not hasattr(os, "memfd_create"):
        raise InputRejected(f"{name} is DICOM or HEIC, which the service reads on Linux alone.")
    descriptor = os.memfd_create("upload")
    try:
        with os.fdopen(os.dup(descriptor), "wb") as stream:
            stream.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
