"""A model file and its description as JSON beside it, for clients whose ONNX Runtime cannot read it out of the file.

ONNX Runtime's JavaScript packages have no way to `metadata_props`. The ONNX file stays the truth, and nothing of
dermedge reads the JSON. Both appear or neither does: the JSON takes its name last but one, the ONNX file last, and
where that fails what was called so before is put back. Not covered: a process that is killed between the two. It leaves
a JSON whose `onnx_sha256` is not that of the ONNX file, which a client can compare.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dermedge_runtime.files import atomic_path, write_json
from dermedge_runtime.model.model_file import read_model_file

_log = logging.getLogger(__name__)


def json_path(model: Path) -> Path:
    """Give the path of the JSON of a model file: its name with .json for .onnx."""
    return model.with_name(f"{model.name.removesuffix('.onnx')}.json")


@contextmanager
def model_and_json(target: Path) -> Iterator[Path]:
    """Give a temporary file as `atomic_path`; what is written there gets its name together with its JSON.

    :param target: the model file; what is written must be one.
    :raises OSError: one of the two cannot be written; both are as they were before.
    """
    beside, replaced = json_path(target), False
    earlier = beside.read_bytes() if beside.is_file() else None
    try:
        with atomic_path(target, durable=True) as temporary:
            yield temporary
            write_json(beside, _record(temporary, target.name), durable=True)
            replaced = True
    except BaseException:
        if replaced:
            _put_back(beside, earlier)
        raise
    _log.info("%s holds the description of %s, for clients that cannot read it there", beside, target.name)


def _record(path: Path, name: str) -> dict[str, Any]:
    file = read_model_file(path)
    described: dict[str, Any] = {"onnx_file": name, "onnx_sha256": hashlib.sha256(file.content).hexdigest()}
    return {**described, **json.loads(file.spec.to_json())}


def _put_back(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
        return
    with atomic_path(path, durable=True) as temporary:
        temporary.write_bytes(content)
