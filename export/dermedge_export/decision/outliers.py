"""Pictures that no dermatoscope takes, drawn: what a score for unfamiliar pictures is chosen on.

Real photographs of other kinds would be better, and then none would be left to measure with; so what chooses is drawn.
Kinds: noise, documents, faces as a child paints them, sky, textures, and views of skin from afar, which are made of
training photographs and are the hardest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

_WIDTH, _HEIGHT = 300, 225
_Draw = Callable[[np.random.Generator], Image.Image]


def noise(rng: np.random.Generator) -> Image.Image:
    """Random colours in grains of 1 to 16 pixels."""
    grain = int(rng.choice([1, 2, 4, 8, 16]))
    small = rng.integers(0, 256, (_HEIGHT // grain + 1, _WIDTH // grain + 1, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((_WIDTH, _HEIGHT), Image.Resampling.BILINEAR)


def document(rng: np.random.Generator) -> Image.Image:
    """Lines of something like print on nearly white paper, slightly turned."""
    paper = tuple(int(each) for each in rng.integers(215, 256, 3))
    page = Image.new("RGB", (_WIDTH, _HEIGHT), paper)
    pen = ImageDraw.Draw(page)
    step = int(rng.integers(8, 20))
    for y in range(step, _HEIGHT - step, step):
        x = 15
        while x < _WIDTH - 40 and rng.random() > 0.05:
            length = int(rng.integers(4, 34))
            pen.rectangle((x, y, x + length, y + step // 3), fill=tuple(rng.integers(0, 70, 3).tolist()))
            x += length + int(rng.integers(3, 8))
    return page.rotate(float(rng.uniform(-8, 8)), Image.Resampling.BILINEAR, fillcolor=paper)


def face(rng: np.random.Generator) -> Image.Image:
    """An oval of skin with hair, eyes and a mouth before a wall."""
    canvas = Image.new("RGB", (_WIDTH, _HEIGHT), tuple(rng.integers(60, 230, 3).tolist()))
    pen = ImageDraw.Draw(canvas)
    x, y = _WIDTH * rng.uniform(0.4, 0.6), _HEIGHT * rng.uniform(0.45, 0.55)
    height = _HEIGHT * rng.uniform(0.3, 0.45)
    width = height * rng.uniform(0.65, 0.8)
    skin = np.array([224, 178, 150]) * rng.uniform(0.45, 1.05)
    hair = tuple(rng.integers(10, 140, 3).tolist())
    pen.ellipse((x - 1.15 * width, y - 1.2 * height, x + 1.15 * width, y + 0.5 * height), fill=hair)
    pen.ellipse((x - width, y - height, x + width, y + height), fill=_colour(skin))
    for side in (-0.4, 0.4):
        pen.ellipse((x + side * width - 9, y - 16, x + side * width + 9, y - 5), fill=(240, 240, 240))
        pen.ellipse((x + side * width - 4, y - 15, x + side * width + 4, y - 6), fill=hair)
    pen.rectangle((x - 0.35 * width, y + 0.5 * height, x + 0.35 * width, y + 0.58 * height), fill=(170, 70, 70))
    return canvas.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 2))))


def sky(rng: np.random.Generator) -> Image.Image:
    """A gradient of blue, with clouds."""
    top, bottom = np.array([60, 110, 190]) + rng.normal(0, 20, 3), np.array([170, 205, 235]) + rng.normal(0, 15, 3)
    share = np.linspace(0, 1, _HEIGHT)[:, None, None]
    clouds = np.clip(_octaves(rng) * rng.uniform(0.3, 1.2) - rng.uniform(0, 0.8), 0, 1)[..., None]
    return _picture((top * (1 - share) + bottom * share) * (1 - clouds) + 245 * clouds)


def texture(rng: np.random.Generator) -> Image.Image:
    """Two colours mixed by noise of many scales: stone, cloth, foliage."""
    one, other = rng.uniform(0, 255, 3), rng.uniform(0, 255, 3)
    share = (1 / (1 + np.exp(-rng.uniform(1, 5) * _octaves(rng))))[..., None]
    return _picture(one * share + other * (1 - share))


DRAWN: dict[str, _Draw] = {"noise": noise, "document": document, "face": face, "sky": sky, "texture": texture}
"""What is drawn from nothing, by kind."""


def from_afar(photograph: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Show a lesion as a telephone takes it: small, on much skin, in uneven light of another colour, slightly noisy."""
    share = rng.uniform(0.15, 0.4)
    small = photograph.convert("RGB").resize((int(_WIDTH * share), int(_HEIGHT * share)), Image.Resampling.LANCZOS)
    pixels = np.asarray(small, dtype=np.float64)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    canvas = np.median(border, axis=0) + 7 * _octaves(rng)[..., None] + np.zeros((_HEIGHT, _WIDTH, 3))
    y = int(rng.integers(0, _HEIGHT - small.height))
    x = int(rng.integers(0, _WIDTH - small.width))
    canvas[y : y + small.height, x : x + small.width] = pixels
    down, right = np.mgrid[0 : 1 : _HEIGHT * 1j, 0 : 1 : _WIDTH * 1j]
    light = 1 + rng.uniform(-0.5, 0.3) * down + rng.uniform(-0.4, 0.4) * right
    cast = rng.uniform(0.8, 1.1, 3)
    return _picture(canvas * light[..., None] * cast + rng.normal(0, rng.uniform(0, 6), canvas.shape))


def outliers(photographs: Sequence[Image.Image], each: int, seed: int) -> dict[str, list[Image.Image]]:
    """Draw `each` pictures of every kind, RGB, by kind.

    :param photographs: of the training split, at least one; views from afar are made of them.
    """
    rng = np.random.default_rng(seed)
    found = {kind: [draw(rng) for _ in range(each)] for kind, draw in DRAWN.items()}
    chosen = (photographs[index % len(photographs)] for index in range(each))
    return found | {"skin from afar": [from_afar(photograph, rng) for photograph in chosen]}


def _octaves(rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise of many scales, float64 [225, 300], mean 0, standard deviation 1."""
    total = np.zeros((_HEIGHT, _WIDTH))
    for octave in range(1, 7):
        cells = rng.normal(0, 1, (2**octave + 1, 2**octave + 1)).astype(np.float32)
        wide = Image.fromarray(cells).resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC)
        total += np.asarray(wide, dtype=np.float64) * rng.uniform(0.4, 0.75) ** octave
    scaled: NDArray[np.float64] = (total - total.mean()) / (total.std() + 1e-9)
    return scaled


def _picture(values: NDArray[np.float64]) -> Image.Image:
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def _colour(values: NDArray[np.float64]) -> tuple[int, ...]:
    return tuple(int(each) for each in values.clip(0, 255))
