"""Distillation: a training that also learns what earlier runs answer (Hinton, Vinyals and Dean 2015, arXiv:1503.02531).

    loss = (1 - w) x loss on the labels + w x T^2 x KL(teachers' answer || student's answer), both softened by T

w is `teacher_weight`, T `temperature`. The answer of several teachers is the mean of their softened probabilities. T^2
keeps the size of the gradients about the same for every T, as section 2 of the paper has it.

A teacher is shown what the student is shown: the picture augmented and mixed, at the teacher's own size, and the
clinical values after some were hidden. So its answer is one to the same question: where the student cannot know the
age, it learns how unsure that leaves one, not an answer that the age gave away. A student that reads no values has
teachers that are told none. Teachers compute in float32, in evaluation mode, with the weights as they were trained,
without a shift of class priors; class weights and logit adjustment belong to the loss on the labels alone.

Not covered: learning from feature maps; teachers of a training on computed features, which sees no pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.nn import functional

from dermedge.config import TrainConfig
from dermedge.data.batches.mixing import Mixed
from dermedge.data.samples import Sample
from dermedge.data.schema import DataSchema
from dermedge.data.splits import Split
from dermedge.models.branches.families import family_of
from dermedge.models.classifier import FusedClassifier
from dermedge.models.fusion import fusion_class
from dermedge_runtime.errors import DermedgeError, UsageError

from .checkpoint import read_tensors
from .held_back import check_unseen
from .prior_shift import unshifted
from .run import Run
from .trained_part import build_model

TEACHERS = "teachers"
"""The key of the teachers in the record of a run and in the description of a model file."""
_SHOWN_ALIKE = ("resample", "hair_removal", "colour_constancy", "light_estimate", "contrast")
"""Settings of the picture that a teacher must share, because it is shown the student's."""


@dataclass(frozen=True, slots=True)
class Teacher:
    """A trained network that answers."""

    network: FusedClassifier
    size: int
    """Height and width of the pictures that it was trained on, in pixels."""

    def logits(self, mixed: Mixed, numeric: Tensor, categorical: Tensor) -> Tensor:
        """Answer to a batch; see `Teachers.answer`.

        :return: float32 [B, classes].
        """
        network, picture = self.network, mixed.visual
        if network.trunk is None or picture is None:
            picture = None
        elif picture.shape[-1] != self.size:
            size = self.size, self.size
            picture = functional.interpolate(picture, size, mode="bilinear", antialias=True, align_corners=False)
        clinical = network.encode(numeric, categorical)
        if clinical is not None and mixed.partner is not None:
            clinical = torch.lerp(clinical[mixed.partner], clinical, mixed.share)
        return network.score(picture, clinical)


@dataclass(frozen=True, slots=True)
class Teachers:
    """The teachers of a training, on its device."""

    of: tuple[Teacher, ...]
    temperature: float
    weight: float
    """Share of the loss that is theirs."""
    tell_values: bool
    """Whether the student reads clinical values."""

    @torch.no_grad()
    def answer(self, mixed: Mixed, numeric: Tensor, categorical: Tensor) -> Tensor:
        """Give the mean of the teachers' softened probabilities, float32 [B, classes].

        :param mixed: what the student scores; pictures are prepared, augmented and mixed.
        :param numeric: float32 [B, Nn] before any mixing, with those hidden that the student does not see.
        :param categorical: int32 [B, Nc], likewise.
        """
        if not self.tell_values:
            numeric, categorical = torch.full_like(numeric, torch.nan), torch.full_like(categorical, -1)
        softened = [
            torch.softmax(each.logits(mixed, numeric, categorical) / self.temperature, dim=1) for each in self.of
        ]
        return torch.stack(softened).mean(dim=0)

    def loss(self, on_labels: Tensor, logits: Tensor, answer: Tensor) -> Tensor:
        """Join the loss on the labels, a scalar, with that on the teachers' answer.

        :param logits: the student's, float32 [B, classes].
        :param answer: of the teachers to the same batch.
        """
        student = functional.log_softmax(logits / self.temperature, dim=1)
        apart = functional.kl_div(student, answer, reduction="batchmean")
        return (1 - self.weight) * on_labels + self.weight * self.temperature**2 * apart


def teacher_records(
    paths: Sequence[Path], config: TrainConfig, schema: DataSchema, split: Split, samples: Sequence[Sample] = ()
) -> list[dict[str, Any]]:
    """Look, before anything is written, whether runs can teach a new one.

    :param paths: folders of the runs.
    :param config: settings of the new run, as are `schema`, `split` and `samples`.
    :return: what the record of the new run is to say of each: its folder, the SHA-256 of its weights, and what network
        it is.
    :raises UsageError: a teacher answers another question, or is named twice; or the new training sees no pictures.
    :raises InputRejected: a teacher was trained on what the new run is validated or tested on.
    :raises DermedgeError: no run there, no weights, or damaged ones.
    """
    if config.freeze_image_branch:
        raise UsageError("--teacher shows pictures, and --freeze-image-branch trains on features: leave one out.")
    records: list[dict[str, Any]] = []
    for path in paths:
        run = Run.open(path)
        if fusion_class(run.config.fusion).uses_image:
            family_of(run.config.image_branch)  # refuses given embeddings: a teacher is shown pictures
        _check_question(run, config, schema)
        check_unseen(run, split, samples, "Take a teacher")
        for earlier in records:
            if earlier["sha256"] == run.weights_sha256:
                raise UsageError(f"--teacher names the same weights twice: {earlier['path']} and {path}.")
        _network(run)
        records.append(
            {
                "path": str(path.resolve()),
                "sha256": run.weights_sha256,
                "image_branch": run.config.image_branch,
                "fusion": run.config.fusion,
                "image_size": run.config.image_size,
            }
        )
    return records


def hashes_of(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Give what the settings of a run say of its teachers: the SHA-256 of the weights of each."""
    return [record["sha256"] for record in records]


def recorded_teachers(run: Run) -> list[dict[str, Any]]:
    """Give `teacher_records` of a run; empty where it had no teacher.

    :raises DermedgeError: the record and the settings of the run differ.
    """
    records: list[dict[str, Any]] = run.record.get(TEACHERS, [])
    if hashes_of(records) != run.config.teachers:
        raise DermedgeError(f"{run.config_file} is damaged (settings and record name other teachers). Train it again.")
    return records


def teachers_of(run: Run, device: torch.device) -> Teachers | None:
    """Open the teachers that the record of a run names; None where it has none.

    :raises DermedgeError: a teacher is gone, damaged, or has other weights than when the run began.
    """
    records, opened = recorded_teachers(run), list[Teacher]()
    for record in records:
        teacher = Run.open(record["path"])
        if teacher.weights_sha256 != record["sha256"]:
            raise DermedgeError(
                f"The teacher in {teacher.path} has other weights than when the run in {run.path} began"
                f" ({teacher.weights_sha256[:12]}, not {record['sha256'][:12]}). Put the earlier ones back, or start"
                " again with --overwrite."
            )
        network = _network(teacher).eval().requires_grad_(requires_grad=False)
        opened.append(Teacher(network.to(device).to(memory_format=torch.channels_last), teacher.config.image_size))
    config = run.config
    told = fusion_class(config.fusion).uses_clinical
    return Teachers(tuple(opened), config.temperature, config.teacher_weight, told) if opened else None


def _network(run: Run) -> FusedClassifier:
    network = build_model(run.config, run.schema)
    _ = run.weights_sha256  # says what to do where there are none
    try:
        network.load_state_dict(unshifted(read_tensors(run.weights_file)))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DermedgeError(f"The weights {run.weights_file} cannot be loaded: {reason}") from error
    return network


def _check_question(teacher: Run, config: TrainConfig, schema: DataSchema) -> None:
    theirs, reads = teacher.config, fusion_class(teacher.config.fusion)
    if teacher.schema.classes != schema.classes:
        raise UsageError(
            f"The teacher in {teacher.path} tells {', '.join(teacher.schema.classes)} apart, and this training"
            f" {', '.join(schema.classes)}. Take a teacher with the same classes in the same order."
        )
    fields = [each.clinical(of.protocol).fields for each, of in ((teacher.schema, theirs), (schema, config))]
    if reads.uses_clinical and fields[0] != fields[1]:
        raise UsageError(
            f"The teacher in {teacher.path} reads other clinical fields than the data of this training have"
            f" (schema {teacher.schema.name}, protocol {theirs.protocol}; here {schema.name}, {config.protocol})."
            " Take a teacher with the same --schema and --protocol."
        )
    if not reads.uses_image:
        return
    if not fusion_class(config.fusion).uses_image:
        raise UsageError(f"The teacher in {teacher.path} reads pictures, and {config.fusion} has none to show it.")
    for name in _SHOWN_ALIKE:
        own, other = getattr(config, name), getattr(theirs, name)
        if own != other:
            raise UsageError(
                f"The teacher in {teacher.path} was trained with {name} {other}, and this training has {own}: it is"
                " shown the same pictures. Train both alike."
            )
