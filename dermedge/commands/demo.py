"""`dermedge demo`: the whole main job on generated pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dermedge.require import extras

from .option_values import option, path, whole

_Folder = Annotated[Path, option("Options", "Where everything goes.", **path("folder"))]
_Epochs = Annotated[int, option("Options", "More make it better, and take longer.", **whole(1))]


def demo(folder: _Folder = Path("demo"), epochs: _Epochs = 6) -> None:
    """Do the whole main job on generated pictures: train, evaluate, export, infer, bench.

    It takes some minutes on a CPU and needs no data. An earlier demo in the folder is replaced; anything else is kept.

    Examples:
      dermedge demo
      dermedge demo --folder /tmp/demo --epochs 2
    """
    with extras("export"):
        from .demo_steps import run_demo
    run_demo(folder, epochs, typer.echo)
