"""Settings of a training from what somebody gives: whole settings, single ones by name, or both."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermedge.require import extras
from dermedge_runtime.errors import UsageError

from .embedding_settings import on_embeddings
from .names import path_of

if TYPE_CHECKING:
    from dermedge.asked_settings import AskedSettings
    from dermedge.config import TrainConfig

_OF_PICTURES = {
    "image_branch": "the network that reads the picture",
    "receptive_fields": "about the network that reads the picture",
    "select_features": "about the network that reads the picture",
    "attention": "about the network that reads the picture",
    "pooling": "about the network that reads the picture",
    "texture_patterns": "about the network that reads the picture",
}


def settings_of(
    base: TrainConfig | AskedSettings | None,
    data: Path | str | None,
    named: Mapping[str, Any],
    start: Path | None = None,
    *,
    taught: bool = False,
    embedded: bool = False,
) -> TrainConfig:
    """Give the whole settings of a new training.

    :param base: gives all that is not named; without it they are the paper's, and device and precision suit this
        machine.
    :param named: by the names of `RequestedSettings`; those of the augmentation stand beside the others.
    :param start: folder of the run that the training starts from. Where its network is to be trained on as it is
        (`quantise_aware`, `prune`), it gives all that is not named.
    :param taught: other runs teach the training.
    :param embedded: it reads given embeddings in the place of pictures.
    :raises UsageError: an unknown setting or fusion, a value that does not fit, or settings that contradict each other.
    """
    with extras("train"):
        from dermedge.asked_settings import AskedSettings
        from dermedge.config import TrainConfig
        from dermedge.training.chosen_settings import changed_settings
    asked = AskedSettings.of(_folder(data), named)
    given = asked.given
    if base is None:
        config = _new_settings(asked, start)
    elif isinstance(base, AskedSettings):
        given |= base.given
        config = changed_settings(_new_settings(base, start), asked)
    elif isinstance(base, TrainConfig):
        config = changed_settings(base, asked)
    else:
        raise UsageError(f"config takes dermedge.TrainConfig, got {base!r}. Single settings are given by name.")
    if embedded:
        config = on_embeddings(config, given)
    _check_sense(config, given, start, taught=taught, embedded=embedded)
    return config


def _check_sense(
    config: TrainConfig, given: Collection[str], start: Path | None, *, taught: bool, embedded: bool
) -> None:
    from dermedge.models.branches.families import family_of
    from dermedge.models.fusion import fusion_class

    kind, family = fusion_class(config.fusion), None if embedded else family_of(config.image_branch)
    for name, what in _OF_PICTURES.items():
        if name in given and not kind.uses_image:
            raise UsageError(f"--{name.replace('_', '-')} is {what}, and {config.fusion} reads none.")
    if kind.uses_image and family is not None and not family.heatmap:
        _check_capsules(config)
    if config.quantise_aware and start is None:
        raise UsageError("--quantise-aware needs --start-from: the run whose network learns to live with INT8.")
    _check_pruning(config, given, start)
    if "feature_views" in given and not config.freeze_image_branch:
        raise UsageError("--feature-views is for --freeze-image-branch: give both or neither.")
    about_teachers = [name for name in ("temperature", "teacher_weight") if name in given]
    if about_teachers and not taught:
        raise UsageError(f"--{about_teachers[0].replace('_', '-')} is about --teacher: give both or neither.")
    _check_new(config)


def _check_pruning(config: TrainConfig, given: Collection[str], start: Path | None) -> None:
    if "prune" in given and not config.prune:
        raise UsageError("--prune takes a share above 0 and below 0.9, such as 0.3. Leave it out to prune nothing.")
    if not config.prune:
        return
    if config.receptive_fields != "one":
        raise UsageError("--prune would not know how wide --receptive-fields are to be: leave one of them out.")
    if config.select_features:
        raise UsageError("--prune would take out features that --select-features has chosen: leave one of them out.")
    if start is None:
        raise UsageError("--prune needs --start-from: the trained run whose image branch is pruned.")


def _check_capsules(config: TrainConfig) -> None:
    """Refuse what the capsules, in which an image branch ends, leave no place for."""
    asked = {
        "--receptive-fields": config.receptive_fields != "one",
        "--attention": config.attention != "none",
        "--pooling": config.pooling != "average",
        "--quantise-aware": config.quantise_aware,
        "--prune": config.prune > 0,
    }
    for option, is_asked in asked.items():
        if is_asked:
            raise UsageError(
                f"{config.image_branch} ends in capsules, which take the place of the pooling and fit its map alone:"
                f" leave {option} out."
            )


def _check_new(config: TrainConfig) -> None:
    """Refuse the settings of an earlier run that say what it was made from: only folders can say that of a new one."""
    if config.teachers:
        raise UsageError(
            "These settings are of a training that other runs taught: name those runs with teachers, and give the"
            " settings with their field teachers empty."
        )
    if config.synthetic:
        raise UsageError(
            "These settings are of a training with generated pictures: name their folder with synthetic, and give the"
            " settings with their field synthetic empty."
        )
    if config.start_from:
        raise UsageError(
            "These settings are of a training that started from the weights of another run: name that run with"
            " start_from, and give them with their field start_from empty."
        )


def _new_settings(asked: AskedSettings, start: Path | None) -> TrainConfig:
    from dermedge.training.chosen_settings import chosen_settings, refined_settings
    from dermedge.training.run import Run

    if start is not None and (asked.values.quantise_aware or asked.values.prune):
        return refined_settings(Run.open(start).config, asked)
    return chosen_settings(asked.values)


def expected_settings(base: AskedSettings | None, data: Path | str | None, named: Mapping[str, Any]) -> AskedSettings:
    """Give the settings that a run is expected to have; parameters as for `settings_of`.

    :raises UsageError: an unknown setting, a value that does not fit, or settings given twice.
    """
    with extras("train"):
        from dermedge.asked_settings import AskedSettings
    if base is not None and (named or data is not None):
        raise UsageError("Give the expected settings as a whole or by name, not both.")
    return base or AskedSettings.of(_folder(data), named)


def _folder(data: Path | str | None) -> Path | None:
    return None if data is None else path_of("data", data)
