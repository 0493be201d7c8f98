"""What hair removal and colour constancy cost in the graph, and what hair removal takes away.

    python benchmarks/preparation.py --data path/to/ham10000 [--size 256] [--images 60]

Time: ONNX Runtime's CPU provider on the preparation alone, batch 1, in turns, less the graph that only scales. Effect:
photographs as they are, and with eight dark curves drawn on each. `removed` is the share of the curves' contrast that
goes, outside the lesion; `changed` is what a lesion without curves loses, mean absolute difference within its mask.
"""

from __future__ import annotations

import dermedge_runtime  # noqa: F401, first: it turns ONNX Runtime's telemetry off

# isort: split

import argparse
import math
import random
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn

from dermedge.models.preparation.hair_removal import HairRemoval
from dermedge.models.preparation.preparation import Preparation
from dermedge_export.graph.silenced_libraries import silenced

_CURVES, _CANVAS, _ROUNDS = 8, 1024, 150


class _Scaled(nn.Module):
    def __init__(self, preparation: Preparation) -> None:
        super().__init__()
        self.preparation = preparation

    def forward(self, image: Tensor) -> Tensor:
        return self.preparation(image.to(torch.float32).permute(0, 3, 1, 2) / 255)


def session(preparation: Preparation, size: int, threads: int) -> onnxruntime.InferenceSession:
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    shapes = {"image": {0: torch.export.Dim("batch", min=1, max=1024)}}
    settings = {"dynamo": True, "external_data": False, "opset_version": 20, "dynamic_shapes": shapes}
    with silenced():
        program = torch.onnx.export(_Scaled(preparation).eval(), (example,), **settings)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(program.model_proto.SerializeToString(), options, ["CPUExecutionProvider"])


def cost_ms(size: int, threads: int) -> dict[str, tuple[float, float]]:
    """Minimum and median of each step, less those of the graph without any."""
    steps = {"neither": {}, "hair removal": {"hair_removal": True}, "colour constancy": {"colour_constancy": True}}
    sessions = {name: session(Preparation(**on), size, threads) for name, on in steps.items()}
    picture = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), dtype=np.uint8)
    spent: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(_ROUNDS):
        for name, opened in sessions.items():
            started = time.perf_counter()
            opened.run(None, {"image": picture})
            spent[name].append(1000 * (time.perf_counter() - started))
    base = np.percentile(spent.pop("neither"), (0, 50))
    return {name: tuple(np.percentile(times, (0, 50)) - base) for name, times in spent.items()}


def with_curves(picture: Image.Image, rng: random.Random) -> Image.Image:
    drawn = picture.copy()
    for _ in range(_CURVES):
        x, y, angle = rng.random() * _CANVAS, rng.random() * _CANVAS, rng.random() * math.pi
        length, width, points = rng.uniform(200, 600), rng.uniform(6, 14), []
        for _ in range(13):
            points.append((x, y))
            angle += rng.uniform(-0.06, 0.06)
            x, y = x + length / 12 * math.cos(angle), y + length / 12 * math.sin(angle)
        ImageDraw.Draw(drawn).line(points, (70, 45, 40), round(width), "curve")
    return drawn


def tensor(picture: Image.Image, size: int) -> Tensor:
    pixels = np.array(picture.resize((size, size), Image.Resampling.BILINEAR))
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


@torch.no_grad()
def effect(data: Path, size: int, count: int) -> tuple[float, float]:
    """Share of the curves' contrast that goes, and mean change of the lesions, 0 to 1."""
    rng, remove = random.Random(0), HairRemoval()
    drawn = left = changed = inside = 0.0
    for path in rng.sample(sorted(data.glob("HAM10000_images_part_*/*.jpg")), count):
        mask_file = data / "HAM10000_segmentations_lesion_tschandl" / f"{path.stem}_segmentation.png"
        mask = tensor(Image.open(mask_file).convert("RGB"), size)[:, :1] > 0.5
        picture = Image.open(path).convert("RGB").resize((_CANVAS, _CANVAS), Image.Resampling.BILINEAR)
        clean, hairy = tensor(picture, size), tensor(with_curves(picture, rng), size)
        contrast = (hairy - clean).abs().mean(dim=1, keepdim=True)
        counted = ~mask & (contrast > 0.05)
        drawn += float(contrast[counted].sum())
        left += float((remove(hairy) - clean).abs().mean(dim=1, keepdim=True)[counted].sum())
        changed += float((remove(clean) - clean).abs().mean(dim=1, keepdim=True)[mask].sum())
        inside += float(mask.sum())
    return 1 - left / drawn, changed / inside


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    for name, (least, median) in cost_ms(given.size, given.threads).items():
        print(f"{name}: at least {least:.2f} ms, median {median:.2f} ms, {given.size} px")
    removed, changed = effect(given.data, given.size, given.images)
    print(f"{given.images} photographs at {given.size} px: removed {removed:.1%}, changed {changed:.5f}")


if __name__ == "__main__":
    main()
