"""Typed results of a prediction and their JSON form."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .decision import Verdict
from .errors import DermedgeError, UsageError
from .explanation import Explanation, enlarge, overlay
from .inputs.clinical import ClinicalValue
from .inputs.image import ImageSource, upright_rgb
from .inputs.kept_source import Fingerprint, require_unchanged


def now() -> str:
    """Give the time in UTC, as ISO 8601 with milliseconds: 2026-01-31T12:00:00.000Z."""
    seconds = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03}Z"


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
    """The picture, safe from later changes: an absolute path, the encoded bytes, or a copy of what was given; None for
    a model that reads none."""
    size: tuple[int, int] | None = field(default=None, repr=False, compare=False)
    """Width and height of the upright picture, in pixels."""
    given: Mapping[str, float | str] = field(default_factory=dict, kw_only=True)
    """The clinical values that were given, by field, as they were understood: {"age": 55.0, "site": "back"}."""
    unknown: tuple[str, ...] = field(default=(), kw_only=True)
    """The clinical fields that were not."""
    imputed: Mapping[str, ClinicalValue] = field(default_factory=dict, kw_only=True)
    """Unknown fields, and the value that the model counted each as; None: the model file does not name it. Empty for a
    model to which unknown is a category of its own."""
    prediction_set: tuple[str, ...] | None = field(default=None, kw_only=True)
    """Codes of the diagnoses that cannot be ruled out, the likeliest first; None for a file that was not calibrated."""
    decision: Verdict | None = field(default=None, kw_only=True)
    """refer, unsure or routine; None for a file that was not calibrated, or names no urgent classes."""
    reasons: tuple[str, ...] = field(default=(), kw_only=True)
    """Of the decision, sentences without full stops; what would make the picture unsure stands here beside refer."""
    ood_score: float | None = field(default=None, kw_only=True)
    """How unlike the pictures of the training this one is: above 1 are 5 % of validation photographs; None for a file
    without this score."""
    lesion_ood_score: float | None = field(default=None, kw_only=True)
    """The same for what the network makes of the lesion at its end: odd lesions among familiar pictures."""
    class_names: Mapping[str, str] = field(default_factory=dict, repr=False, kw_only=True)
    """By class code, in the same order."""
    model_sha256: str = field(default="", repr=False, kw_only=True)
    """SHA-256 of the model file's bytes, in hexadecimal."""
    versions: Mapping[str, str] = field(default_factory=dict, repr=False, kw_only=True)
    """Of dermedge and onnxruntime."""
    notice: str = field(default="", repr=False, kw_only=True)
    """What the model may be used for."""
    time: str = field(default_factory=now, repr=False, compare=False, kw_only=True)
    """When the answer was made: UTC, ISO 8601."""
    seen: Fingerprint | None = field(default=None, repr=False, compare=False, kw_only=True)
    """What the model saw, where `picture` is a path, whose file can change."""
    picture_faults: tuple[str, ...] = field(default=(), kw_only=True)
    """What is wrong with the picture, sentences without full stops: tiny, nearly uniform, far too dark or bright,
    strongly blurred."""

    no_heatmap: str = field(default="", repr=False, kw_only=True)
    """Why the model has no heat map of the picture that it read, one sentence; see `ModelSpec.no_heatmap`."""

    @property
    def label_name(self) -> str:
        """Name of the most probable class; its code where it has no name."""
        return self.class_names.get(self.label, self.label)

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

    @property
    def explanation_text(self) -> str | None:
        """The explanation in two or three English sentences, made when it is asked for; None where there is none."""
        from .explanation_words import sentences  # here: who asks for no words need not wait for them

        return " ".join(sentences(self)) or None

    def overlay(self, largest: int | None = OVERLAY_SIDE) -> Image.Image:
        """Lay the heat map over the upright picture, RGB, with a colour bar beside it.

        :param largest: the longer side of the picture in pixels; a larger picture is reduced to it. None: its own size,
            which takes 8 bytes of memory per pixel and more.
        :raises DermedgeError: there is no heat map.
        :raises InputRejected: the picture's file is gone, or no longer the one that was classified.
        :raises UsageError: a side below 1.
        """
        if self.explanation is None or self.explanation.grid is None or self.picture is None:
            raise DermedgeError(f"{self.model} gave no heat map for {self.source}. {self.no_heatmap}".rstrip())
        return overlay(self.upright(largest), self.explanation.grid)

    def upright(self, largest: int | None = None) -> Image.Image:
        """Give the picture that was classified, upright, RGB.

        :param largest: the longer side in pixels, to which a larger picture is reduced; None: its own size.
        :raises DermedgeError: the model reads no picture.
        :raises InputRejected: its file is gone, or no longer the one that was classified.
        :raises UsageError: a side below 1.
        """
        if self.picture is None:
            raise DermedgeError(f"{self.model} reads no picture.")
        if largest is not None and largest < 1:
            raise UsageError(f"The longer side of an overlay must be at least 1 pixel, got {largest}.")
        require_unchanged(self.picture, self.seen, self.source)
        return upright_rgb(self.picture, largest)

    def to_record(self, *, explain: bool = False) -> dict[str, Any]:
        """Give a JSON-ready dictionary, the one of `dermedge infer --json`.

        Its keys: file, given, unknown, imputed, picture_faults, label, label_name, probabilities, decision, reasons,
        prediction_set, ood_score, lesion_ood_score, class_names, model, model_sha256, versions, device, provider,
        provider_version, hardware, time, notice.

        :param explain: also explanation: the heat map as a grid, and the clinical relevance; and explanation_text.
        """
        record: dict[str, Any] = {
            "file": self.source,
            "given": dict(self.given),
            "unknown": list(self.unknown),
            "imputed": dict(self.imputed),
            "picture_faults": list(self.picture_faults),
            "label": self.label,
            "label_name": self.label_name,
            "probabilities": dict(self.probabilities),
            "decision": self.decision,
            "reasons": list(self.reasons),
            "prediction_set": None if self.prediction_set is None else list(self.prediction_set),
            "ood_score": self.ood_score,
            "lesion_ood_score": self.lesion_ood_score,
            "class_names": dict(self.class_names),
            "model": self.model,
            "model_sha256": self.model_sha256,
            "versions": dict(self.versions),
            "device": self.device,
            "provider": self.provider,
            "provider_version": self.provider_version,
            "hardware": self.hardware,
            "time": self.time,
            "notice": self.notice,
        }
        if explain and self.explanation is not None:
            record["explanation"] = self.explanation.to_record()
        if explain and (self.explanation is not None or self.no_heatmap):
            record["explanation_text"] = self.explanation_text
        return record


@dataclass(frozen=True, slots=True)
class Rejection:
    """A picture of a batch that could not be read, and why."""

    source: str
    reason: str
    time: str = field(default_factory=now, repr=False, compare=False)
    """When it was rejected: UTC, ISO 8601."""

    def to_record(self, *, explain: bool = False) -> dict[str, Any]:
        """Give a JSON-ready dictionary: file, error, time."""
        return {"file": self.source, "error": self.reason, "time": self.time}
