"""What a model file says about itself, as a record and as text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from dermedge_runtime.model.model_file import ModelFile


def inspection_record(file: ModelFile) -> dict[str, Any]:
    """Give the file's description with its size and hash."""
    return {
        "file": str(file.path),
        "bytes": len(file.content),
        "sha256": hashlib.sha256(file.content).hexdigest(),
        "file_digest": "checked" if file.digest_checked else "none (exported by an older dermedge)",
        **json.loads(file.spec.to_json()),
    }


def inspection_text(record: Mapping[str, Any]) -> str:
    """Give the record as indented lines, one value each."""
    return "\n".join(_lines(record, 0))


def _lines(value: Any, depth: int) -> list[str]:
    lines = []
    for key, entry in value.items():
        pad = "  " * depth
        if isinstance(entry, Mapping):
            lines += [f"{pad}{key}:", *_lines(entry, depth + 1)]
        elif isinstance(entry, list) and entry and all(isinstance(item, Mapping) for item in entry):
            lines.append(f"{pad}{key}:")
            for item in entry:
                lines.append(f"{pad}  - " + ", ".join(f"{k} {_text(v)}" for k, v in item.items()))
        else:
            lines.append(f"{pad}{'file digest' if key == 'file_digest' else key}: {_text(entry)}")
    return lines


def _text(entry: Any) -> str:
    if isinstance(entry, list):
        return ", ".join(_text(item) for item in entry)
    return f"{entry:.6g}" if isinstance(entry, float) else str(entry)
