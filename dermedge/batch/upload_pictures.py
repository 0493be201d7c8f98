"""The pictures of a file whose bytes are at hand and whose name is only a name, as those of an upload are."""

from __future__ import annotations

from dataclasses import dataclass

from dermedge_runtime.inputs.clinical import ClinicalSchema

from .found_picture import FoundPicture


@dataclass(frozen=True, slots=True)
class _Bytes:
    name: str
    content: bytes

    def fetch(self) -> bytes:
        return self.content


def upload_pictures(name: str, content: bytes, fields: ClinicalSchema) -> list[FoundPicture]:
    """Give the pictures in some bytes.

    :param name: for messages.
    :param fields: of the model, for what the file itself says of the patient.
    :raises InputRejected: it is of a kind that holds pictures, and holds none that can be had.
    """
    return [FoundPicture(name, _Bytes(name, content))]
