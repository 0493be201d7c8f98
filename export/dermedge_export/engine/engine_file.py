"""Write an engine and the JSON beside it, which `dermedge_runtime.model.engine_description` reads."""

from __future__ import annotations

import json
from pathlib import Path

from dermedge_runtime.files import atomic_path
from dermedge_runtime.model.digest import seal_text
from dermedge_runtime.model.engine_description import EngineRecord, record_path

LIBRARIES = ("tensorrt_rtx", "tensorrt")
"""Modules that build engines, the preferred one first."""


def write_engine_file(path: Path, content: bytes, record: EngineRecord) -> None:
    """Write an engine and its JSON; a failure leaves what was there before."""
    with atomic_path(path, durable=True) as engine, atomic_path(record_path(path)) as beside:
        engine.write_bytes(content)
        text = json.dumps(record.to_record(), indent=2, allow_nan=False) + "\n"
        sealed = seal_text(text.encode(), record_path(path).name).decode()
        beside.write_text(sealed, encoding="utf-8", newline="\n")
