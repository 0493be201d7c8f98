"""What a model file for pictures of any size changes: the grey levels of its resizing, its answers, its time.

    python benchmarks/any_size.py path/to/pictures [--images 250] [--model FILE]

Pictures are drawn from all JPEG files below the folder. Levels and time: the resizing alone at 128, 224 and 256 px, in
ONNX Runtime on one thread, against Pillow's `resize` of the decoded picture; medians of the pictures, both ways in
turns, each the least of three. Answers: the model file, by default the one in the box, with the resizing in front of
its graph, given whole pictures in plain ONNX Runtime, against the runtime given their files; clinical values unknown.
`own size`: what the resizing costs a picture that has the model's size already, in turns, median of all runs.
"""

from __future__ import annotations

import dermedge_runtime  # noqa: F401, first: it turns ONNX Runtime's telemetry off

# isort: split

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from PIL import Image
from PIL import __version__ as pillow_version

from dermedge_export.description import write_described
from dermedge_export.graph.any_size import described_as_any_size, taking_any_size
from dermedge_runtime import Classifier, model_in_the_box
from dermedge_runtime.inputs.image import upright_rgb
from dermedge_runtime.model.description import ImageSpec, ModelSpec
from dermedge_runtime.model.model_file import read_model_file

SIZES = (128, 224, 256)
_REPEATS, _OWN_SIZE_RUNS = 3, 300


def session(content: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def resizing(size: int, model: ModelSpec) -> onnxruntime.InferenceSession:
    """The resizing alone: uint8 [B, H, W, 3] in, uint8 [B, size, size, 3] out."""
    values = [helper.make_tensor_value_info(n, TensorProto.UINT8, ["batch", size, size, 3]) for n in ("image", "seen")]
    graph = helper.make_graph([helper.make_node("Identity", ["image"], ["seen"])], "resizing", values[:1], values[1:])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    spec = ModelSpec(
        model.classes, model.class_names, model.fusion, "fp32", ImageSpec(size, "bilinear"), model.clinical
    )
    return session(taking_any_size(proto, spec).SerializeToString())


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def levels_and_time(paths: list[Path], size: int, model: ModelSpec) -> str:
    opened, differences, spent = resizing(size, model), [], []
    for path in paths:
        picture = upright_rgb(path)
        pixels = np.asarray(picture)[None]

        def own(pixels: np.ndarray = pixels) -> np.ndarray:
            return opened.run(None, {"image": pixels})[0][0]

        def pillow(picture: Image.Image = picture) -> np.ndarray:
            return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))

        differences.append(np.abs(own().astype(int) - pillow()))
        spent.append(np.min([(seconds(own), seconds(pillow)) for _ in range(_REPEATS)], axis=0))
    off = np.stack(differences)
    in_graph, in_pillow = 1000 * np.median(spent, axis=0)
    return (
        f"{size} px: grey levels differ by {off.max()} at most, {off.mean():.5f} on average"
        f" ({np.mean([one.max() > 0 for one in differences]):.1%} of the pictures have one that differs);"
        f" {in_graph:.3f} ms in the graph, {in_pillow:.3f} ms in Pillow"
    )


def answers(paths: list[Path], model: Path, folder: Path) -> list[str]:
    file = read_model_file(model)
    spec = described_as_any_size(file.spec)
    target = folder / "any-size.onnx"
    write_described(taking_any_size(onnx.load_from_string(file.content), spec), spec, target)
    fixed, free = session(file.content), session(target.read_bytes())
    unknown: dict[str, Any] = {
        "numeric": np.full((1, len(spec.clinical.numeric)), np.nan, np.float32),
        "categorical": np.full((1, len(spec.clinical.categorical)), -1, np.int32),
        "target": np.array([-1], np.int32),
    }
    feed = {name: value for name, value in unknown.items() if name in {v.name for v in free.get_inputs()}}
    given = [{**feed, "image": np.asarray(upright_rgb(path))[None]} for path in paths]
    found = np.concatenate([free.run(["probabilities"], one)[0] for one in given])
    right = np.array([list(Classifier(model, "cpu").predict(path).probabilities.values()) for path in paths])
    changed = int((found.argmax(axis=1) != right.argmax(axis=1)).sum())
    assert spec.image is not None
    small = {**feed, "image": np.zeros((1, spec.image.size, spec.image.size, 3), np.uint8)}
    spent = [[seconds(lambda s=s: s.run(None, small)) for s in (fixed, free)] for _ in range(_OWN_SIZE_RUNS)]
    one, other = 1000 * np.median(spent, axis=0)
    return [
        f"{model.name}: {changed} of {len(paths)} labels change,"
        f" largest probability change {np.abs(found - right).max():.4f}, mean {np.abs(found - right).mean():.6f}",
        f"own size, {spec.image.size} px, one thread: {one:.3f} ms with a fixed size, {other:.3f} ms with any",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--images", type=int, default=250)
    parser.add_argument("--model", type=Path, default=model_in_the_box())
    given = parser.parse_args()
    found = sorted(given.pictures.rglob("*.jpg"))
    paths = random.Random(0).sample(found, min(given.images, len(found)))
    print(f"{len(paths)} pictures, ONNX Runtime {onnxruntime.__version__}, Pillow {pillow_version}")
    spec = read_model_file(given.model).spec
    for size in SIZES:
        print(levels_and_time(paths, size, spec))
    with tempfile.TemporaryDirectory() as folder:
        print("\n".join(answers(paths, given.model, Path(folder))))


if __name__ == "__main__":
    main()
