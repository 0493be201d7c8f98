"""`dermedge.train` and `dermedge.resume`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from dermedge.require import extras
from dermedge.training.run_names import run_name

from .embedding_settings import refuse_beside
from .names import path_of, refined_name, run_of
from .recipe_settings import by_recipe, recipe_of
from .settings import expected_settings, settings_of

if TYPE_CHECKING:
    from dermedge.asked_settings import AskedSettings
    from dermedge.config import TrainConfig
    from dermedge.training.run import Run

Runs: TypeAlias = "Run | Path | str | Sequence[Run | Path | str]"
RUNS = Path("runs")
"""Where runs lie unless they are told otherwise, each in a folder of the name that `run_name` gives it."""


def train(
    data: Path | str | None = None,
    *,
    fusion: str | None = None,
    config: TrainConfig | AskedSettings | None = None,
    run: Path | str | None = None,
    schema: Path | str = "ham10000",
    allow_missing_images: bool = False,
    start_from: Run | Path | str | None = None,
    pretrained: bool | None = None,
    download: bool = False,
    pretrained_file: Path | str | None = None,
    teachers: Runs = (),
    synthetic: Path | str | None = None,
    recipe: str | None = None,
    embeddings: Path | str | None = None,
    overwrite: bool = False,
    compiled: bool = False,
    **settings: Any,
) -> Run:
    """Train a new run to its last epoch.

    ::

        run = dermedge.train("data/ham10000", fusion="gated", epochs=30, schedule="cosine")
        print(run.config.epochs, run.weights_file)

    Killed, it is taken up again by `resume`. Progress is told by the loggers below `dermedge`, at the level INFO.

    :param data: data folder, in the place of the one of `config`.
    :param fusion: one of `dermedge.models.fusion.FUSIONS`; by default cross_attention.
    :param config: settings to begin with, such as those of another run; by default the paper's, on the device and in
        the precision that suit this machine. `AskedSettings` are what a command line was given.
    :param run: folder to write; by default `runs/FUSION`, `runs/RECIPE`, or `runs/START-quantised`,
        `runs/START-pruned` and `runs/embeddings-FUSION`.
    :param schema: of the data: a shipped one such as ham10000 or pad_ufes_20, or a `.toml` file.
    :param allow_missing_images: leave rows out whose picture is absent.
    :param start_from: run whose best weights to start from, whole or its image branch. With `quantise_aware` or
        `prune` its settings are taken too where none are given, but a tenth of its learning rate.
    :param pretrained: start the image branch from weights that others have trained; None: as the recipe does, and not
        where there is none.
    :param download: open a connection for them if they are not here; without it none is opened.
    :param pretrained_file: take them from this file of safetensors or torch, in the place of `pretrained`.
    :param teachers: runs whose answers it learns too (`temperature`, `teacher_weight`), one or several.
    :param synthetic: folder of generated pictures (`dermedge.synthesise`) to train on beside the photographs.
    :param recipe: name of a system of the literature (`dermedge recipes`), or a `.toml` file: its settings, where
        nothing else is given.
    :param embeddings: file of embeddings of the pictures that others have computed (`.npz`, `.csv`, `.parquet`; see
        `dermedge.data.given_embeddings`), which are read in their place. No model file can be made of such a run.
    :param overwrite: replace an earlier run in the folder.
    :param compiled: score with torch.compile, for GPUs.
    :param settings: fields of `TrainConfig`, and those of its augmentation: flips, rotation, scaling, noise, colour.
        `device` and `precision` may be "auto".
    :return: the run, opened.
    :raises UsageError: an unknown setting, a value out of its range, or settings that contradict each other.
    :raises InputRejected: schema or data cannot be used.
    :raises DeviceUnavailable: cuda without a usable GPU.
    :raises DermedgeError: a run is there already, the loss is no longer a number, or a package is not installed.
    """
    with extras("train"):
        from dermedge.training.run_folder import RunFolder
        from dermedge.training.start_weights import Pretrained
        from dermedge.training.training_job import NewRun, start_training
    if fusion is not None:
        settings["fusion"] = fusion
    start = None if start_from is None else _folder("start_from", start_from)
    taught = _folders("teachers", teachers)
    file = None if pretrained_file is None else path_of("pretrained_file", pretrained_file)
    made = None if synthetic is None else path_of("synthetic", synthetic)
    given = None if embeddings is None else path_of("embeddings", embeddings)
    if given is not None:
        refuse_beside(
            {"--start-from": start, "--pretrained": pretrained, "--download": download, "--pretrained-file": file}
            | {"--teacher": taught, "--synthetic": made}
        )
    started, embedded = start is not None or file is not None, given is not None
    if recipe is not None:
        by = by_recipe(recipe, config, settings, pretrained=pretrained, started=started, embedded=embedded)
        config, pretrained, settings = by.asked, by.pretrained, {}
    wanted = settings_of(config, data, settings, start, taught=bool(taught), embedded=embedded)
    record = {} if recipe is None else by.record
    name = record.get("name") or refined_name(start, wanted) or run_name(wanted.image_branch, wanted.fusion)
    folder = RUNS / name if run is None else path_of("run", run)
    others = Pretrained.asked(pretrained=bool(pretrained), download=download, file=file)
    new = NewRun(str(schema), allow_missing_images, start, others, overwrite, taught, made, record, given)
    return start_training(RunFolder(folder), wanted, new, compiled=compiled)


def resume(
    run: Run | Path | str,
    *,
    data: Path | str | None = None,
    expected: AskedSettings | None = None,
    schema: Path | str | None = None,
    allow_missing_images: bool = False,
    start_from: Run | Path | str | None = None,
    pretrained: bool = False,
    download: bool = False,
    pretrained_file: Path | str | None = None,
    teachers: Runs = (),
    synthetic: Path | str | None = None,
    recipe: str | None = None,
    embeddings: Path | str | None = None,
    compiled: bool = False,
    **settings: Any,
) -> Run:
    """Go on with a run after its last whole epoch, with the run's own settings.

    ::

        run = dermedge.resume("runs/gated")

    :param run: its folder.
    :param data: where the data lie by now; by default where they lay.
    :param expected: what the run's settings are expected to be, as a command line was given them; a run with others is
        refused.
    :param schema: what it is expected to be of, as `train` takes it; so with `allow_missing_images`, `start_from`,
        `pretrained`, `pretrained_file`, `teachers`, `synthetic`, `recipe` and `embeddings`; nothing is downloaded: the
        run has its weights.
    :param compiled: as `train`.
    :param settings: expected ones by name, as `train` takes them.
    :return: the run, opened.
    :raises UsageError: an unknown setting, or a run that is not as expected.
    :raises InputRejected: as `train`.
    :raises DeviceUnavailable: as `train`.
    :raises DermedgeError: no run there, a damaged one, or as `train`.
    """
    with extras("train"):
        from dermedge.training.start_weights import Pretrained
        from dermedge.training.training_job import Expected, resume_training
    start = None if start_from is None else _folder("start_from", start_from)
    named = None if schema is None else str(schema)
    file = None if pretrained_file is None else path_of("pretrained_file", pretrained_file)
    others = Pretrained.asked(pretrained=pretrained, download=download, file=file)
    asked, taught = expected_settings(expected, data, settings), _folders("teachers", teachers)
    by = "" if recipe is None else recipe_of(recipe).name
    made = None if synthetic is None else path_of("synthetic", synthetic)
    embedded = None if embeddings is None else path_of("embeddings", embeddings)
    wanted = Expected(asked, named, allow_missing_images, start, others, taught, made, by, embedded)
    return resume_training(_folder("run", run), wanted, compiled=compiled)


def _folder(name: str, run: Run | Path | str) -> Path:
    given = run_of(name, run)
    return given if isinstance(given, Path) else given.path


def _folders(name: str, runs: Runs) -> tuple[Path, ...]:
    listed = runs if isinstance(runs, Sequence) and not isinstance(runs, str) else [runs]
    return tuple(_folder(name, run) for run in listed)
