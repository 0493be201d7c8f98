"""A whole training: a new run is made ready, or an earlier one found fit to go on, and then trained to its last epoch.

Everything that can be refused is refused before anything is written. Under `torchrun` all processes do this together.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dermedge.asked_settings import AskedSettings
from dermedge.config import EMBEDDINGS, PriorTau, TrainConfig
from dermedge.data.files.content_hashes import hash_file
from dermedge.data.given_embeddings import GivenEmbeddings, read_embeddings
from dermedge.data.samples import Sample, read_samples
from dermedge.data.schema import DataSchema
from dermedge.data.schema_file import load_schema
from dermedge.data.splits import Split, check_leaks, make_split
from dermedge.models.branches.picture_size import check_picture_size
from dermedge.models.fusion import fusion_class
from dermedge.recipes.training_settings import RECIPE
from dermedge_runtime.errors import DermedgeError, InputRejected, UsageError

from .alignment import check_one_process
from .chosen_settings import changed_settings
from .embedding_training import check_embeddings
from .feature_selection import check_selection
from .head_training import check_frozen
from .look_inside import check_one_network
from .made_pictures import SYNTHETIC, MadePictures, check_synthetic, recorded_pictures
from .one_writer import one_writer
from .predictions import labels_of, validation_answers
from .processes import Processes, joined, torch_device
from .pruning import with_pruned
from .quantise_aware import check_quantise_aware
from .run import Run
from .run_folder import RunFolder
from .shifted_weights import check_prior_shift, write_shift
from .start_weights import Pretrained, StartWeights, keep_start_weights, pretrained_weights, start_weights
from .teachers import TEACHERS, hashes_of, teacher_records
from .train import check_ready, start_run, train

_log = logging.getLogger(__name__)
_LOCK = ".training.lock"


@dataclass(frozen=True, slots=True)
class NewRun:
    """What a new run is made with beside its settings."""

    schema: str = "ham10000"
    """Name of a schema in the box, or a `.toml` file."""
    allow_missing_images: bool = False
    """Leave rows out whose picture is absent."""
    start_from: Path | None = None
    """Folder of the run whose best weights the training starts from."""
    pretrained: Pretrained | None = None
    """Weights of another library that the image branch starts from."""
    overwrite: bool = False
    """Replace an earlier run in the same folder."""
    teachers: tuple[Path, ...] = ()
    """Folders of the runs that teach it."""
    synthetic: Path | None = None
    """Folder of generated pictures that it reads beside the photographs of the training split."""
    recipe: dict[str, Any] = field(default_factory=dict)
    """What the run's record is to say of the recipe that it is trained by; empty: none."""
    embeddings: Path | None = None
    """File of embeddings that it reads in the place of pictures; the settings say so too (`on_embeddings`)."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a run is expected to be that a training goes on with; one that is otherwise is refused."""

    settings: AskedSettings
    """Only a data folder may differ from the run's: the data may lie elsewhere by now."""
    schema: str | None = None
    allow_missing_images: bool = False
    start_from: Path | None = None
    pretrained: Pretrained | None = None
    teachers: tuple[Path, ...] = ()
    synthetic: Path | None = None
    recipe: str = ""
    """Name of the recipe that it was trained by; empty: whichever it was."""
    embeddings: Path | None = None


@dataclass(frozen=True, slots=True)
class _Ready:
    """What a training runs on."""

    config: TrainConfig
    schema: DataSchema
    samples: list[Sample]
    split: Split
    teachers: list[dict[str, Any]] = field(default_factory=list)
    """What the record of a new run is to say of them."""
    synthetic: dict[str, Any] = field(default_factory=dict)
    """And of generated pictures."""
    embeddings: GivenEmbeddings | None = None
    """What is read in the place of pictures."""


def start_training(folder: RunFolder, config: TrainConfig, new: NewRun, *, compiled: bool = False) -> Run:
    """Make a run and train it to its end, together with the other processes that torchrun has started.

    :param compiled: with torch.compile, for GPUs.
    :raises UsageError: settings that contradict each other or the number of processes.
    :raises DeviceUnavailable: no usable GPU, or fewer devices than processes.
    :raises DermedgeError: a run is there already.
    :raises InputRejected: schema or data cannot be used.
    """
    with joined() as processes, ExitStack() as held:
        ready = processes.from_first(lambda: _new(folder, config, new))
        _check(ready, processes, compiled=compiled)
        processes.from_first(lambda: held.enter_context(no_other_training(folder)))
        processes.from_first(lambda: _refuse_earlier(folder, new))  # again: another may have begun and ended meanwhile
        processes.from_first(lambda: _begin(folder, ready, new))
        run = processes.each(lambda: Run.open(folder.path))
        _train(run, ready, processes, compiled=compiled)
    return run


def resume_training(path: Path, expected: Expected, *, compiled: bool = False) -> Run:
    """Train a run from its last whole epoch to its end, with its own settings; otherwise as `start_training`.

    :raises UsageError: the run is not as expected.
    :raises DermedgeError: no run there, or a damaged one.
    """
    with joined() as processes, ExitStack() as held:
        run = processes.each(lambda: Run.open(path))
        processes.from_first(lambda: held.enter_context(no_other_training(run)))
        ready = processes.from_first(lambda: _resumed(run, expected))
        if processes.first and not run.checkpoint_file.is_file():
            _log.info("no checkpoint in %s: the training begins at its first epoch", run.path)
        _check(ready, processes, compiled=compiled)
        _train(run, ready, processes, compiled=compiled)
    return run


def shift_priors(path: Path, tau: PriorTau, data: Path | None = None) -> dict[str, Any]:
    """Write a shift of class priors into the best weights of a run that was trained before, without training.

    :param tau: in the place of the one that the run has; auto chooses it on the validation split, 0 takes it back.
    :param data: where the data lie by now; by default where they lay for the training.
    :return: its record; see `prior_shift.choose_shift`.
    :raises UsageError: auto without a validation split, or an ensemble.
    :raises InputRejected: pictures of the split are missing.
    :raises DermedgeError: no run there, no weights yet, damaged ones, or a training is writing to them.
    """
    run = Run.open(path)
    fusion_class(run.config.fusion)  # refuses an ensemble, whose members have each a shift of their own
    check_prior_shift(tau, run.split)
    _ = run.weights_sha256  # says what to do where there are none
    samples = run.samples(data)
    labels = labels_of(run.split.select(samples, "train"))
    with no_other_training(run):
        return write_shift(run, tau, labels, lambda: validation_answers(run, samples))


def _new(folder: RunFolder, config: TrainConfig, new: NewRun) -> _Ready:
    """Read schema and data of a new run, split them, and look at what it starts from."""
    folder.check_places(Path(config.data) if config.data else None)
    _refuse_earlier(folder, new)
    embeddings = None if new.embeddings is None else read_embeddings(new.embeddings)
    if fusion_class(config.fusion).uses_image and embeddings is None:
        check_picture_size(config.image_branch, config.image_size)
    schema, data = load_schema(new.schema), Path(config.data) if config.data else None
    samples = read_samples(data, schema, allow_missing_images=new.allow_missing_images)
    split = make_split(samples, config.protocol, config.seed_of_split, schema)
    ready = _Ready(config, schema, samples, split, embeddings=embeddings)
    _tell(ready)
    _check_given(ready)
    ready = _with_synthetic(new, _taught(folder, new, ready))
    start = _start(new, ready)
    if start is None:
        return ready
    _log.info("%s", start.summary)
    return replace(ready, config=replace(ready.config, start_from=start.sha256, widths=start.widths))


def _check_given(ready: _Ready) -> None:
    """See that every picture of the split has an embedding, where they are read: the test pictures too."""
    if ready.embeddings is not None:
        of_split = {image_id for image_id, _, _ in ready.split.rows}
        ready.embeddings.of([sample for sample in ready.samples if sample.image_id in of_split])


def _taught(folder: RunFolder, new: NewRun, ready: _Ready) -> _Ready:
    """Look at the teachers of a new run."""
    if not new.teachers:
        return ready
    if any(path.resolve() == folder.path.resolve() for path in new.teachers):
        raise UsageError(f"{folder.path} cannot teach the run that takes its place: name another folder with --run.")
    records = teacher_records(new.teachers, ready.config, ready.schema, ready.split, ready.samples)
    _log.info("taught by %s", ", ".join(record["path"] for record in records))
    return replace(ready, config=replace(ready.config, teachers=hashes_of(records)), teachers=records)


def _with_synthetic(new: NewRun, ready: _Ready) -> _Ready:
    """Look at the generated pictures of a new run."""
    if new.synthetic is None:
        return ready
    made, config = MadePictures.open(new.synthetic), ready.config
    made.check(ready.split, ready.schema)
    made.samples(ready.schema)  # refuses a value that no patient can have
    _log.info("with generated pictures: %s", ", ".join(f"{count} of {code}" for code, count in made.counts.items()))
    return replace(ready, config=replace(config, synthetic=made.sha256), synthetic=recorded_pictures(made))


def _start(new: NewRun, ready: _Ready) -> StartWeights | None:
    """Give what a new run starts from; None: random weights."""
    if new.pretrained is not None:
        if new.start_from is not None:
            option = "--pretrained" if new.pretrained.file is None else "--pretrained-file"
            raise UsageError(f"{option} and --start-from both say what to start from. Leave one of them out.")
        return pretrained_weights(new.pretrained, ready.config)
    if new.start_from is not None:
        start = start_weights(new.start_from, ready.config, ready.schema, ready.split, ready.samples)
        return with_pruned(start, Run.open(new.start_from), ready.config.prune) if ready.config.prune else start
    return None


def _refuse_earlier(folder: RunFolder, new: NewRun) -> None:
    if folder.config_file.exists() and not new.overwrite:
        raise DermedgeError(
            f"{folder.path} holds a run already. Resume it (--resume), replace it (--overwrite), or name another folder"
            " (--run)."
        )
    if (found := folder.own_files()) and not new.overwrite:
        raise DermedgeError(
            f"{found[0]} has the name of a file of a run, but there is no run beside it. Pass --overwrite to"
            " replace it, or another folder with --run."
        )


@contextmanager
def no_other_training(folder: RunFolder) -> Iterator[None]:
    """Hold the folder, so that two trainings on one machine do not mix their files in it; see `file_lock`.

    :raises DermedgeError: another training holds it.
    """
    folder.path.mkdir(parents=True, exist_ok=True)
    busy = f"Another training is writing to {folder.path}. Wait for its end, or name another folder with --run."
    with one_writer(folder.path / _LOCK, busy):
        yield


def _trained_by(schema: DataSchema) -> str:
    """Give what a training reads of a schema; which classes are urgent matters to a model file alone."""
    return json.dumps({key: value for key, value in schema.record.items() if key != "urgent"})


def _resumed(run: Run, expected: Expected) -> _Ready:
    """Compare an earlier run with what is expected, and read its data."""
    schema, found = run.schema, changed_settings(run.config, expected.settings)
    config = replace(run.config, data=found.data)
    changed = found.differences(config)
    # As text, because the order of the classes and fields counts.
    if expected.schema is not None and _trained_by(load_schema(expected.schema)) != _trained_by(schema):
        changed.append(f"schema {schema.name} -> {expected.schema}")
    if expected.allow_missing_images and not run.record.get("allow_missing_images"):
        changed.append("allow_missing_images no -> yes")
    if expected.start_from is not None and Run.open(expected.start_from).weights_sha256 != config.start_from:
        changed.append(f"start_from {config.start_from[:12] or 'nothing'} -> {expected.start_from}")
    if expected.pretrained is not None:
        changed += expected.pretrained.differences(run)
    if expected.teachers and [Run.open(path).weights_sha256 for path in expected.teachers] != config.teachers:
        changed.append(f"teachers {_short(config.teachers)} -> {', '.join(map(str, expected.teachers))}")
    if expected.synthetic is not None and MadePictures.open(expected.synthetic).sha256 != config.synthetic:
        changed.append(f"synthetic {config.synthetic[:12] or 'none'} -> {expected.synthetic}")
    if expected.recipe and (by := run.record.get(RECIPE, {}).get("name")) != expected.recipe:
        changed.append(f"recipe {by or 'none'} -> {expected.recipe}")
    if expected.embeddings is not None:
        changed += _other_embeddings(run, expected.embeddings)
    if changed:
        raise UsageError(
            f"The run in {run.path} was started with other settings: {', '.join(changed)}. Leave them out."
        )
    ready = _Ready(config, schema, run.samples(config.data or None), run.split, embeddings=run.embeddings)
    _tell(ready)
    _check_given(ready)
    return ready


def _other_embeddings(run: Run, path: Path) -> list[str]:
    """Say which embeddings a run reads, if not those of a file."""
    recorded = run.record.get(EMBEDDINGS, {})
    try:
        same = hash_file(path) == recorded.get("sha256")
    except OSError as error:
        raise InputRejected(f"The embeddings {path} cannot be read: {error.strerror or error}.") from error
    return [] if same else [f"embeddings {recorded.get('path', 'none')} -> {path}"]


def _short(hashes: list[str]) -> str:
    return ", ".join(each[:12] for each in hashes) or "none"


def _tell(ready: _Ready) -> None:
    leaks, tested = check_leaks(ready.split, ready.samples), len(ready.split.ids("test"))
    _log.info(
        "%d images; leak check: %d of %d test images show a %s that is also in training",
        *(len(ready.samples), leaks, tested, ready.split.group_name),
    )


def _check(ready: _Ready, processes: Processes, *, compiled: bool) -> None:
    config = ready.config
    if config.synthetic:
        check_synthetic(config)
    if config.on_embeddings:
        check_embeddings(processes, compiled=compiled)
    if config.freeze_image_branch:
        check_frozen(config, processes, compiled=compiled)
    if config.select_features:
        check_selection(config, processes)
    if config.quantise_aware:
        check_quantise_aware(config, processes, compiled=compiled)
    if config.align:
        check_one_process(processes, compiled=compiled)
    if config.look_inside:
        check_one_network(processes, compiled=compiled)

    def check() -> None:
        processes.share_of(config.batch_size)
        torch_device(config.device, processes)
        if processes.local_rank == 0:  # decodes the pictures, once for all processes of a machine
            check_ready(config, ready.samples, ready.split, ready.schema)

    processes.each(check)


def _begin(folder: RunFolder, ready: _Ready, new: NewRun) -> None:
    start = _start(new, ready)  # again, because the processes hand on what is found out, and not the weights
    folder.clear()
    extra = {} if start is None else keep_start_weights(start, folder)
    if ready.teachers:
        extra |= {TEACHERS: ready.teachers}
    if ready.synthetic:
        extra |= {SYNTHETIC: ready.synthetic}
    if new.recipe:
        extra |= {RECIPE: new.recipe}
    if ready.embeddings is not None:
        extra |= {EMBEDDINGS: ready.embeddings.to_record()}
    allow = new.allow_missing_images
    start_run(ready.config, ready.split, folder, ready.schema, allow_missing_images=allow, extra=extra)


def _train(run: Run, ready: _Ready, processes: Processes, *, compiled: bool) -> None:
    try:
        train(ready.config, ready.samples, run, processes, compiled=compiled)
    except KeyboardInterrupt:
        if processes.first:
            _log.info("Go on with: dermedge train --run %s --resume", run.path)
        raise
    if processes.first:
        _log.info("best weights in %s", run.weights_file)
