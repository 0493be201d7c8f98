"""Training state in safetensors: tensors as tensors, everything else as JSON in the file's header; no pickle.

One file, replaced atomically, so that a killed run finds the last whole epoch or the one before, never a mixture. The
header holds the SHA-256 of the whole file, with its own digits as zeros; files of earlier versions have none and open.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as serialize
from torch import Tensor, nn

from dermedge_runtime.errors import DermedgeError
from dermedge_runtime.files import atomic_path

from .prior_shift import shifted

_NO_DIGEST = "0" * 64
# In a checkpoint it stands inside JSON inside JSON, between escaped quotes.
_DIGEST = re.compile(rb'\\?"sha256\\?": ?\\?"([0-9a-f]{64})\\?"')
_CHUNK = 4 << 20
_REST = "rest"


def save_weights(path: Path, state: dict[str, Tensor], about: Mapping[str, Any] | None = None) -> None:
    """Write a state dictionary atomically, with its checksum.

    :param about: a JSON-ready record that the file carries; see `record_in`.
    """
    # One entry, as in `save_checkpoint`.
    header = {_REST: json.dumps({"sha256": _NO_DIGEST, **about})} if about else {"sha256": _NO_DIGEST}
    _save(path, serialize(_plain(state), metadata=header))


def record_in(path: Path) -> dict[str, Any]:
    """Give the record that a file carries; empty where it carries none.

    :raises DermedgeError: damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            rest: dict[str, Any] = json.loads((file.metadata() or {}).get(_REST, "{}"))
    except (OSError, SafetensorError, ValueError) as error:
        raise DermedgeError(f"{path} cannot be read: {_reason(error)}. Restore it, or train the run again.") from error
    rest.pop("sha256", None)
    return rest


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file of `save_weights` or `save_checkpoint`, after a comparison with its checksum.

    :raises SafetensorError: damaged.
    :raises OSError: it cannot be read.
    """
    _check_digest(path)
    tensors: dict[str, Tensor] = load_file(path)
    return tensors


def _save(path: Path, content: bytes) -> None:
    """Write the file with its digest in place of the zeros."""
    found = _digest_in(content)
    assert found is not None and content[slice(*found)] == _NO_DIGEST.encode()
    digest, whole = hashlib.sha256(content).hexdigest(), bytearray(content)
    whole[slice(*found)] = digest.encode()
    with atomic_path(path, durable=True) as temporary:
        # Not save_file, which makes files that only their owner can read.
        temporary.write_bytes(whole)


def _check_digest(path: Path) -> None:
    """Compare a file with the checksum in its header, where it has one.

    :raises SafetensorError: it differs.
    """
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        stream.seek(0)
        start = stream.read(8 + size) if size <= path.stat().st_size else b""
        found = _digest_in(start)
        if found is None:
            return  # of an earlier version, or so damaged that safetensors refuses it
        recorded, blanked = start[slice(*found)].decode(), bytearray(start)
        blanked[slice(*found)] = _NO_DIGEST.encode()
        digest = hashlib.sha256(blanked)
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != recorded:
        raise SafetensorError("its checksum differs, so it is damaged")


def _digest_in(content: bytes) -> tuple[int, int] | None:
    """Give the place of the digest in the header, which is the first 8 bytes and as many more as they say."""
    match = _DIGEST.search(content, 8, 8 + int.from_bytes(content[:8], "little"))
    return match.span(1) if match else None


def check_weights(path: Path) -> None:
    """See that a file of `save_weights` is there and whole.

    :raises DermedgeError: missing or damaged.
    """
    try:
        read_tensors(path)
    except (OSError, SafetensorError) as error:
        raise DermedgeError(
            f"The best weights so far, {path}, cannot be loaded: {_reason(error)}. Restore the file, or start again"
            " with --overwrite."
        ) from error


def load_weights(path: Path, model: nn.Module) -> None:
    """Read `save_weights`'s file into a model of the same shape, with the shift of class priors where it holds one.

    :raises DermedgeError: missing, damaged, or weights of another network.
    """
    try:
        model.load_state_dict(shifted(read_tensors(path)))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise DermedgeError(
            f"The weights {path} cannot be loaded: {_reason(error)}. Restore the file, or train the run again."
        ) from error


def save_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: dict[str, Tensor] | None,
    rest: dict[str, Any],
) -> None:
    """Write model, optimiser, averaged weights and a JSON-ready remainder atomically."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for name, tensor in (average or {}).items():
        tensors[f"average.{name}"] = tensor
    for index, state in optimizer.state_dict()["state"].items():
        for name, tensor in state.items():
            tensors[f"optimizer.{index}.{name}"] = tensor
    # One entry holds both: safetensors writes several in any order, and the same run is to give the same file.
    _save(path, serialize(_plain(tensors), metadata={_REST: json.dumps({"sha256": _NO_DIGEST, **rest})}))


def load_checkpoint(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, average: dict[str, Tensor] | None
) -> dict[str, Any]:
    """Restore what `save_checkpoint` wrote, in place, and give the remainder.

    :raises DermedgeError: missing or damaged.
    """
    try:
        tensors = read_tensors(path)
        with safe_open(path, framework="pt") as file:
            rest: dict[str, Any] = json.loads(file.metadata()[_REST])
        rest.pop("sha256", None)
        model.load_state_dict(_below(tensors, "model."))
        for name, tensor in _below(tensors, "average.").items():
            assert average is not None
            average[name].copy_(tensor)
        _restore_optimizer(optimizer, _below(tensors, "optimizer."))
    except (OSError, SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise DermedgeError(
            f"The checkpoint {path} cannot be loaded: {_reason(error)}. Start again with --overwrite."
        ) from error
    return rest


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, RuntimeError):  # of load_state_dict: a page of names and shapes
        return "they do not fit the network that the settings of the run describe"
    return str(error).partition("\n")[0].rstrip(".")


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, field = name.split(".")
        like = parameters[int(index)]
        # Same strides as the parameter, or the resumed steps would run on other kernels than the uninterrupted ones.
        value = torch.empty_like(like).copy_(tensor) if tensor.shape == like.shape and field != "step" else tensor
        state.setdefault(int(index), {})[field] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
