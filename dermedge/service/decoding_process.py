"""What a decoding process does: uploads in, pictures as the network takes them out. It may die; the service does not.

Nothing that comes out of it is trusted more than an upload: JSON and plain pixels, no pickle.
"""

from __future__ import annotations

import hashlib
import json
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np

from dermedge.batch.upload_pictures import upload_pictures
from dermedge_runtime.errors import InputRejected
from dermedge_runtime.inputs.clinical import ClinicalSchema, ClinicalValue
from dermedge_runtime.inputs.kept_source import keep
from dermedge_runtime.inputs.prepared_picture import PreparedPicture, prepare
from dermedge_runtime.model.description import ImageSpec

_MOST_FRAMES = 64
"""Of one upload."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One file that was sent."""

    name: str
    """For messages and answers."""
    content: bytes


@dataclass(frozen=True, slots=True)
class Decoded:
    """What became of an upload."""

    pictures: tuple[PreparedPicture, ...] = ()
    """One, or the frames of a file that holds several; without their content, which the service has."""
    clinical: tuple[dict[str, ClinicalValue], ...] = ()
    """What the file itself says of the patient, for each picture."""
    sha256: str = ""
    """Of the upload."""
    refused: str = ""
    """Why it cannot be used; empty where it can."""


def decode_upload(upload: Upload, spec: ImageSpec, fields: ClinicalSchema) -> Decoded:
    """Read an upload.

    :param fields: of the model, for what the file itself says of the patient.
    """
    sha256 = hashlib.sha256(upload.content).hexdigest()
    try:
        with upload_pictures(upload.name, upload.content, fields) as found:
            if len(found) > _MOST_FRAMES:
                raise InputRejected(
                    f"{upload.name} holds {len(found)} pictures; at most {_MOST_FRAMES} are read at once."
                )
            pictures = tuple(prepare(keep(each.picture), spec) for each in found)
            return Decoded(pictures, tuple(dict(each.clinical) for each in found), sha256)
    except InputRejected as error:
        return Decoded(sha256=sha256, refused=str(error))


def send_upload(connection: Connection, upload: Upload) -> None:
    """Send an upload to a decoding process."""
    connection.send_bytes(upload.name.encode("utf-8", "surrogateescape"))
    connection.send_bytes(upload.content)


def receive_decoded(connection: Connection, upload: Upload, spec: ImageSpec) -> Decoded:
    """Take what came of it.

    :raises EOFError: the process died.
    :raises ValueError: it sent something else.
    """
    record = json.loads(connection.recv_bytes())
    pictures = []
    for each in record["pictures"]:
        pixels = np.frombuffer(connection.recv_bytes(), np.uint8).reshape(spec.size, spec.size, 3)
        size = int(each["size"][0]), int(each["size"][1])
        pictures.append(PreparedPicture(upload.name, None, size, pixels, None, tuple(map(str, each["faults"]))))
    clinical = tuple(dict(each) for each in record["clinical"])
    return Decoded(tuple(pictures), clinical, str(record["sha256"]), str(record["refused"]))


def _send_decoded(connection: Connection, decoded: Decoded) -> None:
    record = {
        "pictures": [{"size": each.size, "faults": each.faults} for each in decoded.pictures],
        "clinical": decoded.clinical,
        "sha256": decoded.sha256,
        "refused": decoded.refused,
    }
    connection.send_bytes(json.dumps(record).encode())
    for each in decoded.pictures:
        assert each.pixels is not None
        connection.send_bytes(each.pixels.tobytes())


def work(connection: Connection, spec: ImageSpec, fields: ClinicalSchema) -> None:
    """Read uploads until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the service's, which ends this process when it is done
    while True:
        try:
            name = connection.recv_bytes().decode("utf-8", "surrogateescape")
            upload = Upload(name, connection.recv_bytes())
        except (EOFError, OSError):
            return
        _send_decoded(connection, decode_upload(upload, spec, fields))
