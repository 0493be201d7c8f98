"""Weights that a training starts from: those of an earlier run, or of an image branch that others have trained.

Where fusion, clinical features and classes are the same, the whole network is taken; otherwise the image branch alone.
The weights are copied into the new run, so that it can be resumed without the old one. Not covered: keeping them as
they are (`head_training`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from dermedge.config import TrainConfig
from dermedge.data.samples import Sample
from dermedge.data.schema import DataSchema
from dermedge.data.splits import Split
from dermedge.models.branches.families import family_of
from dermedge.models.branches.pretrained import PretrainedWeights
from dermedge.models.branches.weight_files import read_weights
from dermedge.models.classifier import IMAGE_SIDE
from dermedge.models.fusion import fusion_class
from dermedge_runtime.errors import DermedgeError, UsageError

from .checkpoint import read_tensors, save_weights
from .held_back import check_unseen
from .prior_shift import unshifted
from .run import Run
from .run_folder import RunFolder

_TRUNK = "trunk."
_HEAD = "head."
_IMAGE_BRANCH = (*IMAGE_SIDE, f"{_HEAD}image.")
_SELECTION = f"{_HEAD}image.kept"
"""Which features an earlier run kept: a new one selects its own, or none."""
_FILE = "file "
"""How the source of weights begins that were read from a file the user named."""
PRETRAINED = "pretrained"
"""The key of `PretrainedWeights.to_record` in the record of a run."""


@dataclass(frozen=True, slots=True)
class StartWeights:
    """What is taken from an earlier run."""

    sha256: str
    """Of the earlier run's weights file."""
    tensors: dict[str, Tensor]
    summary: str
    """For the log."""
    pretrained: dict[str, Any] | None = None
    """Where the image branch's first weights come from, with their licence, if others have trained them."""
    widths: dict[str, list[int]] = field(default_factory=dict)
    """Of the image branch, where it is pruned; see `TrainConfig.widths`."""


@dataclass(frozen=True, slots=True)
class Pretrained:
    """What is asked for: weights of the image branch that others have trained."""

    download: bool = False
    """A connection may be opened for them."""
    file: Path | None = None
    """Take them from this file, not from where their library keeps them."""

    @classmethod
    def asked(cls, *, pretrained: bool, download: bool, file: Path | None) -> Self | None:
        """Make it of three options.

        :return: None where none of them is given.
        :raises UsageError: options that contradict each other.
        """
        if file is not None and (pretrained or download):
            other = "--pretrained" if pretrained else "--download"
            raise UsageError(f"--pretrained-file says itself where the weights come from: leave {other} out.")
        if download and not pretrained:
            raise UsageError("--download is for --pretrained: give both or neither.")
        return cls(download, file) if pretrained or file is not None else None

    def differences(self, run: Run) -> list[str]:
        """Say where an earlier run started from, if not from these weights.

        :raises DermedgeError: the file cannot be read.
        """
        record = run.record.get(PRETRAINED)
        found = record if record and record["sha256"] == run.config.start_from else None
        source = found["source"] if found else "nothing"
        if self.file is None:
            same, wanted = found is not None and not source.startswith(_FILE), f"weights of {run.config.image_branch}"
        else:
            same, wanted = found is not None and found["sha256"] == read_weights(self.file).sha256, str(self.file)
        return [] if same else [f"pretrained {source} -> {wanted}"]


def start_weights(
    source: Path, config: TrainConfig, schema: DataSchema, split: Split, samples: Sequence[Sample] = ()
) -> StartWeights:
    """Choose the weights to take from the run in `source`.

    :param config: settings of the new run.
    :param split: of the new run.
    :param samples: of the new run; with them, copies of what the earlier run was trained on are found too.
    :raises UsageError: the two networks have no image branch in common, or it is to stay as it is, and what follows it
        is another one.
    :raises InputRejected: the earlier run was trained on what the new one is validated or tested on.
    :raises DermedgeError: no run there, no weights, or damaged ones.
    """
    run = Run.open(source)
    earlier, sha256 = run.config, run.weights_sha256
    for name in (config.fusion, earlier.fusion):
        if not fusion_class(name).uses_image:
            raise UsageError(f"--start-from takes an image branch, and {name} has none. Leave it out.")
    family_of(earlier.image_branch)  # refuses given embeddings, which are no image branch
    if earlier.image_branch != config.image_branch:
        raise UsageError(
            f"--start-from takes an image branch, and that of {source} is {earlier.image_branch}, not"
            f" {config.image_branch}. Give --image-branch {earlier.image_branch}, or leave --start-from out."
        )
    check_unseen(run, split, samples, "Start from a run")
    try:
        tensors = unshifted(read_tensors(run.weights_file))
    except (OSError, SafetensorError) as error:
        raise DermedgeError(f"The weights {run.weights_file} cannot be loaded: {error}") from error
    if _same_network((earlier, run.schema), (config, schema)):
        summary = f"start from all weights of {source}"
        return StartWeights(sha256, tensors, summary, run.record.get(PRETRAINED), earlier.widths)
    alike = _sees_alike(source, earlier, config)
    taken = _IMAGE_BRANCH if alike else (_TRUNK,)
    kept = {name: each for name, each in tensors.items() if name.startswith(taken) and name != _SELECTION}
    why = f", which was trained with --unknown {earlier.unknown}" if earlier.unknown != config.unknown else ""
    summary = f"start from the image branch of {source}{why}{'' if alike else '; what follows it is another one'}"
    return StartWeights(sha256, kept, summary, run.record.get(PRETRAINED), earlier.widths)


def pretrained_weights(request: Pretrained, config: TrainConfig) -> StartWeights:
    """Read the weights that others have trained for a run's image branch.

    :raises UsageError: the run reads no picture, or nobody has published weights of its branch.
    :raises DermedgeError: they are not here, or not what they should be.
    """
    name = config.image_branch
    if not fusion_class(config.fusion).uses_image:
        option = "--pretrained" if request.file is None else "--pretrained-file"
        raise UsageError(f"{option} is about the image branch, and {config.fusion} has none. Leave it out.")
    untrained = {
        "receptive-fields": config.receptive_fields != "one",
        "attention": config.attention != "none",
        "texture-patterns": config.texture_patterns,
    }
    if config.freeze_image_branch and (found := [what for what, has in untrained.items() if has]):
        raise UsageError(
            f"--freeze-image-branch keeps {found[0].replace('-', ' ')} as it is, and nobody has trained that of"
            f" published weights. Leave --{found[0]} or --freeze-image-branch out."
        )
    taken = _published(name, download=request.download) if request.file is None else _from_file(name, request.file)
    tensors = {f"{_TRUNK}{key}": tensor for key, tensor in taken.tensors.items()}
    return StartWeights(taken.sha256, tensors, f"start from {name} of {taken.source}", taken.to_record())


def _published(name: str, *, download: bool) -> PretrainedWeights:
    source = family_of(name).weight_source(name)
    if source is None:
        raise UsageError(
            f"There are no pretrained weights of {name}. Leave --pretrained out (with a recipe: --untrained),"
            " or name another branch."
        )
    return source.load(download=download)


def _from_file(name: str, file: Path) -> PretrainedWeights:
    read = read_weights(file)
    if any(each.startswith((_TRUNK, _HEAD)) for each in read.tensors):
        raise UsageError(f"{file} has the weights of a whole run. Name the run's folder with --start-from.")
    tensors = family_of(name).fit(name, read.tensors, str(file))
    return PretrainedWeights(tensors, f"{_FILE}{file.name}", read.sha256, "unknown")


def keep_start_weights(start: StartWeights, folder: RunFolder) -> dict[str, Any]:
    """Copy the weights into the folder of a new run, and give what the run's record is to say of them."""
    save_weights(folder.start_file, start.tensors)
    return {} if start.pretrained is None else {PRETRAINED: start.pretrained}


def _sees_alike(source: Path, earlier: TrainConfig, config: TrainConfig) -> bool:
    """Whether what lies before and behind the image branch is the same.

    :raises UsageError: they are not, and were to stay as they are.
    """
    for name in ("receptive_fields", "attention", "pooling", "texture_patterns"):
        theirs, ours = getattr(earlier, name), getattr(config, name)
        if theirs == ours:
            continue
        if config.freeze_image_branch:
            raise UsageError(_kept_otherwise(name, source, theirs, ours))
        return False
    return True


def _kept_otherwise(name: str, source: Path, theirs: Any, ours: Any) -> str:
    option = f"--{name.replace('_', '-')}"
    if isinstance(theirs, bool):
        said = f"{source} was trained with{'' if theirs else 'out'} {option}"
        return (
            f"--freeze-image-branch keeps what the image branch reads as it is, and {said}."
            f" {'Give' if theirs else 'Leave out'} {option}, or leave --freeze-image-branch out."
        )
    return (
        f"--freeze-image-branch keeps {name.replace('_', ' ')} as it is, and that of {source} is {theirs}, not {ours}."
        f" Give {option} {theirs}, or leave --freeze-image-branch out."
    )


def _same_network(one: tuple[TrainConfig, DataSchema], other: tuple[TrainConfig, DataSchema]) -> bool:
    (kind, classes, *clinical), theirs = (
        (
            (
                config.fusion,
                config.receptive_fields,
                config.attention,
                config.pooling,
                config.select_features,
                config.texture_patterns,
            ),
            schema.classes,
            config.unknown,
            schema.clinical(config.protocol, config.unknown).features,
        )
        for config, schema in (one, other)
    )
    reads = fusion_class(kind[0]).uses_clinical  # without a clinical branch it does not matter what it would read
    return (kind, classes) == theirs[:2] and (not reads or tuple(clinical) == theirs[2:])


@torch.no_grad()
def load_start_weights(path: Path, model: nn.Module, *, but: tuple[str, ...] = ()) -> None:
    """Copy the kept weights of `StartWeights` into a model; the rest of it stays as it is.

    :param but: what the names begin with that the model is not to take.
    :raises DermedgeError: missing, damaged, or weights of another network.
    """
    try:
        taken = {name: each for name, each in read_tensors(path).items() if not name.startswith(but)}
        unknown = model.load_state_dict(taken, strict=False).unexpected_keys
    except (OSError, SafetensorError, RuntimeError) as error:
        raise DermedgeError(f"The weights {path} cannot be loaded: {' '.join(str(error).split())[:200]}") from error
    if unknown:
        raise DermedgeError(f"The weights {path} are of another network: it has no {unknown[0]}.")
