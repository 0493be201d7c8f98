"""Typed results of a prediction and their JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says about one photograph and patient."""

    label: str
    """Code of the most probable class."""
    probabilities: Mapping[str, float]
    """By class code, in the order of the model file; sums to 1."""
    source: str
    """Name of the picture."""
    model: str
    """Name of the model file."""
    device: str
    """Device that really ran: cpu, openvino, cuda or rtx."""
    provider: str
    """ONNX Runtime's name of it."""

    def to_record(self) -> dict[str, Any]:
        """Give a JSON-ready dictionary."""
        return {
            "source": self.source,
            "label": self.label,
            "probabilities": dict(self.probabilities),
            "model": self.model,
            "device": self.device,
            "provider": self.provider,
        }


@dataclass(frozen=True, slots=True)
class Rejection:
    """A picture of a batch that could not be read, and why."""

    source: str
    reason: str

    def to_record(self) -> dict[str, Any]:
        """Give a JSON-ready dictionary."""
        return {"source": self.source, "error": self.reason}
