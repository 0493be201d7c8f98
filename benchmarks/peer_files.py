"""What the peers of a comparison need on disk, all from one run: model files, weights in another size, photographs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dermedge.data.ham10000 import read_samples
from dermedge.data.samples import Sample
from dermedge.data.synthetic_picture import picture
from dermedge.training.run import Run
from dermedge_export.description import describe, write_described
from dermedge_export.int8.calibration import CALIBRATION_IMAGES, choose, model_inputs
from dermedge_export.pipeline import build_graph
from dermedge_runtime.inputs.image import upright_rgb
from dermedge_runtime.model.description import ModelSpec

WIDTH, HEIGHT = 600, 450
"""HAM10000's."""
_ORIGINALS = 24


@dataclass(frozen=True, slots=True)
class PeerFiles:
    """Paths of one comparison."""

    run: Run
    spec: ModelSpec
    """Of the plain FP32 file."""
    plain: Path
    """FP32 without explanations, for those who bring their own runtime."""
    fp32: Path
    int8: Path
    """With explanations, as `dermedge export` writes them."""
    int8_plain: Path
    """Without, which is what the peers compute."""
    openvino_int8: Path
    """Where NNCF's result goes."""
    calibration: Sequence[Sample]


def make_files(source: Run, size: int | None, folder: Path, log: Callable[[str], None]) -> PeerFiles:
    """Export a run as all peers need it; nothing is compared with the trained weights here.

    :param size: side of the pictures in pixels, by default the run's. The network takes any: its weights stay the same.
    """
    run = _resized(source, size, folder / "run")
    split = run.split
    samples = split.select(read_samples(Path(run.config.data)), "train")
    calibration = choose(samples, CALIBRATION_IMAGES, run.config.seed)
    paths = {name: folder / f"{name}.onnx" for name in ("plain", "fp32", "int8", "int8_plain")}
    for name, path in paths.items():
        log(f"export {path.name}")
        precision = "int8" if name.startswith("int8") else "fp32"
        spec = describe(run, precision, explain=not name.endswith("plain"))
        write_described(build_graph(run, spec, calibration), spec, path)
    return PeerFiles(
        run=run,
        spec=describe(run, "fp32", explain=False),
        **paths,
        openvino_int8=folder / "nncf-int8.xml",
        calibration=calibration,
    )


def calibration_feeds(files: PeerFiles) -> list[dict[str, np.ndarray]]:
    """Give the inputs of the plain file for every calibration photograph, batch 1."""
    return [model_inputs([sample], files.spec) for sample in files.calibration]


def _resized(source: Run, size: int | None, folder: Path) -> Run:
    if size is None or size == source.config.image_size:
        return source
    folder.mkdir()
    for path in (source.split_file, source.weights_file):
        shutil.copy(path, folder)
    record = {**source.record, "settings": {**source.record["settings"], "image_size": size}}
    (folder / "config.json").write_text(json.dumps(record), encoding="utf-8")
    return Run.open(folder)


def write_photographs(count: int, real: Path | None, folder: Path) -> list[Path]:
    """Write JPEG files of 600 x 450 that all differ: crops, mirrored and not, of real photographs or of generated ones.

    :param real: folder of JPEG files; None: generated pictures.
    """
    folder.mkdir()
    rng = np.random.default_rng(0)
    if real is None:
        kinds = ("mel", "nv", "bcc", "vasc")
        originals = [picture(kinds[i % 4], np.random.default_rng(i), WIDTH, HEIGHT) for i in range(_ORIGINALS)]
    else:
        paths = sorted(real.glob("*.jpg"))
        originals = [upright_rgb(path) for path in paths[:: max(1, len(paths) // _ORIGINALS)][:_ORIGINALS]]
    if not originals:
        raise SystemExit(f"{real} holds no *.jpg")
    written = []
    for number in range(count):
        image = originals[number % len(originals)]
        left, top = rng.uniform(0, 0.1, 2) * image.size
        right, bottom = rng.uniform(0.9, 1, 2) * image.size
        crop = image.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC, (left, top, right, bottom))
        if rng.random() < 0.5:
            crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        written.append(folder / f"{number:05}.jpg")
        crop.save(written[-1], quality=100)  # as HAM10000 was published; decoding takes the longer for it
    return written
