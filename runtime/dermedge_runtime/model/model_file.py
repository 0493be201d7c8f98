"""Open a model file: read it once, refuse a damaged, unsafe or foreign one, give its bytes with their description."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from dermedge_runtime.errors import ModelFileError
from dermedge_runtime.files.regular_file import read_model_bytes

from .description import METADATA_KEY, ModelSpec
from .digest import check_digest, description_span
from .scanner.scan import check_memory, scan

_told: set[str] = set()
"""Files of which the log says already that they have no digest."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A checked model file in memory; the checked bytes are the ones that are run."""

    path: Path
    content: bytes
    spec: ModelSpec
    digest_checked: bool = False
    """Whether the content is known to be what was exported; False for a file of an earlier dermedge, without digest."""
    sha256: str = ""
    """SHA-256 of the file's bytes, in hexadecimal."""


def read_model_file(path: str | os.PathLike[str]) -> ModelFile:
    """Read and check a model file.

    :raises ModelFileError: missing, no regular file, no ONNX, damaged, unsafe (see `scanner.scan`), or without a
        description of dermedge.
    """
    if not os.fspath(path) or os.fspath(path) == "-":
        raise ModelFileError(f"'{os.fspath(path)}' names no model file; a model is read from a file only.")
    path = Path(path)
    content = read_model_bytes(path)
    digest = _DigestCheck(content, path.name)
    try:
        spec = _spec(content, path.name)
    finally:
        # Its error comes first: a flipped bit is damage, whatever else it makes the file look like.
        checked = digest.result()
    if checked is None:
        _tell(path)
    return ModelFile(path, content, spec, checked is not None, checked or hashlib.sha256(content).hexdigest())


def _spec(content: bytes, source: str) -> ModelSpec:
    found = scan(content, source)
    text = found.metadata.get(METADATA_KEY)
    if text is None:
        raise ModelFileError(
            f"{source} is an ONNX file without dermedge's description, so its classes and inputs are unknown."
            " Use a file made by `dermedge export`."
        )
    spec = ModelSpec.from_json(text, source)
    check_memory(found, source, _fed_rows(spec))
    return spec


def _fed_rows(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    """By input of no size in the graph: the shape of the rows that this runtime feeds it with."""
    return {"image": (spec.image.size, spec.image.size, 3)} if spec.image is not None and spec.image.any_size else {}


class _DigestCheck(Thread):
    """The check of a file's digest, in a thread: hashing leaves the interpreter to the scan, which takes as long."""

    def __init__(self, content: bytes, source: str) -> None:
        super().__init__(name="digest", daemon=True)
        self._content, self._source = content, source
        self._checked: str | None = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        """Hash and compare."""
        try:
            description = description_span(self._content, self._source)
            if description is not None:
                self._checked = check_digest(self._content, description, self._source)
        except BaseException as error:  # for the thread that waits
            self._error = error

    def result(self) -> str | None:
        """Wait for the file's SHA-256; None where it carries no digest.

        :raises ModelFileError: as `check_digest`.
        """
        self.join()
        if self._error is not None:
            raise self._error
        return self._checked


def _tell(path: Path) -> None:
    """Say in the log, once a file, that nothing tells whether its content is what was exported."""
    import logging

    if (name := os.path.abspath(path)) not in _told:
        _told.add(name)
        logging.getLogger(__name__).info(
            "%s carries no digest (an earlier dermedge made it), so damage to it would go unnoticed", path.name
        )
