"""Typed results of a prediction and their JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .errors import DermedgeError, UsageError
from .explanation import Explanation, enlarge, overlay
from .image import ImageSource, upright_rgb

OVERLAY_SIDE = 1600
"""Longer side of an overlay in pixels, unless another one is asked for."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says about one photograph and patient, and why."""

    label: str
    """Code of the most probable class."""
    probabilities: Mapping[str, float]
    """By class code, in the order of the model file; sums to 1."""
    source: str
    """Name of the picture."""
    model: str
    """Name of the model file."""
    device: str
    """Device that really ran: cpu, openvino, cuda, tensorrt or rtx."""
    provider: str
    """ONNX Runtime's name of it."""
    provider_version: str
    """ONNX Runtime's wheel and version, and the plugin's where one ran."""
    hardware: str
    """Name of the card or CPU."""
    explanation: Explanation | None = field(default=None, repr=False, compare=False)
    """None for a file that was exported without explanations."""
    picture: ImageSource | None = field(default=None, repr=False, compare=False)
    """The picture as it was given; None for a model that reads none."""
    size: tuple[int, int] | None = field(default=None, repr=False, compare=False)
    """Width and height of the upright picture, in pixels."""

    @property
    def heatmap(self) -> NDArray[np.float32] | None:
        """Grad-CAM at the upright picture's own size, float32 [height, width] in [0, 1]; None where there is none."""
        if self.explanation is None or self.explanation.grid is None or self.size is None:
            return None
        return enlarge(self.explanation.grid, *self.size)

    @property
    def has_heatmap(self) -> bool:
        """Whether there is a heat map; `heatmap` itself takes 4 bytes of memory per pixel of the picture."""
        return self.explanation is not None and self.explanation.grid is not None and self.picture is not None

    @property
    def relevance(self) -> Mapping[str, float] | None:
        """Relevance by encoded clinical feature, in [0, 1]; None where there is none."""
        return None if self.explanation is None else self.explanation.relevance

    @property
    def relevance_by_field(self) -> Mapping[str, float] | None:
        """`relevance` summed over the features of each field; None where there is none."""
        return None if self.explanation is None else self.explanation.relevance_by_field

    def overlay(self, largest: int | None = OVERLAY_SIDE) -> Image.Image:
        """Lay the heat map over the upright picture, RGB, with a colour bar beside it.

        :param largest: the longer side of the picture in pixels; a larger picture is reduced to it. None: its own size,
            which takes 8 bytes of memory per pixel and more.
        :raises DermedgeError: there is no heat map.
        :raises InputRejected: the picture cannot be read again.
        """
        if self.explanation is None or self.explanation.grid is None or self.picture is None:
            raise DermedgeError(f"{self.model} gave no heat map for {self.source}.")
        if largest is not None and largest < 1:
            raise UsageError(f"The longer side of an overlay must be at least 1 pixel, got {largest}.")
        return overlay(upright_rgb(self.picture, largest), self.explanation.grid)

    def to_record(self, *, explain: bool = False) -> dict[str, Any]:
        """Give a JSON-ready dictionary; with `explain` also the heat map, as a grid, and the relevance."""
        record: dict[str, Any] = {
            "source": self.source,
            "label": self.label,
            "probabilities": dict(self.probabilities),
            "model": self.model,
            "device": self.device,
            "provider": self.provider,
            "provider_version": self.provider_version,
            "hardware": self.hardware,
        }
        if explain and self.explanation is not None:
            record["explanation"] = self.explanation.to_record()
        return record


@dataclass(frozen=True, slots=True)
class Rejection:
    """A picture of a batch that could not be read, and why."""

    source: str
    reason: str

    def to_record(self, *, explain: bool = False) -> dict[str, Any]:
        """Give a JSON-ready dictionary."""
        return {"source": self.source, "error": self.reason}
