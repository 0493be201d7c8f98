"""Open a model file: read it once, refuse an unsafe or foreign one, give its bytes with their description."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .errors import ModelFileError
from .onnx_scan import scan
from .spec import METADATA_KEY, ModelSpec


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A checked model file in memory; the checked bytes are the ones that are run."""

    path: Path
    content: bytes
    spec: ModelSpec


def read_model_file(path: str | os.PathLike[str]) -> ModelFile:
    """Read and check a model file.

    :raises ModelFileError: missing, no ONNX, truncated, unsafe (see `onnx_scan`), or without dermedge's description.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = getattr(error, "strerror", None) or error
        raise ModelFileError(f"The model file {path} cannot be read: {reason}.") from error
    if path.suffix == ".engine":
        raise ModelFileError(f"{path.name} is a TensorRT engine; give the ONNX file that it was built from.")
    findings = scan(content, path.name)
    text = findings.metadata.get(METADATA_KEY)
    if text is None:
        raise ModelFileError(
            f"{path.name} is an ONNX file without dermedge's description, so its classes and inputs are unknown."
            " Use a file made by `dermedge export`."
        )
    return ModelFile(path, content, ModelSpec.from_json(text, path.name))
