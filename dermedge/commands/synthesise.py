"""`dermedge synthesise`: photographs of a training split in, generated pictures of rare classes out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dermedge.api import synthesise as api
from dermedge_runtime.errors import UsageError

from .option_values import any_text, choice, option, path, whole
from .shared_options import OUTPUT_PANEL, AsJson, print_json

_DATA_PANEL, _GENERATOR_PANEL = "Data", "Generator"
_Data = Annotated[Path, option(_DATA_PANEL, "Data folder.", "--data", show_default=False, **path("folder"))]
_Classes = Annotated[
    str, option(_DATA_PANEL, "Classes to make pictures of, comma-separated.", "--classes", **any_text("words"))
]
_Count = Annotated[int, option(OUTPUT_PANEL, "Pictures of each class.", "--count", **whole(1, 10_000))]
_Out = Annotated[Path, option(OUTPUT_PANEL, "Folder to write.", "--out", **path("folder"))]
_Schema = Annotated[str, option(_DATA_PANEL, "Of the data, as train takes it.", "--schema", **any_text("word"))]
_Protocol = Annotated[str, option(_DATA_PANEL, "As train takes it.", "--protocol", **choice(*api.PROTOCOLS))]
_ImageSize = Annotated[
    str, option(_GENERATOR_PANEL, "Height and width, in pixels.", "--image-size", **choice(*map(str, api.IMAGE_SIZES)))
]
_Steps = Annotated[
    int, option(_GENERATOR_PANEL, "Of its training, with 32 photographs each.", "--steps", **whole(1, 1_000_000))
]
_Seed = Annotated[
    int, option(_GENERATOR_PANEL, "Decides the split and everything drawn.", "--seed", **whole(0, 2**32 - 1))
]
_Device = Annotated[str, option(_GENERATOR_PANEL, "Where to train.", "--device", **choice("cpu", "cuda"))]
_Overwrite = Annotated[bool, option(OUTPUT_PANEL, "Replace generated pictures in that folder.", "--overwrite")]


def synthesise(
    data: _Data,
    classes: _Classes,
    out: _Out,
    count: _Count = 200,
    schema: _Schema = "ham10000",
    protocol: _Protocol = "grouped",
    image_size: _ImageSize = str(api.IMAGE_SIZE),
    steps: _Steps = api.STEPS,
    seed: _Seed = 0,
    device: _Device = "cpu",
    overwrite: _Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Make pictures of rare classes by a generator, to train on beside photographs.

    The generator sees the training split alone, and its pictures are for training alone: `train --synthetic FOLDER`
    takes them where its own split is the same. Killed, it begins again.

    Examples:
      dermedge synthesise --data data/ham10000 --classes df,vasc --out made
      dermedge synthesise --data d --classes mel --count 50 --out made
    """
    named = [word.strip() for word in classes.split(",")]
    if not all(named):
        raise UsageError(f"--classes takes words such as df,vasc, got '{classes}'.")
    others: dict[str, Any] = {"steps": steps, "seed": seed, "protocol": protocol, "schema": schema, "device": device}
    made = api.synthesise(data, named, count, out, image_size=int(image_size), overwrite=overwrite, **others)
    if as_json:
        print_json({"path": str(made.path), "sha256": made.sha256, "pictures": made.counts})
        return
    told = ", ".join(f"{number} of {code}" for code, number in made.counts.items())
    typer.echo(f"{made.path}: {told}. For training alone: dermedge train --synthetic {made.path}")
