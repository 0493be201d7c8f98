"""A model file as a model repository of NVIDIA's Triton Inference Server: the file, its configuration, its description.

Triton runs it by its ONNX Runtime backend, and batches by itself what comes at the same time. Pictures are sent as the
description says: RGB, resized to the model's size by the client.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import onnx

from dermedge_runtime.errors import UsageError
from dermedge_runtime.files import atomic_path, write_text
from dermedge_runtime.model.model_file import read_model_file

_MOST, _WAIT_US = 32, 2000
"""Pictures of one run, and microseconds that one of them waits for others."""
_TYPES = {
    "UINT8": "TYPE_UINT8",
    "INT32": "TYPE_INT32",
    "FLOAT": "TYPE_FP32",
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def write_triton(model: Path, repository: Path) -> Path:
    """Write one model into a repository, beside others that are there.

    :param model: model file; its name is the model's in Triton.
    :return: the model's folder in the repository.
    :raises ModelFileError: it is none of ours.
    :raises UsageError: its name is none that Triton takes, or there is a file in the way.
    :raises OSError: it cannot be written.
    """
    file = read_model_file(model)
    if not _NAME.fullmatch(model.stem):
        raise UsageError(
            f"Triton takes letters, digits, - and _ for a model's name, not {model.stem}; rename the file."
        )
    folder = repository / model.stem
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is in the way of the model's folder; name another with --triton.")
    (folder / "1").mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / "1" / "model.onnx") as temporary:
        shutil.copyfile(model, temporary)
    write_text(folder / "classes.txt", "".join(f"{code}\n" for code in file.spec.classes))
    write_text(folder / "description.json", json.dumps(json.loads(file.spec.to_json()), indent=2) + "\n")
    write_text(folder / "config.pbtxt", _configuration(model))
    return folder


def _configuration(model: Path) -> str:
    graph = onnx.load(model, load_external_data=False).graph
    parts = [
        f"name: {json.dumps(model.stem)}",
        'backend: "onnxruntime"',
        f"max_batch_size: {_MOST}",
        _tensors("input", graph.input),
        _tensors("output", graph.output),
        f"dynamic_batching {{ max_queue_delay_microseconds: {_WAIT_US} }}",
        "version_policy { latest { num_versions: 1 } }",
    ]
    return "\n".join(parts) + "\n"


def _tensors(kind: str, values: Sequence[onnx.ValueInfoProto]) -> str:
    return f"{kind} [\n" + ",\n".join(_tensor(value) for value in values) + "\n]"


def _tensor(value: onnx.ValueInfoProto) -> str:
    kind = value.type.tensor_type
    dims = [dim.dim_value or -1 for dim in kind.shape.dim[1:]]  # Triton adds the batch itself
    lines = [
        f'name: "{value.name}"',
        f"data_type: {_TYPES[onnx.TensorProto.DataType.Name(kind.elem_type)]}",
        f"dims: {dims or [1]}",
    ]
    if not dims:
        lines.append("reshape: { shape: [] }")  # one number a picture
    if value.name == "probabilities":
        lines.append('label_filename: "classes.txt"')
    return "  { " + "  ".join(lines) + " }"
