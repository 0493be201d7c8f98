"""Read a file of weights as data: tensors by name, nothing of it executed; and put them on a branch's own names.

Files of safetensors and of `torch.save` are read. Not covered: where a file comes from (`pretrained`).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from dermedge_runtime.errors import DermedgeError

OF_THE_LIBRARY = "network."
"""What a branch puts before the names of the library's own network."""
_COUNTER = "num_batches_tracked"
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class ReadWeights:
    """Tensors of one file."""

    tensors: dict[str, Tensor] = field(repr=False)
    sha256: str
    """Of the file."""


def read_weights(file: Path) -> ReadWeights:
    """Read the tensors of a file.

    :raises DermedgeError: no such file, damaged, or with more in it than tensors by name.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DermedgeError(f"The weights {file} cannot be read: {error.strerror or error}.") from error
    try:
        found: Any = load(content) if content[8:9] == b"{" else _torch_load(content)
    except SafetensorError as error:
        raise DermedgeError(f"The weights {file} are damaged: {error}.") from error
    except UnpicklingError as error:
        raise DermedgeError(
            f"{file} is no file of tensors alone, and nothing else of a file is ever executed."
            " Save the network's state_dict() with safetensors or torch.save."
        ) from error
    except (RuntimeError, ValueError, EOFError, KeyError, TypeError, AttributeError) as error:  # torch has no one error
        raise DermedgeError(f"The weights {file} are damaged, or no file of safetensors or torch.") from error
    if not isinstance(found, Mapping) or not all(isinstance(each, Tensor) for each in found.values()):
        inside = f" It holds {_some([str(key) for key in found])}." if isinstance(found, Mapping) else ""
        raise DermedgeError(f"{file} is no state_dict: its entries are not all tensors by name.{inside}")
    return ReadWeights({str(name): tensor for name, tensor in found.items()}, hashlib.sha256(content).hexdigest())


def fitted(
    found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], left_out: frozenset[str], what: str
) -> dict[str, Tensor]:
    """Put tensors on the names of a branch.

    :param found: of a file, by the names of the branch or of the library's own network.
    :param wanted: the branch's own `state_dict`.
    :param left_out: names of the library's network that the branch has not; only those may be left over.
    :param what: the file and whose weights it should hold, for messages.
    :raises DermedgeError: a tensor is missing, has another shape, or is of another network.
    """
    names = {name: name if name in found else name.removeprefix(OF_THE_LIBRARY) for name in wanted}
    missing = [name for name, theirs in names.items() if theirs not in found and not name.endswith(_COUNTER)]
    if missing:
        raise DermedgeError(f"{what}: it lacks {_some(missing)}.")
    other = [
        f"{name} is {list(found[theirs].shape)} and must be {list(wanted[name].shape)}"
        for name, theirs in names.items()
        if theirs in found and found[theirs].shape != wanted[name].shape
    ]
    if other:
        raise DermedgeError(f"{what}: {_some(other)}.")
    left = [name for name in found if name not in {*names.values(), *left_out}]
    if left:
        raise DermedgeError(f"{what}: it has also {_some(left)}, so it is of another network.")
    # Files from before torch counted batches have no counters.
    return {
        name: found[theirs] if theirs in found else torch.zeros_like(wanted[name], device="cpu")
        for name, theirs in names.items()
    }


def _torch_load(content: bytes) -> Any:
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _some(names: list[str]) -> str:
    rest = len(names) - _SHOWN
    return f"{', '.join(names[:_SHOWN])}{f' and {rest} more' if rest > 0 else ''}"
