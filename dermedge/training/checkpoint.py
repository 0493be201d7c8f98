"""Training state in safetensors: tensors as tensors, everything else as JSON in the file's header; no pickle.

One file, replaced atomically, so that a killed run finds the last whole epoch or the one before, never a mixture.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as serialize
from torch import Tensor, nn

from dermedge_runtime.errors import DermedgeError
from dermedge_runtime.files import atomic_path


def save_weights(path: Path, state: dict[str, Tensor]) -> None:
    """Write a state dictionary atomically."""
    with atomic_path(path) as temporary:
        # Not save_file, which makes files that only their owner can read.
        temporary.write_bytes(serialize(_plain(state)))


def load_weights(path: Path, model: nn.Module) -> None:
    """Read `save_weights`'s file into a model of the same shape.

    :raises DermedgeError: missing, damaged, or weights of another network.
    """
    try:
        model.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DermedgeError(f"The weights {path} cannot be loaded: {reason}") from error


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
    with atomic_path(path) as temporary:
        temporary.write_bytes(serialize(_plain(tensors), metadata={"rest": json.dumps(rest)}))


def load_checkpoint(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, average: dict[str, Tensor] | None
) -> dict[str, Any]:
    """Restore what `save_checkpoint` wrote, in place, and give the remainder.

    :raises DermedgeError: missing or damaged.
    """
    try:
        tensors = load_file(path)
        with safe_open(path, framework="pt") as file:
            rest: dict[str, Any] = json.loads(file.metadata()["rest"])
        model.load_state_dict(_below(tensors, "model."))
        for name, tensor in _below(tensors, "average.").items():
            assert average is not None
            average[name].copy_(tensor)
        _restore_optimizer(optimizer, _below(tensors, "optimizer."))
    except (OSError, SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise DermedgeError(
            f"The checkpoint {path} cannot be loaded: {reason}. Start again with --overwrite."
        ) from error
    return rest


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
