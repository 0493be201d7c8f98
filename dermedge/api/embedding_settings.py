"""What a training on given embeddings takes of the other settings and options: all that is not about pictures."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from dermedge_runtime.errors import UsageError

if TYPE_CHECKING:
    from dermedge.config import TrainConfig

_OF_PICTURES = (
    *("image_branch", "freeze_image_branch", "feature_views", "image_branch_rate", "quantise_aware", "prune", "widths"),
    *("receptive_fields", "attention", "pooling", "texture_patterns"),
    *("image_size", "start_size", "resample", "jpeg_detail"),
    *("hair_removal", "colour_constancy", "light_estimate", "contrast", "cutmix", "look_inside"),
)
_STRENGTHS = "augmentation."


def refuse_beside(others: Mapping[str, object]) -> None:
    """Let no option pass beside --embeddings that names weights of networks that read pictures.

    :param others: what was given, by its option.
    :raises UsageError: one was given.
    """
    if found := [option for option, given in others.items() if given]:
        raise UsageError(_beside(found[0]))


def on_embeddings(config: TrainConfig, given: Collection[str]) -> TrainConfig:
    """Make settings those of a training on given embeddings: nothing is augmented.

    :param config: chosen otherwise, or of an earlier run on embeddings.
    :param given: names of the settings that somebody has asked for.
    :raises UsageError: a setting about pictures was asked for, or differs from its default; a fusion without pictures.
    """
    from dermedge.config import EMBEDDINGS, Augmentation, TrainConfig
    from dermedge.models.fusion import fusion_class
    from dermedge.setting_fields import settings_of

    if not fusion_class(config.fusion).uses_image:
        raise UsageError(f"--embeddings are of pictures, and {config.fusion} reads none. Name another --fusion.")
    still = Augmentation(flips=False, rotation_degrees=0.0, scaling=0.0, noise=0.0)
    options = {setting.name: setting.option for setting in settings_of(TrainConfig)}
    usual = TrainConfig(data="", image_branch=config.image_branch if config.on_embeddings else "dermiresnet")
    changed = [name for name in _OF_PICTURES if getattr(config, name) != getattr(usual, name)]
    asked = [name for name in options if name in given and (name in _OF_PICTURES or name.startswith(_STRENGTHS))]
    if found := [*asked, *changed]:
        raise UsageError(_beside(f"--{options.get(found[0], found[0]).replace('_', '-')}"))
    if config.augmentation not in (still, Augmentation()):
        raise UsageError(_beside("augmentation"))
    return replace(config, image_branch=EMBEDDINGS, augmentation=still)


def _beside(what: str) -> str:
    return (
        f"{what} is about pictures, and --embeddings trains on what another network has made of them: leave one of them"
        " out."
    )
