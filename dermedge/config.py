"""Settings of a training run; the defaults are the paper's (section 3.6.2, table 5; section 3.2.2)."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from dermedge_runtime.inputs.clinical import CATEGORY, IMPUTE, UNKNOWN_MODES

from .data.batches.augment import Augmentation


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Everything that decides the weights, except the data and the software versions."""

    data: str
    """Data folder, as an absolute path."""
    fusion: str = "cross_attention"
    protocol: str = "grouped"
    image_size: int = 256
    """Height and width in pixels."""
    resample: str = "bilinear"
    hair_removal: bool = False
    """Removes dark hairs before anything else, inside the network (`models.hair_removal`); not in the paper."""
    colour_constancy: bool = False
    """Takes the colour of the light out, inside the network (`models.colour_constancy`); not in the paper."""
    epochs: int = 100
    batch_size: int = 64
    learning_rate: float = 0.001
    weight_decay: float = 0.0
    per_class: int = 6000
    """Draws per class and epoch, on average over the classes."""
    balance: float = 1.0
    """1: draws every class alike, as the paper; 0: as frequent as in the data (frequency to the power 1 - balance)."""
    hide_clinical: float = 0.0
    """Probability that a known clinical value is hidden in training; not in the paper."""
    unknown: str = CATEGORY
    """What is made of an unknown clinical value, one of the runtime's `UNKNOWN_MODES`; impute is the paper's text."""
    mixup: float = 0.0
    """Parameter of the Beta distribution that mixes pairs of photographs and patients; 0 is off; not in the paper."""
    cutmix: float = 0.0
    """As `mixup`, but a rectangle of the partner's picture is pasted in; with both, they take turns at random."""
    class_weights: float = 0.0
    """Weight of a class in the loss: its draws to the power of minus this; not in the paper, like the three below."""
    focal: float = 0.0
    """Gamma of the focal loss; 0 is cross-entropy."""
    label_smoothing: float = 0.0
    logit_adjustment: float = 0.0
    """Tau of the logit-adjusted loss, for a sampler that does not balance; 0 is off."""
    dropout: float = 0.2
    schedule: str = "constant"
    """constant, or cosine: from `learning_rate` to 0 over all epochs, after one warm-up epoch."""
    ema: float = 0.0
    """Decay per step of an exponential moving average of the weights, which is then what is kept; 0 is off."""
    precision: str = "fp32"
    """fp32, bf16 or fp16: autocast of the forward pass."""
    start_from: str = ""
    """SHA-256 of the weights that the training starts from; empty: random ones."""
    freeze_image_branch: bool = False
    """Takes the trunk of these weights as it is, and trains the rest on features computed once (`head_training`)."""
    feature_views: int = 0
    """Augmented copies of every training photograph that the rest of such a network sees beside the photograph."""
    device: str = "cpu"
    seed: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        for each in fields(self):
            value, default = getattr(self, each.name), _DEFAULTS.get(each.name, "")
            accepted = (int, float) if isinstance(default, float) else type(default)
            if not isinstance(value, accepted) or (isinstance(value, float) and not math.isfinite(value)):
                raise ValueError(f"the setting {each.name} is {value!r}")
        if self.unknown not in UNKNOWN_MODES:
            raise ValueError(f"the setting unknown is {self.unknown!r}")

    def to_record(self) -> dict[str, Any]:
        """Give a JSON-ready dictionary."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> TrainConfig:
        """Read what `to_record` gave; runs from before there was a choice impute."""
        return cls(**{"unknown": IMPUTE, **record, "augmentation": Augmentation(**record["augmentation"])})

    def differences(self, other: TrainConfig) -> list[str]:
        """Say which settings differ, such as "epochs 20 -> 30"."""
        mine, theirs = self.to_record(), other.to_record()
        return [f"{key} {theirs[key]} -> {mine[key]}" for key in mine if mine[key] != theirs[key]]


_DEFAULTS = {each.name: each.default for each in fields(TrainConfig) if each.name != "augmentation"} | {
    "data": "",
    "augmentation": Augmentation(),
}
