"""`dermedge train`: settings in, a trained run out."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any

from dermedge.config import AskedSettings, RequestedSettings
from dermedge.require import extras
from dermedge.setting_fields import Group, Setting, settings_of

from .option_values import option, path, words
from .setting_options import with_settings
from .shared_options import RUN_PANEL, RUNS, RunPath, Runs, open_run

_log = logging.getLogger(__name__)
_Schema = Annotated[
    str | None,
    option(Group.DATA.value, "Of the data: ham10000 (the default), pad_ufes_20 or a .toml file.", **words("word")),
]
_AllowMissing = Annotated[
    bool,
    option(Group.DATA.value, "Leave rows out whose image is absent.", "--allow-missing-images"),
]
_StartFrom = Annotated[
    Path | None,
    option(Group.NETWORK.value, "Run whose best weights to start from, whole or its image branch.", **path("folder")),
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
    start_from: _StartFrom = None,
    compiled: _Compile = False,
    run: RunPath = None,
    runs: Runs = RUNS,
    resume: _Resume = False,
    overwrite: _Overwrite = False,
) -> None:
    """Train one fusion; the defaults are the paper's settings.

    The run goes to RUNS/FUSION, or to the folder of --run. On several GPUs, start it by torchrun.

    Examples:
      dermedge train --data data/ham10000
      dermedge train --data data/ham10000 --fusion gated --schedule cosine
      dermedge train --data clinic --schema clinic.toml --run runs/clinic
      dermedge train --resume
    """
    with extras():
        from dermedge.training.training_job import run_training_job
    opened = open_run(run, runs, asked.values.fusion)
    chosen = {"schema": schema, "allow_missing_images": allow_missing_images, "start_from": start_from}
    job = {"compiled": compiled, "resume": resume, "overwrite": overwrite}
    values = {setting.option: _value(asked, setting) for setting in settings_of(RequestedSettings)}
    data = Path(asked.values.data) if asked.values.data else None
    given = {setting.option for setting in settings_of(RequestedSettings) if setting.name in asked.given}
    given |= {name for name, value in chosen.items() if value} | ({"data"} & asked.given)
    options = {**values, **chosen, **job, "data": data, "schema": schema or "ham10000"}
    run_training_job(opened, options, given, log=_log.info)


def _value(asked: AskedSettings, setting: Setting) -> Any:
    value: Any = asked.values
    for name in setting.path:
        value = getattr(value, name)
    return value
