"""Finished runs -> the run of an ensemble: looked at, calibrated one by one, copied together.

Every member's scores are divided by a temperature of its own, fitted on the validation split, before probabilities are
averaged: a member that is surer than it is right would outvote the others. The division is in the copied weights.

Not covered: which runs go together (`ensemble_checks`), what an ensemble computes (`models.ensemble`), and how it is
exported (`dermedge_export.graph.ensemble_graph`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dermedge.config import TrainConfig
from dermedge.data.batches.lesion_data import LesionData
from dermedge.data.samples import Sample
from dermedge.models.clinical_branch import ClinicalEncoder
from dermedge.models.ensemble import EnsembleMember
from dermedge.models.fusion import ensemble_of, modalities
from dermedge.statistics.temperature import SMALLEST_VALIDATION, inverse_temperature
from dermedge_runtime.errors import DermedgeError, UsageError

from .checkpoint import save_weights
from .ensemble_checks import check_encoders, check_shrunk, shrinking_record
from .logits import predict_logits
from .made_pictures import SYNTHETIC
from .members import MEMBERS
from .predictions import labels_of, torch_logits, trained_model
from .run import Run
from .run_folder import RunFolder
from .run_names import SEVERAL_BRANCHES
from .shifted_weights import PRIOR_SHIFT, recorded_shift
from .start_weights import PRETRAINED
from .teachers import TEACHERS, recorded_teachers
from .train import start_run
from .training_job import no_other_training

_log = logging.getLogger(__name__)
LARGEST_TEMPERATURE = 20.0
"""And the smallest is one over it: a member that guesses worse than nobody has an infinite one, and scores of 0."""
_LAST_LAYER = ("head.classifier.3.weight", "head.classifier.3.bias")
_OF_PICTURES = (
    "image_branch",
    "texture_patterns",
    "image_size",
    "resample",
    "jpeg_detail",
    "hair_removal",
    "colour_constancy",
    "light_estimate",
    "contrast",
    "quantise_aware",
)
"""Settings without a meaning where no picture is read."""
_OF_ORIGIN = ("start_from", "teachers", "synthetic", "widths")
"""Settings that are of one network alone: the members' own records have them."""


def make_ensemble(
    runs: Sequence[Run],
    folder: RunFolder,
    *,
    data: Path | None = None,
    overwrite: bool = False,
    shrunk_anyway: bool = False,
) -> Run:
    """Make one run of several.

    :param runs: in the order of the members; see `check_members`.
    :param data: where the data lie by now; by default where they lay for the first run.
    :param overwrite: replace an earlier run in the folder.
    :param shrunk_anyway: take members of smaller pictures whatever shrinking changes of their answers; the record says
        how much, and the ensemble is then to be judged by figures of its own.
    :return: the new run; see `members.Member` for what its record says.
    :raises UsageError: a member's pictures are smaller than another's, and shrinking them changes its answers.
    :raises InputRejected: members that were trained on other data, or pictures are missing.
    :raises DermedgeError: no weights, damaged ones, or a run is in the folder already.
    """
    lies = data or (Path(runs[0].config.data) if runs[0].config.data else None)
    folder.check_places(lies)
    _check_place(folder, runs, overwrite=overwrite)
    samples = runs[0].samples(data)
    config = joined_settings([run.config for run in runs])
    if data is not None:
        config = replace(config, data=str(data.resolve()))
    making = _Making(config, runs, runs[0].split.select(samples, "validation"), shrunk_anyway)
    records, weights = list[dict[str, Any]](), dict[str, Tensor]()
    for index, run in enumerate(runs):
        record, tensors = making.member(run)
        records.append(record)
        weights |= {f"{MEMBERS}.{index}.network.{name}": tensor for name, tensor in tensors.items()}
    with no_other_training(folder):
        _check_place(folder, runs, overwrite=overwrite)  # again: another may have begun and ended meanwhile
        folder.clear()
        save_weights(folder.weights_file, weights)
        allow = any(run.record.get("allow_missing_images") for run in runs)
        settings = [run.config.to_record() for run in runs]
        extra = {MEMBERS: [each | {"settings": own} for each, own in zip(records, settings, strict=True)]}
        return start_run(config, runs[0].split, folder, runs[0].schema, allow_missing_images=allow, extra=extra)


@dataclass(frozen=True)
class _Making:
    """What every member is calibrated on."""

    config: TrainConfig
    """Of the ensemble."""
    runs: Sequence[Run]
    validation: Sequence[Sample]
    shrunk_anyway: bool
    _encoders: list[tuple[Run, ClinicalEncoder]] = field(default_factory=list)

    @cached_property
    def _data(self) -> LesionData:
        schema = self.runs[0].schema.clinical(self.config.protocol)
        return LesionData.load(self.validation, schema, self.config)

    @cached_property
    def _labels(self) -> NDArray[np.int64]:
        return labels_of(self.validation)

    def member(self, run: Run) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Calibrate a member.

        :return: its record without the settings, and its weights.
        :raises UsageError: its pictures are smaller, and shrunk ones change too much of its answers.
        :raises InputRejected: it encodes clinical values otherwise than the members before it.
        """
        network = trained_model(run)
        member = EnsembleMember(network, run.config.image_size, self.config.image_size).eval()
        if network.encoder is not None:
            self._encoders.append((run, network.encoder))
            check_encoders(*self._encoders[0], run, network.encoder)
            # Equal but for rounding: one encoder serves all members of a model file, and here too.
            network.encoder.load_state_dict(self._encoders[0][1].state_dict())
        record: dict[str, Any] = {"name": run.path.resolve().name, "weights_sha256": run.weights_sha256}
        temperature = 1.0
        if len({sample.lesion_id for sample in self.validation}) >= SMALLEST_VALIDATION:
            scores = predict_logits(member, self._data, torch.device("cpu"))
            fitted = 1 / inverse_temperature(scores.numpy(), self._labels)
            temperature = min(max(fitted, 1 / LARGEST_TEMPERATURE), LARGEST_TEMPERATURE)
            if not member.shrinking.same:
                own = torch_logits(run, self.validation)
                record["shrunk"] = shrinking_record(run.config.image_size, scores.numpy(), own)
        if not member.shrinking.same and not self.shrunk_anyway:
            check_shrunk(run, record.get("shrunk"))
        _log.info("%s: temperature %.3f", run.path, temperature)
        tensors = {
            name: tensor / temperature if name in _LAST_LAYER else tensor
            for name, tensor in network.state_dict().items()
        }
        return record | {"temperature": temperature} | _origin(run), tensors


def _origin(run: Run) -> dict[str, Any]:
    """Give what a run says of weights and data of others."""
    found = {
        PRETRAINED: run.record.get(PRETRAINED),
        PRIOR_SHIFT: recorded_shift(run),
        TEACHERS: recorded_teachers(run),
        SYNTHETIC: run.record.get(SYNTHETIC),
    }
    return {key: value for key, value in found.items() if value}


def joined_settings(every: Sequence[TrainConfig]) -> TrainConfig:
    """Give the settings of an ensemble: what its members share, and otherwise what nobody has asked for."""
    reads = [modalities(config.fusion) for config in every]
    picture = [config for config, each in zip(every, reads, strict=True) if each.image] or every
    shared: dict[str, Any] = {}
    for name in (each.name for each in fields(TrainConfig)):
        values = [getattr(config, name) for config in (picture if name in _OF_PICTURES else every)]
        if name not in _OF_ORIGIN and all(value == values[0] for value in values):
            shared[name] = values[0]
    branches = {config.image_branch for config in picture}
    return TrainConfig(
        **{
            "data": every[0].data,
            **shared,
            "fusion": ensemble_of(reads),
            "image_branch": branches.pop() if len(branches) == 1 else SEVERAL_BRANCHES,
            "image_size": max(config.image_size for config in picture),
        }
    )


def _check_place(folder: RunFolder, runs: Sequence[Run], *, overwrite: bool) -> None:
    """Let a folder pass that an ensemble may be written to.

    :raises UsageError: it is a member's own.
    :raises DermedgeError: it holds a run, or files of one.
    """
    if any(run.path.resolve() == folder.path.resolve() for run in runs):
        raise UsageError(f"{folder.path} is one of the runs that the ensemble is made of: name another folder (--run).")
    if overwrite:
        return
    if folder.config_file.exists():
        raise DermedgeError(
            f"{folder.path} holds a run already. Replace it (--overwrite), or name another folder (--run)."
        )
    if found := folder.own_files():
        raise DermedgeError(
            f"{found[0]} has the name of a file of a run, but there is no run beside it. Pass --overwrite to"
            " replace it, or another folder with --run."
        )
