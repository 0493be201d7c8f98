"""Settings of a training: name, type, range, default, help and group of each; the defaults are the paper's (section
3.6.2, table 5; section 3.2.2).

This list is the only one: the record of a run and the options of the command line are made of it. No torch here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, field
from typing import Annotated, Any, Literal, Self, TypeAlias

import pydantic.dataclasses
from pydantic import ConfigDict, Field, ValidationError

from .setting_fields import Group, OptionName, sentence

Protocol: TypeAlias = Literal["grouped", "refit", "paper"]
Resample: TypeAlias = Literal["nearest", "bilinear", "bicubic", "lanczos"]
Unknown: TypeAlias = Literal["category", "impute"]
Fields: TypeAlias = Literal["one", "several"]
Attention: TypeAlias = Literal["none", "soft"]
Pooling: TypeAlias = Literal["average", "gem"]
LightEstimate: TypeAlias = Literal["shades_of_gray", "gray_world", "max_rgb"]
Schedule: TypeAlias = Literal["constant", "cosine"]
Precision: TypeAlias = Literal["fp32", "bf16", "fp16"]
Device: TypeAlias = Literal["cpu", "cuda"]
PriorTau: TypeAlias = Annotated[float, Field(ge=0, le=5)] | Literal["auto"]
Seed: TypeAlias = Annotated[int, Field(ge=0, le=2**32 - 1)]

EMBEDDINGS = "embeddings"
"""What the settings say in the place of an image branch where given embeddings are read; a key of the run's record."""

# Strict: a record holds numbers as numbers, and a text in the place of one means that somebody has edited it.
_CHECKED = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@pydantic.dataclasses.dataclass(frozen=True, slots=True, config=_CHECKED)
class Augmentation:
    """Strengths; 0 switches a step off.

    :raises pydantic.ValidationError: a value out of its range.
    """

    flips: Annotated[bool, Field(description="Horizontal and vertical flips."), Group.AUGMENTATION] = True
    rotation_degrees: Annotated[
        float,
        Field(ge=0, le=180, description="Largest angle, in degrees."),
        Group.AUGMENTATION,
        OptionName("rotation"),
    ] = 180.0
    """Angle drawn uniformly from [-rotation_degrees, rotation_degrees]."""
    scaling: Annotated[float, Field(ge=0, le=4, description="Zoom by up to 1 + SCALING."), Group.AUGMENTATION] = 0.2
    """Factor drawn log-uniformly from [1 / (1 + scaling), 1 + scaling]."""
    noise: Annotated[
        float, Field(ge=0, le=1, description="Pixel noise, as a share of the range."), Group.AUGMENTATION
    ] = 0.02
    """Standard deviation of Gaussian pixel noise, in units of the [0, 1] intensity range."""
    colour: Annotated[float, Field(ge=0, le=1, description="Colour jitter."), Group.AUGMENTATION] = 0.0
    """Brightness, contrast and the gain of each channel are drawn from [1 - colour, 1 + colour]; not in the paper."""
    random_erasing: Annotated[
        float,
        Field(ge=0, le=1, description="Probability that a rectangle is painted over."),
        Group.AUGMENTATION,
    ] = 0.0
    """By torchvision, for every picture alone; not in the paper, like the one below."""
    trivial_augment: Annotated[
        bool,
        Field(description="TrivialAugment: one random change of every picture."),
        Group.AUGMENTATION,
    ] = False


@pydantic.dataclasses.dataclass(frozen=True, slots=True, config=_CHECKED)
class RequestedSettings:
    """What somebody asks of a training; `auto` leaves a choice to the machine that trains.

    :raises pydantic.ValidationError: a value of a wrong type or out of its range.
    """

    data: str
    """Data folder, as an absolute path; empty: none."""
    fusion: Annotated[
        str, Field(description="How picture and clinical values are joined, or image_only."), Group.NETWORK
    ] = "cross_attention"
    protocol: Annotated[
        Protocol,
        Field(
            description="grouped: by lesion, 70/15/15. refit: its test set, the rest trains. paper: random images,"
            " 70/30, with dx_type (leaks)."
        ),
        Group.DATA,
    ] = "grouped"
    image_branch: Annotated[
        str,
        Field(description="Network that reads the picture; `dermedge branches` lists them. NAME+NAME: two, joined."),
        Group.NETWORK,
    ] = "dermiresnet"
    """A name of `models.branches.families`."""
    receptive_fields: Annotated[
        Fields,
        Field(description="several: look at the last feature map through 1, 3 and 5 cells as well."),
        Group.NETWORK,
    ] = "one"
    """`models.receptive_fields`; not in the paper."""
    attention: Annotated[
        Attention,
        Field(description="soft: weigh the cells of the last feature map before they are pooled."),
        Group.NETWORK,
    ] = "none"
    """`models.soft_attention`; not in the paper."""
    pooling: Annotated[
        Pooling,
        Field(description="What makes one number of a channel: its average, or a mean whose exponent learns (gem)."),
        Group.NETWORK,
    ] = "average"
    """gem: `models.generalised_mean`; not in the paper."""
    select_features: Annotated[
        float,
        Field(ge=0, lt=1, description="Share of the pooled features that is kept, the best on training; 0: all."),
        Group.NETWORK,
    ] = 0.0
    """By an analysis of variance, before the training (`training.feature_selection`); not in the paper."""
    texture_patterns: Annotated[
        bool,
        Field(description="Give the image branch local ternary patterns beside the picture, computed in the network."),
        Group.NETWORK,
    ] = False
    """`models.texture_patterns`; not in the paper."""
    image_size: Annotated[int, Field(ge=32, le=1024, description="Height and width, in pixels."), Group.NETWORK] = 256
    start_size: Annotated[
        int,
        Field(ge=0, le=1024, description="Of the first epoch's pictures, which then grow to --image-size; 0 is off."),
        Group.TRAINING,
    ] = 0
    """In pixels (`training.growing_pictures`); validation is at the full size. Not in the paper."""
    resample: Annotated[
        Resample, Field(description="How photographs are shrunk; a model file does the same."), Group.NETWORK
    ] = "bilinear"
    jpeg_detail: Annotated[
        int,
        Field(
            ge=1,
            le=2,
            description="A large JPEG file is scaled down while it is decoded, to no less than so many times the image"
            " size. 1 reads faster; a model file does the same.",
        ),
        Group.NETWORK,
    ] = 2
    """One of the runtime's `image.DETAILS`."""
    hair_removal: Annotated[
        bool, Field(description="Remove dark hairs, inside the network and the model file."), Group.NETWORK
    ] = False
    """Before anything else (`models.preparation.hair_removal`); not in the paper."""
    colour_constancy: Annotated[
        bool, Field(description="Take out the light's colour, inside the network and the model file."), Group.NETWORK
    ] = False
    """`models.preparation.colour_constancy`; not in the paper."""
    light_estimate: Annotated[
        LightEstimate,
        Field(description="What --colour-constancy takes for the light's colour."),
        Group.NETWORK,
    ] = "shades_of_gray"
    """The norm of order 6, the mean or the largest value of a channel; of no meaning without colour constancy."""
    contrast: Annotated[
        bool, Field(description="Stretch the brightness, inside the network and the model file."), Group.NETWORK
    ] = False
    """After the other two (`models.preparation.contrast`); not in the paper."""
    epochs: Annotated[
        int, Field(ge=1, description="Rounds; in each, every class is drawn --per-class times."), Group.TRAINING
    ] = 100
    batch_size: Annotated[int, Field(ge=2, description="Photographs per step."), Group.TRAINING] = 64
    learning_rate: Annotated[float, Field(gt=0, description="Step size of Adam."), Group.TRAINING] = 0.001
    image_branch_rate: Annotated[
        float,
        Field(ge=0, le=10, description="Learning rate of the image branch, as a multiple of --learning-rate."),
        Group.TRAINING,
    ] = 1.0
    """Below 1 for a branch that is pretrained, so that it forgets less while the new layers learn."""
    weight_decay: Annotated[float, Field(ge=0, description="Decoupled weight decay; 0 is off."), Group.TRAINING] = 0.0
    per_class: Annotated[int, Field(ge=1, description="Draws per class and epoch."), Group.TRAINING] = 6000
    """On average over the classes."""
    balance: Annotated[
        float,
        Field(ge=0, le=1, description="1: draw every class alike; 0: as frequent as in the data."),
        Group.BALANCE,
    ] = 1.0
    """1 is the paper's; otherwise a class is drawn by its frequency to the power of 1 - balance."""
    hide_clinical: Annotated[
        float, Field(ge=0, le=1, description="Probability that a known clinical value is hidden."), Group.AUGMENTATION
    ] = 0.0
    """In training; not in the paper."""
    hide_patient: Annotated[
        float, Field(ge=0, le=1, description="Probability that all values of a patient are hidden."), Group.AUGMENTATION
    ] = 0.0
    """In training, beside `hide_clinical`; the network learns to answer from the picture alone. Not in the paper."""
    unknown: Annotated[
        Unknown,
        Field(
            description="An unknown value is a category of its own, or is counted as the median or the most frequent"
            " (as the paper's text has it)."
        ),
        Group.NETWORK,
    ] = "category"
    """One of the runtime's `UNKNOWN_MODES`."""
    mixup: Annotated[
        float,
        Field(ge=0, description="Mix pairs of photographs and patients; Beta parameter, 0 is off."),
        Group.AUGMENTATION,
    ] = 0.0
    """Not in the paper."""
    cutmix: Annotated[
        float,
        Field(ge=0, description="Paste a part of another photograph; Beta parameter, 0 is off."),
        Group.AUGMENTATION,
    ] = 0.0
    """As `mixup`, but a rectangle of the partner's picture is pasted in; with both, they take turns at random."""
    class_weights: Annotated[
        float,
        Field(ge=0, le=2, description="Weigh a class by its draws to the power of minus this."),
        Group.BALANCE,
    ] = 0.0
    """Weight in the loss; not in the paper, like the three below."""
    focal: Annotated[
        float, Field(ge=0, le=10, description="Gamma of the focal loss; 0 is cross-entropy."), Group.BALANCE
    ] = 0.0
    label_smoothing: Annotated[
        float, Field(ge=0, lt=1, description="Share of a label that is spread over all classes."), Group.BALANCE
    ] = 0.0
    logit_adjustment: Annotated[
        float, Field(ge=0, le=5, description="Tau of the logit-adjusted loss, for --balance below 1."), Group.BALANCE
    ] = 0.0
    prior_shift: Annotated[
        PriorTau,
        Field(description="After training, take TAU x the log of the classes' frequencies off; auto: by validation."),
        Group.BALANCE,
    ] = 0.0
    """Of the best weights' logits (`training.prior_shift`); 0 is off. Not in the paper."""
    temperature: Annotated[
        float,
        Field(ge=1, le=20, description="Softens the answers of --teacher, and the student's to compare."),
        Group.BALANCE,
    ] = 2.0
    """What logits are divided by; of no meaning without a teacher, like the one below (`training.teachers`)."""
    teacher_weight: Annotated[
        float,
        Field(gt=0, le=1, description="Share of the loss that is the teachers'; the labels have the rest."),
        Group.BALANCE,
    ] = 0.5
    align: Annotated[
        float,
        Field(ge=0, le=10, description="Weight of a loss that aligns image and clinical features; 0 is off."),
        Group.BALANCE,
    ] = 0.0
    """Before they are fused (`training.alignment`); not in the paper."""
    look_inside: Annotated[
        float,
        Field(ge=0, le=10, description="Weight of a loss on heat outside the lesion, by the data's masks; 0 is off."),
        Group.BALANCE,
    ] = 0.0
    """Grad-CAM's (`training.look_inside`); not in the paper."""
    dropout: Annotated[
        float, Field(ge=0, lt=1, description="Share of the features that is dropped."), Group.NETWORK
    ] = 0.2
    schedule: Annotated[
        Schedule, Field(description="Of the learning rate; cosine falls to 0 over all epochs."), Group.TRAINING
    ] = "constant"
    """cosine: after one warm-up epoch."""
    ema: Annotated[
        float, Field(ge=0, lt=1, description="Decay per step of averaged weights; 0 is off."), Group.TRAINING
    ] = 0.0
    """Of an exponential moving average, which is then what is kept."""
    precision: Annotated[
        Literal["auto", Precision],
        Field(description="Autocast; auto: bf16 on CUDA, fp32 on the CPU."),
        Group.MACHINE,
    ] = "auto"
    freeze_image_branch: Annotated[
        bool,
        Field(description="Keep the image branch of --start-from or --pretrained; train the rest on its features."),
        Group.NETWORK,
    ] = False
    """Takes the trunk of these weights as it is; the features are computed once (`head_training`)."""
    quantise_aware: Annotated[
        bool, Field(description="Train --start-from's network on with INT8's rounding in it."), Group.NETWORK
    ] = False
    """So that an INT8 file loses less (`quantise_aware`)."""
    prune: Annotated[
        float,
        Field(ge=0, lt=0.9, description="Share of the channels taken out of --start-from's image branch; 0 is off."),
        Group.NETWORK,
    ] = 0.0
    """Those with the smallest weights, once, before the training (`pruning`)."""
    feature_views: Annotated[
        int,
        Field(ge=0, le=64, description="Augmented copies of every photograph that a frozen image branch shows."),
        Group.NETWORK,
    ] = 8
    """Beside the photograph itself."""
    device: Annotated[
        Literal["auto", Device], Field(description="Where to train; auto: CUDA where there is a GPU."), Group.MACHINE
    ] = "auto"
    seed: Annotated[
        int, Field(ge=0, le=2**32 - 1, description="Decides the split and everything that is drawn."), Group.TRAINING
    ] = 0
    split_seed: Annotated[
        Seed | Literal["seed"],
        Field(description="Decides the split alone, so that runs of several seeds share it; seed: --seed does."),
        Group.DATA,
    ] = "seed"
    """And the augmented views of a frozen image branch, which are computed once for all of them."""
    augmentation: Augmentation = field(default_factory=Augmentation)


@pydantic.dataclasses.dataclass(frozen=True, slots=True, config=_CHECKED)
class TrainConfig(RequestedSettings):
    """Everything that decides the weights of a run, except the data and the software versions; nothing is `auto`.

    :raises pydantic.ValidationError: a value of a wrong type or out of its range.
    """

    precision: Annotated[Precision, Group.MACHINE] = "fp32"
    """Autocast of the forward pass."""
    feature_views: Annotated[int, Field(ge=0, le=64), Group.NETWORK] = 0
    device: Annotated[Device, Group.MACHINE] = "cpu"
    start_from: str = ""
    """SHA-256 of the weights that the training starts from; empty: random ones."""
    teachers: list[str] = field(default_factory=list)
    """SHA-256 of the weights of every run that teaches this one; empty: the labels alone do."""
    synthetic: str = ""
    """SHA-256 of the record of generated pictures to train on too (`training.made_pictures`); empty: none."""
    widths: dict[str, list[int]] = field(default_factory=dict)
    """Channels of every layer of a pruned image branch (`models.narrow`); empty: as its family makes it."""

    @property
    def on_embeddings(self) -> bool:
        """Whether the run reads given embeddings of the pictures in their place."""
        return self.image_branch == EMBEDDINGS

    @property
    def seed_of_split(self) -> int:
        """Decides which photograph belongs to which part."""
        return self.seed if self.split_seed == "seed" else self.split_seed

    def to_record(self) -> dict[str, Any]:
        """Give a JSON-ready dictionary."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Read what `to_record` gave; runs from before there was a choice impute.

        :raises ValueError: a setting is unknown, missing or does not fit; one sentence names it.
        """
        if "augmentation" not in record:
            raise ValueError("the setting augmentation is missing")
        strengths = record["augmentation"]
        if not isinstance(strengths, Mapping):
            raise ValueError(f"the setting augmentation is {strengths!r}; it must be a table of settings")
        try:
            augmentation = Augmentation(**strengths)
            return cls(**{"unknown": "impute", **record, "augmentation": augmentation})
        except ValidationError as error:
            raise ValueError(sentence(error, cls)) from error

    def differences(self, other: TrainConfig) -> list[str]:
        """Say which settings differ, such as "epochs 20 -> 30"."""
        mine, theirs = self.to_record(), other.to_record()
        return [f"{key} {theirs[key]} -> {mine[key]}" for key in mine if mine[key] != theirs[key]]
