"""Options of `dermedge train`: one per setting of `config.TrainConfig`; the defaults are the paper's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from .option_types import FiniteRange

_Command = TypeVar("_Command", bound=Callable[..., Any])

_VARIED = (
    click.option(
        "--protocol",
        default="grouped",
        show_default=True,
        type=click.Choice(["grouped", "refit", "paper"]),
        help="grouped: by lesion, 70/15/15. refit: its test set, the rest trains. paper: random images, 70/30, with"
        " dx_type (leaks).",
    ),
    click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**32 - 1)),
)
"""What `dermedge compare` varies itself."""

_OPTIONS = (
    click.option("--image-size", default=256, show_default=True, type=click.IntRange(32, 1024), help="Pixels."),
    click.option("--hair-removal", is_flag=True, help="Remove dark hairs, inside the network and the model file."),
    click.option(
        "--colour-constancy", is_flag=True, help="Take out the light's colour, inside the network and the model file."
    ),
    click.option("--epochs", default=100, show_default=True, type=click.IntRange(1)),
    click.option("--batch-size", default=64, show_default=True, type=click.IntRange(2)),
    click.option("--learning-rate", default=0.001, show_default=True, type=FiniteRange(0, min_open=True)),
    click.option("--weight-decay", default=0.0, show_default=True, type=FiniteRange(0)),
    click.option(
        "--per-class", default=6000, show_default=True, type=click.IntRange(1), help="Draws per class and epoch."
    ),
    click.option("--dropout", default=0.2, show_default=True, type=FiniteRange(0, 1, max_open=True)),
    click.option(
        "--balance",
        default=1.0,
        show_default=True,
        type=FiniteRange(0, 1),
        help="1: draw every class alike; 0: as frequent as in the data.",
    ),
    click.option(
        "--hide-clinical",
        default=0.0,
        show_default=True,
        type=FiniteRange(0, 1),
        help="Probability that a known clinical value is hidden.",
    ),
    click.option(
        "--unknown",
        default="category",
        show_default=True,
        type=click.Choice(["category", "impute"]),
        help="An unknown value is a category of its own, or is counted as the median or the most frequent (as the"
        " paper's text has it).",
    ),
    click.option("--mixup", default=0.0, show_default=True, type=FiniteRange(0), help="Beta parameter; 0 is off."),
    click.option(
        "--cutmix", default=0.0, show_default=True, type=FiniteRange(0), help="Paste a part of another; Beta parameter."
    ),
    click.option(
        "--class-weights",
        default=0.0,
        show_default=True,
        type=FiniteRange(0, 2),
        help="Weigh a class by its draws to the power of minus this.",
    ),
    click.option("--focal", default=0.0, show_default=True, type=FiniteRange(0, 10), help="Gamma of the focal loss."),
    click.option("--label-smoothing", default=0.0, show_default=True, type=FiniteRange(0, 1, max_open=True)),
    click.option(
        "--logit-adjustment",
        default=0.0,
        show_default=True,
        type=FiniteRange(0, 5),
        help="Tau of the logit-adjusted loss, for --balance below 1.",
    ),
    click.option("--colour", default=0.0, show_default=True, type=FiniteRange(0, 1), help="Colour jitter."),
    click.option("--schedule", default="constant", show_default=True, type=click.Choice(["constant", "cosine"])),
    click.option(
        "--ema",
        default=0.0,
        show_default=True,
        type=FiniteRange(0, 1, max_open=True),
        help="Decay per step of averaged weights; 0 is off.",
    ),
    click.option(
        "--precision",
        default="auto",
        show_default=True,
        type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
        help="Autocast; auto: bf16 on CUDA, fp32 on the CPU.",
    ),
    click.option("--device", default="auto", show_default=True, type=click.Choice(["auto", "cpu", "cuda"])),
    click.option("--flips/--no-flips", default=True, show_default=True, help="Horizontal and vertical flips."),
    click.option(
        "--rotation", default=180.0, show_default=True, type=FiniteRange(0, 180), help="Largest angle, degrees."
    ),
    click.option(
        "--scaling", default=0.2, show_default=True, type=FiniteRange(0, 4), help="Zoom by up to 1 + SCALING."
    ),
    click.option(
        "--noise", default=0.02, show_default=True, type=FiniteRange(0, 1), help="Pixel noise, share of the range."
    ),
)


def train_options(command: _Command) -> _Command:
    """Add the options to a command, in the order of the tables."""
    return _added(command, (*_VARIED, *_OPTIONS))


def common_train_options(command: _Command) -> _Command:
    """Add the options that all trainings of a comparison share: all but protocol and seed."""
    return _added(command, _OPTIONS)


def _added(command: _Command, options: tuple[Callable[[_Command], _Command], ...]) -> _Command:
    for option in reversed(options):
        command = option(command)
    return command
