"""What does decoding a large JPEG at a smaller scale change, in pixels, classes, time and memory?

    python benchmarks/scaled_decode.py --model models/cross_attention-int8.onnx --images FOLDER [--enlarge 6]
        [--detail 1]

Every picture is enlarged (Lanczos), given noise as a camera's sensor adds it, and saved as a JPEG of quality 92 with
halved colour, because smooth enlargements alone would hide what scaling loses. `--enlarge 1 --noise 0` takes pictures
as they are; they have to be large enough. Read with the model's filter, and at its detail: to how many times its size,
at least, a JPEG is scaled down. `--size` and `--detail` try others; classes are compared at the model's own size alone.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from dermedge.bench.bench import take_turns
from dermedge.bench.cold import run_measured
from dermedge_runtime import Classifier
from dermedge_runtime.inputs.image import DETAILS, load_image, upright_rgb

_READ = """
import sys
from PIL import Image
from dermedge_runtime.inputs.image import load_image
path, size, resample, detail, whole = sys.argv[1:]
load_image(Image.open(path) if whole == "whole" else path, int(size), resample, int(detail))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--size", type=int, help="model size for the pixels; by default the model's, with its classes")
    parser.add_argument("--detail", type=int, choices=DETAILS, help="by default the model's")
    parser.add_argument("--enlarge", type=float, default=6)
    parser.add_argument("--noise", type=float, default=4, help="standard deviation, grey levels")
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    model = Classifier(arguments.model, "cpu")
    image = model.spec.image
    if image is None:
        raise SystemExit(f"{arguments.model} reads no picture")
    size, detail = arguments.size or image.size, arguments.detail or image.detail
    read = partial(load_image, size=size, resample=image.resample, detail=detail)
    paths = sorted(arguments.images.glob("*.jpg"))
    paths = paths[:: max(1, len(paths) // arguments.limit)][: arguments.limit]
    rng = np.random.default_rng(0)
    changes, pairs, decoded = [], [], b""
    for path in paths:
        content = _large_jpeg(path, arguments.enlarge, arguments.noise, rng)
        scaled, whole = read(content), read(np.asarray(upright_rgb(content)))
        if np.array_equal(scaled, whole):
            raise SystemExit(f"{path.name} is too small to be scaled for {size} px at detail {detail}; enlarge it")
        changes.append(np.abs(scaled.astype(int) - whole))
        if size == image.size:
            pairs.append((model.predict(scaled), model.predict(whole)))
        decoded = content
    difference = np.concatenate([change.ravel() for change in changes])
    width, height = Image.open(io.BytesIO(decoded)).size
    record = {
        "images": len(paths),
        "photograph": f"{width} x {height}",
        "model_size": size,
        "detail": detail,
        "pixel_change": {
            "mean": round(float(difference.mean()), 3),
            "p99": float(np.percentile(difference, 99)),
            "max": int(difference.max()),
        },
        **_decisions(pairs),
        **_cost(decoded, read, arguments.rounds),
    }
    print(json.dumps(record, indent=2))


def _large_jpeg(path: Path, enlarge: float, noise: float, rng: np.random.Generator) -> bytes:
    if enlarge == 1 and noise == 0:
        return path.read_bytes()
    picture = upright_rgb(path)
    picture = picture.resize(
        (round(picture.width * enlarge), round(picture.height * enlarge)), Image.Resampling.LANCZOS
    )
    noisy = np.asarray(picture) + rng.normal(0, noise, (picture.height, picture.width, 3))
    stream = io.BytesIO()
    Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=92)
    return stream.getvalue()


def _decisions(pairs: list) -> dict:
    if not pairs:
        return {}
    change = [max(abs(a.probabilities[c] - b.probabilities[c]) for c in a.probabilities) for a, b in pairs]
    return {
        "class_agreement": round(float(np.mean([a.label == b.label for a, b in pairs])), 4),
        "probability_change": {"median": round(statistics.median(change), 4), "max": round(max(change), 4)},
    }


def _cost(content: bytes, read: partial, rounds: int) -> dict:
    actions = {"scaled": partial(read, content), "whole": lambda: read(Image.open(io.BytesIO(content)))}
    timed = {name: statistics.median(seconds) for name, seconds in take_turns(actions, rounds).items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.jpg"
        path.write_bytes(content)
        settings = [str(path), *map(str, read.keywords.values())]
        memory = {name: run_measured([sys.executable, "-c", _READ, *settings, name])[1] for name in actions}
    return {
        "read_ms": {name: round(1000 * seconds, 2) for name, seconds in timed.items()},
        "times_as_fast": round(timed["whole"] / timed["scaled"], 2),
        "peak_mb_of_a_reading_process": memory,
    }


if __name__ == "__main__":
    main()
