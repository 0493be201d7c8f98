"""`dermedge train`: settings in, a trained run out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from dermedge.api import train as api
from dermedge.api.names import refined_name
from dermedge.api.recipe_settings import recipe_of
from dermedge.api.train import RUNS
from dermedge.asked_settings import AskedSettings
from dermedge.config import EMBEDDINGS
from dermedge.setting_fields import Group
from dermedge_runtime.errors import UsageError

from .option_values import any_text, option, path
from .setting_options import with_settings
from .shared_options import RUN_PANEL, RunPath, Runs, run_folder

_Schema = Annotated[
    str | None,
    option(
        Group.DATA.value,
        "Of the data: ham10000 (the default), another shipped one, or a .toml file.",
        **any_text("word"),
    ),
]
_AllowMissing = Annotated[
    bool,
    option(Group.DATA.value, "Leave rows out whose image is absent.", "--allow-missing-images"),
]
_Embeddings = Annotated[
    Path | None,
    option(
        Group.DATA.value,
        "Embeddings of the pictures that others have computed (.npz, .csv, .parquet), read in their place.",
        "--embeddings",
        **path("file"),
    ),
]
_StartFrom = Annotated[
    Path | None,
    option(Group.NETWORK.value, "Run whose best weights to start from, whole or its image branch.", **path("folder")),
]
_Recipe = Annotated[
    str | None,
    option(
        RUN_PANEL,
        "A system of the literature, whose settings hold where none are given; `dermedge recipes` lists them.",
        "--recipe",
        **any_text("name"),
    ),
]
_Pretrained = Annotated[
    bool,
    option(Group.NETWORK.value, "Start the image branch from weights that others have trained.", "--pretrained"),
]
_Untrained = Annotated[
    bool,
    option(Group.NETWORK.value, "Start from random weights where --recipe takes trained ones.", "--untrained"),
]
_Download = Annotated[
    bool,
    option(Group.NETWORK.value, "Open a connection for them if they are not here.", "--download"),
]
_PretrainedFile = Annotated[
    Path | None,
    option(
        Group.NETWORK.value,
        "File of such weights (safetensors, or torch's), in the place of --pretrained.",
        "--pretrained-file",
        **path(),
    ),
]
_Teacher = Annotated[
    str | None,
    option(Group.BALANCE.value, "Runs whose answers it learns too, comma-separated.", **any_text("folders")),
]
_Synthetic = Annotated[
    Path | None,
    option(
        Group.DATA.value, "Generated pictures to train on too, by dermedge synthesise.", "--synthetic", **path("folder")
    ),
]
_Compile = Annotated[
    bool,
    option(Group.MACHINE.value, "torch.compile, for GPUs.", "--compile/--no-compile"),
]
_Resume = Annotated[
    bool,
    option(RUN_PANEL, "Go on after the run's last whole epoch, with the run's settings.", "--resume"),
]
_Overwrite = Annotated[bool, option(RUN_PANEL, "Replace an earlier run of the same name.", "--overwrite")]


@with_settings()
def train(
    asked: AskedSettings,
    schema: _Schema = None,
    allow_missing_images: _AllowMissing = False,
    embeddings: _Embeddings = None,
    start_from: _StartFrom = None,
    pretrained: _Pretrained = False,
    untrained: _Untrained = False,
    download: _Download = False,
    pretrained_file: _PretrainedFile = None,
    teacher: _Teacher = None,
    synthetic: _Synthetic = None,
    compiled: _Compile = False,
    recipe: _Recipe = None,
    run: RunPath = None,
    runs: Runs = RUNS,
    resume: _Resume = False,
    overwrite: _Overwrite = False,
) -> None:
    """Train one fusion; the defaults are the paper's settings.

    The run goes to RUNS/FUSION, RUNS/BRANCH-FUSION, RUNS/embeddings-FUSION, RUNS/RECIPE or the folder of --run. On
    several GPUs, start it by torchrun. With --quantise-aware and --prune the settings are those of --start-from where
    none are given, but a tenth of its learning rate.

    Examples:
      dermedge train --data data/ham10000
      dermedge train --data data/ham10000 --fusion gated --schedule cosine
      dermedge train --data clinic --image-branch resnet50 --pretrained
      dermedge train --data clinic --schema clinic.toml --run runs/clinic
      dermedge train --data data/ham10000 --teacher runs/a,runs/b
      dermedge train --start-from runs/concat --prune 0.3 --epochs 5
      dermedge train --start-from runs/concat --quantise-aware --epochs 2
      dermedge train --data data/ham10000 --recipe metablock --epochs 10
      dermedge train --data data/ham10000 --embeddings dinov2.npz --fusion late
      dermedge train --resume
    """
    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude each other.")
    if untrained and (pretrained or recipe is None):
        raise UsageError("--untrained is for a --recipe that starts from trained weights; --pretrained excludes it.")
    branch = asked.values.image_branch if embeddings is None else EMBEDDINGS
    folder = run_folder(run, runs, asked.values.fusion, branch)
    if recipe is not None:
        folder = run or runs / recipe_of(recipe).name
    elif run is None and (name := refined_name(start_from, asked.values)):
        folder = runs / name
    shared: dict[str, Any] = {"allow_missing_images": allow_missing_images, "start_from": start_from, "recipe": recipe}
    shared |= {"download": download, "pretrained_file": pretrained_file, "compiled": compiled}
    shared["synthetic"] = synthetic
    shared["embeddings"] = embeddings
    shared["teachers"] = () if teacher is None else teacher.split(",")
    if resume:
        api.resume(folder, expected=asked, schema=schema, pretrained=pretrained, **shared)
    else:
        chosen = "ham10000" if schema is None else schema
        start = None if pretrained == untrained else pretrained
        api.train(config=asked, run=folder, schema=chosen, overwrite=overwrite, pretrained=start, **shared)
