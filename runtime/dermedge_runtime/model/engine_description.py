"""What is known about a TensorRT engine: the JSON beside it, `model.engine.json` beside `model.engine`.

An engine is an opaque blob, so what it is, what it was made from and where it runs stands in the JSON. Reading needs
neither TensorRT nor a GPU. Not covered: building and writing, which is `dermedge_export`'s.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PureWindowsPath
from typing import Any

from dermedge_runtime.errors import ModelFileError
from dermedge_runtime.files.regular_file import read_regular

from .description import DIGEST_KEY, ModelSpec
from .digest import check_text
from .strict_json import read_json

SUFFIX = ".engine"
_FORMAT = 1
_LARGEST_DESCRIPTION = 2**24
_LARGEST_ENGINE = 2**36


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output of an engine."""

    name: str
    side: str
    """input or output."""
    dtype: str
    """As numpy calls it, such as uint8 or float32."""
    shape: tuple[int | str, ...]
    """`batch` stands for 1 to the largest batch."""

    def to_record(self) -> dict[str, Any]:
        """Give a JSON-ready dictionary."""
        return {"name": self.name, "side": self.side, "dtype": self.dtype, "shape": list(self.shape)}


@dataclass(frozen=True, slots=True)
class EngineRecord:
    """What is known about an engine."""

    engine_sha256: str
    onnx_file: str
    """Name of the model file that it was compiled from, in the same folder."""
    onnx_sha256: str
    library: str
    """Module that built it: tensorrt_rtx or tensorrt."""
    version: str
    """Of the library; another version refuses the engine."""
    compute_capabilities: tuple[str, ...]
    """Architectures that it runs on, such as 8.9."""
    max_batch: int
    """It takes batches from 1 to this; it is tuned for 1."""
    tensors: tuple[Tensor, ...]
    layers: Mapping[str, int]
    """Number of layers by type, as TensorRT read the graph: before it fuses them."""
    spec: ModelSpec

    def to_record(self) -> dict[str, Any]:
        """Give a JSON-ready dictionary."""
        return {
            "format": _FORMAT,
            "sha256": self.engine_sha256,
            "onnx": {"file": self.onnx_file, "sha256": self.onnx_sha256},
            "tensorrt": {"library": self.library, "version": self.version},
            "compute_capabilities": list(self.compute_capabilities),
            "batch": {"min": 1, "optimal": 1, "max": self.max_batch},
            "tensors": [tensor.to_record() for tensor in self.tensors],
            "layers": {"total": sum(self.layers.values()), "by_type": dict(self.layers)},
            "spec": json.loads(self.spec.to_json()),
        }

    @classmethod
    def from_json(cls, text: str, source: str) -> EngineRecord:
        """Read `to_record`'s JSON.

        :param source: name of the file, for messages.
        :raises ModelFileError: no JSON, another format, or a field that is missing or makes no sense.
        """
        try:
            record = read_json(text)
            _require_known(record)
            if record["format"] != _FORMAT:
                raise ModelFileError(
                    f"{source} has format {record['format']}, this dermedge reads {_FORMAT}. Build the engine again."
                )
            onnx_file = str(record["onnx"]["file"])
            if onnx_file in ("", "..") or onnx_file != PureWindowsPath(onnx_file).name:
                raise ValueError(f"'{onnx_file}' is no file name")
            return cls(
                engine_sha256=str(record["sha256"]),
                onnx_file=onnx_file,
                onnx_sha256=str(record["onnx"]["sha256"]),
                library=str(record["tensorrt"]["library"]),
                version=str(record["tensorrt"]["version"]),
                compute_capabilities=tuple(str(capability) for capability in record["compute_capabilities"]),
                max_batch=int(record["batch"]["max"]),
                tensors=tuple(
                    Tensor(str(t["name"]), str(t["side"]), str(t["dtype"]), tuple(t["shape"]))
                    for t in record["tensors"]
                ),
                layers={str(kind): int(count) for kind, count in record["layers"]["by_type"].items()},
                spec=ModelSpec.from_json(json.dumps(record["spec"]), source),
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
            detail = f"missing {error}" if isinstance(error, KeyError) else str(error)
            raise ModelFileError(f"{source} is damaged ({detail}). Build the engine again.") from error


def _require_known(record: Mapping[str, Any]) -> None:
    """Refuse an unknown entry where the digest is missing: it may be the digest's own name, with one bit flipped."""
    known = {"format", "sha256", "onnx", "tensorrt", "compute_capabilities", "batch", "tensors", "layers", "spec"}
    unknown = sorted(set(record) - known - {DIGEST_KEY})
    if unknown and DIGEST_KEY not in record:
        raise ValueError(f"the entry '{unknown[0]}' is unknown")


def sha256(content: bytes) -> str:
    """Hash as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def record_path(engine: Path) -> Path:
    """Give the path of the JSON beside an engine."""
    return engine.with_name(f"{engine.name}.json")


def inspect_engine(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Read an engine's description and compare it with what lies beside it and with the installed TensorRT.

    :return: a JSON-ready record, and one sentence for everything that does not fit.
    :raises ModelFileError: the engine or its JSON is missing or damaged, or they do not belong together.
    """
    content = read_regular(path, "engine", _LARGEST_ENGINE)
    record = EngineRecord.from_json(_decode(record_path(path)), record_path(path).name)
    if (found := sha256(content)) != record.engine_sha256:
        raise ModelFileError(
            f"{path.name} is damaged, or not the one that {record_path(path).name} describes: its sha256 is {found},"
            f" not {record.engine_sha256}. Build the engine again."
        )
    beside, installed = _state_of_onnx(path, record), _installed(record.library)
    own = record.to_record()
    own["onnx"]["beside"] = beside
    own["tensorrt"]["installed"] = installed
    findings = []
    if beside != "same":
        says = "is no longer beside the engine" if beside == "absent" else "has changed since the engine was built"
        findings.append(f"{record.onnx_file} {says}. Build the engine again with dermedge export --engine.")
    if installed not in (None, record.version):
        findings.append(
            f"{path.name} was built with {record.library} {record.version}, installed is {installed}, which does not"
            " load it. Build the engine again with dermedge export --engine."
        )
    return {"file": str(path), "bytes": len(content), **own}, findings


def _state_of_onnx(path: Path, record: EngineRecord) -> str:
    onnx = path.with_name(record.onnx_file)
    if not onnx.is_file():
        return "absent"
    return "same" if sha256(read_regular(onnx, "model file")) == record.onnx_sha256 else "changed"


def _installed(library: str) -> str | None:
    """Version of an installed library, without importing it; None where it is absent."""
    names = metadata.packages_distributions().get(library, [])
    return metadata.version(names[0]) if names else None


def _decode(path: Path) -> str:
    """Give the text of a description, checked against the digest that it carries; an earlier one carries none."""
    content = read_regular(path, "description of the engine", _LARGEST_DESCRIPTION)
    check_text(content, path.name, "Build the engine again.")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ModelFileError(f"{path.name} is damaged (no text). Build the engine again.") from error
