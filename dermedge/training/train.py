"""The training loop (paper, section 3.6.2), readable from top to bottom.

Every epoch starts from a seed made of (run seed, epoch), so a run resumed after a kill draws the same photographs,
augmentations and dropout masks as one never interrupted, and on a CPU ends with the same weights. Several processes
share every batch (`processes`); each draws from a seed of its own. What of the network is trained, and on what, is a
`TrainedPart`.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from dermedge.config import TrainConfig
from dermedge.data.batches.augment import hide_clinical
from dermedge.data.batches.lesion_data import LesionData, balanced_epoch
from dermedge.data.batches.mixing import mix
from dermedge.data.batches.torchvision_steps import check_steps
from dermedge.data.cache.on_gpu import keep_on_device
from dermedge.data.ham10000 import HAM10000
from dermedge.data.samples import Sample
from dermedge.data.schema import DataSchema
from dermedge.data.splits import Split
from dermedge.models.autocast import autocast
from dermedge.models.fusion import fusion_class
from dermedge.progress import progress
from dermedge.statistics.metrics import balanced_accuracy
from dermedge_runtime import __version__
from dermedge_runtime.errors import DermedgeError, InputRejected, UsageError

from .alignment import WEIGHTS, Alignment, check_pairs
from .checkpoint import check_weights, load_checkpoint, read_tensors, save_checkpoint, save_weights
from .embedding_training import HeadOnEmbeddings
from .epoch_line import epoch_line
from .feature_selection import select_features
from .global_batch_norm import share_batch_statistics
from .growing_pictures import check_start_size, shrunk, size_in, stride_of
from .head_training import head_on_start_weights, recorded_trunk
from .logits import predict_logits
from .look_inside import LookInside, check_look_inside
from .losses import ClassificationLoss
from .made_pictures import pictures_of
from .prior_shift import Validation, balanced_accuracy_shifted
from .processes import ALONE, Processes, torch_device
from .quantise_aware import QuantiseAware
from .run import Run
from .run_folder import RunFolder
from .schedule import learning_rate_at, parameter_groups, update_average
from .scoring import training_score
from .shifted_weights import check_prior_shift, recorded_shift, write_shift
from .teachers import teachers_of
from .trained_part import TrainedPart, WholeNetwork

_log = logging.getLogger(__name__)
_AFTER_SHIFT = "validation_balanced_accuracy_after_shift"


def start_run(
    config: TrainConfig,
    split: Split,
    folder: RunFolder,
    schema: DataSchema = HAM10000,
    *,
    allow_missing_images: bool = False,
    extra: Mapping[str, Any] | None = None,
) -> Run:
    """Write the settings, the split and the whole schema of a new run, and open it.

    :param allow_missing_images: as the data were read for it.
    :param extra: what else the run's record is to say.
    """
    record = {
        "classes": list(schema.classes),
        "class_names": dict(schema.class_names),
        "schema": dict(schema.record),
        "allow_missing_images": allow_missing_images,
        "versions": versions(),
    }
    folder.create(config, split, {**record, **(extra or {})})
    return Run.open(folder.path)


def check_ready(config: TrainConfig, samples: list[Sample], split: Split, schema: DataSchema) -> None:
    """Find out, before anything is written, whether a training can start: device, pictures, classes.

    :raises DeviceUnavailable: cuda without a usable GPU.
    :raises InputRejected: pictures that cannot be read, or fewer than two classes.
    :raises UsageError: a prior shift to be chosen on a validation split that there is not, a start size that makes no
        sense, a fusion that reads clinical values of which the schema has none, nothing to
        align, a way to estimate a light that is not taken out, or heat that cannot be compared with masks.
    :raises DermedgeError: a package of the augmentation is not installed.
    """
    torch_device(config.device)
    if fusion_class(config.fusion).uses_clinical and not schema.clinical(config.protocol).names:
        raise UsageError(
            f"{schema.name} has no clinical fields, and {config.fusion} reads some. Train with --fusion image_only."
        )
    check_pairs(config)
    if config.light_estimate != "shades_of_gray" and not config.colour_constancy:
        raise UsageError("--light-estimate is for --colour-constancy: give both, or leave it out.")
    if config.look_inside:
        check_look_inside(config, split.select(samples, "train"), schema)
    check_prior_shift(config.prior_shift, split)
    check_start_size(config)
    check_steps(config.augmentation)
    for part in ("train", "validation"):
        LesionData.load(split.select(samples, part), schema.clinical(config.protocol), config)
    classes = {sample.label for sample in split.select(samples, "train")}
    if len(classes) < 2:
        raise InputRejected("The training images are all of one class, or there are none; there is nothing to learn.")


def versions() -> dict[str, str]:
    """Versions that a result depends on."""
    return {"dermedge": __version__, "torch": torch.__version__, "numpy": np.__version__}


def train(
    config: TrainConfig, samples: list[Sample], run: Run, processes: Processes = ALONE, *, compiled: bool = False
) -> list[dict[str, Any]]:
    """Train until `config.epochs`, from the run's checkpoint if it has one; the log says a line per epoch.

    :param run: made by `start_run`.
    :param processes: that train this run together; every one of them calls this.
    :param compiled: score with torch.compile.
    :return: the history, one row per epoch.
    :raises InputRejected: a picture that cannot be read.
    :raises UsageError: a run whose trunk is another run's (`head_training`).
    :raises DermedgeError: the loss is no longer a number.
    """
    if recorded_trunk(run.record) is not None:
        raise UsageError(
            f"The run in {run.path} trains a head on the image branch of another run."
            " Go on with the `dermedge compare` that began it."
        )
    part: TrainedPart | None = None
    if run.embeddings is not None:
        part = HeadOnEmbeddings(config, run.schema, run.embeddings)
    elif config.freeze_image_branch:
        part = head_on_start_weights(config, run)
    elif config.quantise_aware:
        part = QuantiseAware(config, run.schema)
    return go_on(Trainer(config, samples, run, processes, part=part, compiled=compiled))


def go_on(trainer: Trainer) -> list[dict[str, Any]]:
    """Train from the run's checkpoint, if it has one, to the last epoch; see `train`."""
    if resume(trainer):
        _log.info("resumed after epoch %d", len(trainer.history))
    for row in remaining_epochs(trainer):
        _log.info("%s", epoch_line(row, trainer.config.epochs))
    return trainer.history


def resume(trainer: Trainer) -> bool:
    """Clear what a killed training left half written, and go back to the run's checkpoint; False if it has none."""
    trainer.run.check_places()
    trainer.run.remove_leftovers()
    if found := trainer.run.checkpoint_file.is_file():
        trainer.restore()
    return found


def remaining_epochs(trainer: Trainer) -> Iterator[dict[str, Any]]:
    """Train every epoch that is left, and give its row of the history as it ends; see `train`.

    After the last one the shift of class priors is written, unless a training killed later than that has done so.
    """
    for epoch in range(len(trainer.history), trainer.config.epochs):
        yield trainer.run_epoch(epoch)
    trainer.processes.from_first(trainer.shift_priors)


class Trainer:
    """State of a run in memory: data, network, optimiser, history."""

    def __init__(
        self,
        config: TrainConfig,
        samples: list[Sample],
        run: Run,
        processes: Processes = ALONE,
        *,
        part: TrainedPart | None = None,
        compiled: bool = False,
    ) -> None:
        """Load the data and make the network.

        :param part: of the network that is trained; by default all of it.
        """
        self.config, self.run, self.processes = config, run, processes
        self.device = torch_device(config.device, processes)
        split, self.schema = run.split, run.schema
        self.part = part or (LookInside if config.look_inside else WholeNetwork)(config, self.schema)
        photographs = split.select(samples, "train")
        parts = {"train": [*photographs, *pictures_of(run)], "validation": split.select(samples, "validation")}
        loaded = [self.part.load(each, name) for name, each in parts.items()]
        self.data, self.validation = keep_on_device(loaded, self.device)
        self.real = slice(len(photographs))  # whose patients and frequencies are learned, not those of generated ones
        self.teachers = teachers_of(run, self.device)  # before the seed: making them draws numbers
        torch.manual_seed(config.seed)
        self.model = self.part.new_network()
        hidden = 1 - (1 - config.hide_clinical) * (1 - config.hide_patient)
        patients = self.data.numeric[self.real], self.data.categorical[self.real], hidden
        self.model.fit_clinical(*patients, anew=True)
        if config.start_from:
            self.part.load_start(run.start_file, self.model)
            self.model.fit_clinical(*patients, anew=False)
        self.alignment = Alignment(self.model.head) if config.align else None
        if self.alignment is not None:
            self.model.add_module(WEIGHTS.rstrip("."), self.alignment)  # so that checkpoints and optimiser have it
        if processes.count > 1:
            share_batch_statistics(self.model, self.device)
        self.model.to(self.device).to(memory_format=torch.channels_last)
        if config.select_features:
            select_features(self.model, self.data, config)
        if isinstance(self.part, LookInside):
            self.part.watch(self.model)
        self.score = training_score(self.model, processes, compiled=compiled)
        self.loss = self._loss().to(self.device)
        # Fused: one pass over the weights, a sixth of the optimiser's time where a product fusion has 34 million.
        self.optimizer = torch.optim.Adam(
            parameter_groups(self.model, config),
            config.learning_rate,
            weight_decay=config.weight_decay,
            decoupled_weight_decay=True,
            fused=True,
        )
        self.rates = [group.pop("share") for group in self.optimizer.param_groups]
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=config.precision == "fp16")
        self.average = {k: v.clone() for k, v in self.model.state_dict().items()} if config.ema else None
        self.history: list[dict[str, Any]] = []

    def _loss(self) -> ClassificationLoss:
        config = self.config
        draws = balanced_epoch(self.data.labels, config.per_class, np.random.default_rng(0), config.balance)
        return ClassificationLoss(
            np.bincount(self.data.labels[draws], minlength=len(self.schema.classes)),
            class_weights=config.class_weights,
            focal=config.focal,
            label_smoothing=config.label_smoothing,
            logit_adjustment=config.logit_adjustment,
        )

    def restore(self) -> None:
        """Go back to the state after the last whole epoch.

        :raises DermedgeError: the checkpoint, or the best weights so far, are missing or damaged.
        """
        rest = load_checkpoint(self.run.checkpoint_file, self.model, self.optimizer, self.average)
        self.scaler.load_state_dict(rest["scaler"])
        self.history = rest["history"]
        if any(row["best"] for row in self.history):
            check_weights(self.run.weights_file)

    def run_epoch(self, epoch: int) -> dict[str, Any]:
        """Train and validate one epoch (counted from 0), then write weights, history and checkpoint."""
        started = time.perf_counter()
        torch.manual_seed(self.config.seed * 1_000_003 + epoch + self.processes.seed_offset)
        rng = np.random.default_rng((self.config.seed, epoch))
        order = balanced_epoch(self.data.labels, self.config.per_class, rng, self.config.balance)
        if len(order) % self.config.batch_size == 1:
            order = order[:-1]  # batch normalisation cannot learn from a single photograph
        order = self.processes.whole(order)
        loss, accuracy = self._train(order, epoch)
        trained = time.perf_counter() - started
        row: dict[str, Any] = {
            "epoch": epoch + 1,
            "learning_rate": self.optimizer.param_groups[-1]["lr"],
            "train_loss": loss,
            "train_accuracy": accuracy,  # under mixup the share of the hits on the unmixed label
        }
        row = self.processes.from_first(lambda: self._finish(row, len(order), started, trained))
        self.history.append(row)
        return row

    def shift_priors(self) -> None:
        """Write the shift of class priors that the settings ask for into the best weights, if they have none yet."""
        if self.config.prior_shift and recorded_shift(self.run) is None:
            write_shift(self.run, self.config.prior_shift, self.data.labels[self.real], self._best_on_validation)

    def _best_on_validation(self) -> Validation:
        model, best = self.part.published_network(), read_tensors(self.run.weights_file)
        model.load_state_dict({name: best[name] for name in model.state_dict()})  # without a trunk that is not trained
        model.to(self.device).to(memory_format=torch.channels_last)
        # In float32, as the published network computes.
        return Validation(predict_logits(model, self.validation, self.device), self.validation.labels)

    def _finish(self, row: dict[str, Any], drawn: int, started: float, trained: float) -> dict[str, Any]:
        row |= {
            **self._validate(),
            "seconds": round(time.perf_counter() - started, 2),
            "images_per_second": round(drawn / trained, 1),
        }
        row["best"] = self._is_best(row)
        if row["best"]:
            save_weights(self.run.weights_file, self.part.published(self._kept()))
        history = [*self.history, row]
        self.run.write_history(history)
        rest = {"history": history, "scaler": self.scaler.state_dict()}
        # Last: a run killed before this line repeats the epoch and writes the same files again.
        save_checkpoint(self.run.checkpoint_file, self.model, self.optimizer, self.average, rest)
        return row

    def _train(self, order: np.ndarray[Any, np.dtype[np.int64]], epoch: int) -> tuple[float, float]:
        self.model.train()
        share, size = self.processes.share(order), self.processes.share_of(self.config.batch_size)
        steps = math.ceil(len(share) / size)
        losses, hits = torch.zeros((), device=self.device), torch.zeros((), device=self.device)
        batches = self.data.batches(share, size, self.device)
        size_now = size_in(epoch, self.config, stride_of(self.model))
        label, shown = f"epoch {epoch + 1}", self.processes.first
        for step, batch in enumerate(progress(batches, label, total=steps, shown=shown)):
            self._set_learning_rate(epoch + step / steps)
            visual = self.part.seen(shrunk(batch, size_now))
            hiding = self.config.hide_clinical, self.config.hide_patient
            values = hide_clinical(batch.numeric, batch.categorical, *hiding)
            mixed = mix(visual, self.model.encode(*values), self.config.mixup, self.config.cutmix)
            with autocast(self.config.precision, self.device):
                logits = self.score(mixed.visual, mixed.clinical)
                loss = mixed.share * self.loss(logits, batch.label)
                if mixed.partner is not None:
                    loss = loss + (1 - mixed.share) * self.loss(logits, batch.label[mixed.partner])
            if self.alignment is not None:
                loss = loss + self.config.align * self.alignment.loss(epoch + step / steps)
            if self.teachers is not None:  # outside of autocast: in float32
                loss = self.teachers.loss(loss, logits, self.teachers.answer(mixed, *values))
            if isinstance(self.part, LookInside):
                loss = loss + self.config.look_inside * self.part.loss(logits, batch.label)
            self.optimizer.zero_grad(set_to_none=True)
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
            if self.alignment is not None:
                self.alignment.follow()
            if self.average is not None:
                done = epoch * steps + step
                # A young average must not remember the random start: its decay grows with the steps.
                update_average(self.average, self.model, min(self.config.ema, (1 + done) / (10 + done)))
            losses += loss.detach() * len(batch.label)
            hits += (logits.argmax(1) == batch.label).sum()
        self.processes.add_up(losses, hits)
        mean_loss = float(losses) / len(order)
        if not math.isfinite(mean_loss):
            raise DermedgeError(
                f"The training loss of epoch {epoch + 1} is {mean_loss}."
                " Lower --learning-rate, or train with --precision fp32."
            )
        return mean_loss, float(hits) / len(order)

    def _validate(self) -> dict[str, float | None]:
        if not len(self.validation):
            return {"validation_loss": None, "validation_accuracy": None, "validation_balanced_accuracy": None}
        model = self.part.new_network().to(self.device).to(memory_format=torch.channels_last)
        model.load_state_dict(self._kept())
        logits = predict_logits(model, self.validation, self.device, self.config.precision)
        labels = torch.from_numpy(self.validation.labels)
        predicted = logits.argmax(1).numpy()
        row: dict[str, float | None] = {
            "validation_loss": float(functional.cross_entropy(logits, labels)),
            "validation_accuracy": float(np.mean(predicted == self.validation.labels)),
            "validation_balanced_accuracy": balanced_accuracy(self.validation.labels, predicted),
        }
        if tau := self.config.prior_shift:
            found = Validation(logits, self.validation.labels)
            row[_AFTER_SHIFT] = balanced_accuracy_shifted(tau, self.data.labels[self.real], self.schema, found)
        return row

    def _kept(self) -> dict[str, Tensor]:
        kept = self.model.state_dict() if self.average is None else self.average
        return {name: tensor for name, tensor in kept.items() if not name.startswith(WEIGHTS)}

    def _is_best(self, row: dict[str, Any]) -> bool:
        if row["validation_balanced_accuracy"] is None:
            return all(row["train_loss"] < earlier["train_loss"] for earlier in self.history)
        # What is published is the network after its shift: the best before it need not be the best behind it.
        scores = [each.get(_AFTER_SHIFT, each["validation_balanced_accuracy"]) for each in (row, *self.history)]
        return all(scores[0] > earlier for earlier in scores[1:])

    def _set_learning_rate(self, progress_epochs: float) -> None:
        rate = learning_rate_at(progress_epochs, self.config)
        for group, share in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * share
