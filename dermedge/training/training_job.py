"""`dermedge train`: options of the command line -> a run that is ready -> its training."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from dermedge.config import TrainConfig
from dermedge.data.samples import Sample, read_samples
from dermedge.data.schema import DataSchema
from dermedge.data.schema_file import load_schema
from dermedge.data.splits import Split, check_leaks, make_split
from dermedge_runtime.errors import DermedgeError, UsageError

from .checkpoint import save_weights
from .head_training import check_frozen
from .processes import Processes, joined, torch_device
from .run_folder import RunFolder
from .start_weights import start_weights
from .train import check_ready, settings_from_options, start_run, train

_Start: TypeAlias = tuple[TrainConfig, DataSchema, list[Sample]]
_NO_SETTINGS = frozenset({"schema", "allow_missing_images", "resume", "overwrite", "start_from", "compiled"})


def run_training_job(
    run: RunFolder, options: Mapping[str, Any], given: AbstractSet[str], *, log: Callable[[str], None]
) -> None:
    """Start or resume a run, and train it to its end, together with the other processes that torchrun has started.

    :param options: all options of the command.
    :param given: names of those that the user wrote; the others are defaults.
    :raises UsageError: options that contradict each other, the run that is resumed, or the number of processes.
    :raises DeviceUnavailable: no usable GPU, or fewer devices than processes.
    :raises DermedgeError: a run is there already, or none to resume.
    :raises InputRejected: schema or data cannot be used.
    """
    resume = options["resume"]
    with joined() as processes:
        if not processes.first:
            log = _quiet
        (config, schema, samples), split = processes.from_first(lambda: _start(run, options, given, log))
        if config.freeze_image_branch:
            check_frozen(config, processes, compiled=options["compiled"])
        elif "feature_views" in given:
            raise UsageError("--feature-views is for --freeze-image-branch: give both or neither.")
        processes.each(lambda: _check(config, samples, split, schema, processes))

        def begin() -> None:
            start = start_weights(options["start_from"], config, schema, split, samples) if config.start_from else None
            run.clear()
            if start is not None:
                save_weights(run.start_file, start.tensors)
            start_run(config, split, run, schema, allow_missing_images=options["allow_missing_images"])

        if not resume:
            processes.from_first(begin)
        try:
            train(config, samples, run, processes, compiled=options["compiled"])
        except KeyboardInterrupt:
            log(f"Go on with: dermedge train --run {run.path} --resume")
            raise
        log(f"best weights in {run.weights_file}")


def _quiet(line: str) -> None:
    """Leave the telling to the first process."""


def _start(
    run: RunFolder, options: Mapping[str, Any], given: AbstractSet[str], log: Callable[[str], None]
) -> tuple[_Start, Split]:
    resume = options["resume"]
    if resume and options["overwrite"]:
        raise UsageError("--resume and --overwrite exclude each other.")
    config, schema, samples = _resumed(run, options, given, log) if resume else _new(run, options, log)
    split = run.split() if resume else make_split(samples, config.protocol, config.seed, schema)
    leaks, tested = check_leaks(split, samples), len(split.ids("test"))
    log(
        f"{len(samples)} images; leak check: {leaks} of {tested} test images show a {split.group_name}"
        " that is also in training"
    )
    if options["start_from"] is not None and not resume:
        start = start_weights(options["start_from"], config, schema, split, samples)
        config = replace(config, start_from=start.sha256)
        log(start.summary)
    return (config, schema, samples), split


def _check(config: TrainConfig, samples: list[Sample], split: Split, schema: DataSchema, processes: Processes) -> None:
    processes.share_of(config.batch_size)
    torch_device(config.device, processes)
    if processes.local_rank == 0:  # decodes the pictures, once for all processes of a machine
        check_ready(config, samples, split, schema)


def _settings(options: Mapping[str, Any], names: AbstractSet[str] | None = None) -> dict[str, Any]:
    chosen = options.keys() if names is None else names
    if names is None and not options["freeze_image_branch"]:
        chosen = chosen - {"feature_views"}  # of no meaning without it
    return {name: options[name] for name in chosen if name not in _NO_SETTINGS}


def _new(run: RunFolder, options: Mapping[str, Any], log: Callable[[str], None]) -> _Start:
    """Settings, schema and data of a new run."""
    if run.config_file.exists() and not options["overwrite"]:
        raise DermedgeError(
            f"{run.path} holds a run already. Pass --resume, --overwrite, or another folder with --run."
        )
    if (found := run.own_files()) and not options["overwrite"]:
        raise DermedgeError(
            f"{found[0]} has the name of a file of a run, but there is no run beside it. Pass --overwrite to"
            " replace it, or another folder with --run."
        )
    config, schema = settings_from_options(_settings(options)), load_schema(options["schema"])
    folder, allow = Path(config.data) if config.data else None, options["allow_missing_images"]
    return config, schema, read_samples(folder, schema, allow_missing_images=allow, log=log)


def _resumed(run: RunFolder, options: Mapping[str, Any], given: AbstractSet[str], log: Callable[[str], None]) -> _Start:
    """Settings, schema and data of an earlier run; the data may lie elsewhere by now."""
    config, schema = run.config(), run.schema()
    moved = settings_from_options(_settings(options, given & {"data"}), config)
    changed = settings_from_options(_settings(options, given), config).differences(moved)
    # As text, because the order of the classes and fields counts.
    if "schema" in given and json.dumps(load_schema(options["schema"]).record) != json.dumps(schema.record):
        changed.append(f"schema {schema.name} -> {options['schema']}")
    if "allow_missing_images" in given and not run.record().get("allow_missing_images"):
        changed.append("allow_missing_images no -> yes")
    if "start_from" in given and RunFolder(options["start_from"]).weights_sha256() != config.start_from:
        changed.append(f"start_from {config.start_from[:12] or 'nothing'} -> {options['start_from']}")
    if changed:
        raise UsageError(
            f"The run in {run.path} was started with other settings: {', '.join(changed)}. Leave them out."
        )
    return moved, schema, run.samples(Path(moved.data) if moved.data else None, log)
