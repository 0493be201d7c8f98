"""Make every picture of the documentation again: `python docs/pictures/make_pictures.py`.

The lesion is generated and its heat map is the answer of the model in the box, so no patient's photograph is here.
"""

from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path

import numpy as np
from drawing import Drawing
from PIL import Image

from dermedge.data.synthetic_picture import picture
from dermedge.evaluation.comparison.recipe_plots import draw_recipe_plots
from dermedge.recipes.measured import measured_record
from dermedge_runtime import Classifier, model_in_the_box

FOLDER = Path(__file__).parent
PYPROJECT = FOLDER.parents[1] / "pyproject.toml"
_SEED = 2
_GAP = 16

FLOORS = {
    "dermedge.cli": "looks at the first word, and imports what stands behind it",
    "dermedge.commands": "the commands of the workshop: training and export",
    "dermedge.api": "train, resume, evaluate, export from Python; the commands call it",
    "dermedge.evaluation": "evaluate, explain, compare, card",
    "dermedge_export": "trained weights to one ONNX file: explanations, FP16, INT8, parity, engines",
    "dermedge.bench": "latency, throughput, cold start",
    "dermedge.training": "the loop, run folders, what a trained run predicts",
    "dermedge.recipes": "systems of the literature, as settings",
    "dermedge.config": "settings of a training",
    "dermedge.data": "schemas, tables, pictures, splits",
    "dermedge.models": "image branch, clinical branch, fusions",
    "dermedge.statistics": "metrics, intervals, plots",
    "dermedge.service": "for a clinic: a page, an interface, signed models, an audit log",
    "dermedge.progress": "progress bars",
    "dermedge.require": "names missing packages",
    "dermedge.setting_fields": "what a setting is",
    "dermedge.tables": "results as text",
    "dermedge_runtime": "the edge and its commands: numpy, Pillow, ONNX Runtime, nothing else",
}
"""What the modules of the import contract are for."""


def main() -> None:
    """Write all pictures beside this file."""
    make_lesion()
    make_pipeline()
    make_floors()
    make_literature()


def make_literature() -> None:
    """Plot what was measured of the systems of the literature, as `dermedge compare --recipes` does."""
    record = measured_record()
    assert record is not None
    with tempfile.TemporaryDirectory() as folder:
        (plot,) = draw_recipe_plots(record, Path(folder)).values()
        (FOLDER / "literature.png").write_bytes(plot.read_bytes())


def make_lesion() -> None:
    """Draw a lesion, and lay the heat map of the model in the box over it."""
    lesion = FOLDER / "lesion.jpg"
    picture("mel", np.random.default_rng(_SEED), 600, 450).save(lesion, quality=88)
    explained = Classifier(model_in_the_box(), "cpu").predict(lesion, age=55, site="back").overlay()
    both = Image.new("RGB", (600 + _GAP + explained.width, 450), "white")
    both.paste(Image.open(lesion), (0, 0))
    both.paste(explained, (600 + _GAP, 0))
    both.save(FOLDER / "lesion-explained.jpg", quality=85)


def make_pipeline() -> None:
    """Draw the way from a table of patients to an answer."""
    draw = Drawing(1000, 330, "Photographs and patients are trained to weights, exported to one ONNX file, and run")
    draw.frame(10, 10, 470, 250, "Workshop: PyTorch")
    draw.frame(650, 10, 340, 250, "Edge: numpy, Pillow, ONNX Runtime")
    draw.box(25, 60, 125, 70, "photographs", "any folder")
    draw.box(25, 160, 125, 70, "table", "age, sex, site, ...")
    draw.box(190, 110, 110, 70, "train", "15 fusions")
    draw.box(340, 110, 120, 70, "export", "compare first")
    draw.box(500, 90, 130, 110, "one ONNX file", "FP32, FP16", "or INT8", fill="#fde9c9")
    draw.box(670, 110, 110, 70, "infer", "milliseconds")
    draw.box(830, 50, 140, 50, "probabilities")
    draw.box(830, 120, 140, 50, "heat map")
    draw.box(830, 190, 140, 50, "relevance", "of each value")
    draw.arrow((150, 95), (190, 130))
    draw.arrow((150, 195), (190, 160))
    draw.arrow((300, 145), (340, 145))
    draw.arrow((460, 145), (500, 145))
    draw.arrow((630, 145), (670, 145))
    for height in (75, 145, 215):
        draw.arrow((780, 145), (830, height))
    draw.text(500, 295, "The file carries resizing rules, classes, vocabularies, licence and the measured comparison.")
    draw.save(FOLDER / "pipeline.svg")


def make_floors() -> None:
    """Draw the layers of the import contract, top floor first."""
    layers = _layers()
    height = 58
    draw = Drawing(1000, 30 + height * len(layers), "The floors of the code: each imports only what is below it")
    for index, layer in enumerate(layers):
        width = 960 // len(layer)
        fill = "#fde9c9" if layer == ["dermedge_runtime"] else "#e8eef7"
        for place, module in enumerate(layer):
            words = FLOORS.get(module, "")
            draw.box(20 + place * width, 15 + index * height, width - 8, height - 10, module, words, fill=fill)
    draw.save(FOLDER / "floors.svg")


def _layers() -> list[list[str]]:
    contracts = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [layer.split(" : ") for layer in layers]


if __name__ == "__main__":
    main()
