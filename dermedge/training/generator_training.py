"""Train a generator of pictures on the training split of a data set, and nothing else of it.

Generator and judge take turns with the hinge loss (Lim and Ye 2017, arXiv:1705.02894). Both kinds of pictures are
augmented before they are judged, so that the judge cannot learn the few photographs of a rare class by heart (Zhao et
al. 2020, arXiv:2006.10738). Two pictures of one class are pulled apart, as far as their noise lies apart (Mao et al.
2019, arXiv:1903.05628). What is kept is the generator's moving average. Not covered: going on after a kill; it takes
minutes.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from dermedge.config import Augmentation
from dermedge.data.batches.augment import augment
from dermedge.data.batches.lesion_data import balanced_epoch
from dermedge.data.cache.pixel_cache import load_pixels
from dermedge.data.samples import Sample
from dermedge.models.picture_generator import NOISE, PictureGenerator, PictureJudge
from dermedge.progress import duration, progress
from dermedge_runtime.errors import DermedgeError

_log = logging.getLogger(__name__)
_BATCH = 32
_BALANCE = 0.5
"""See the setting of a training: rare classes are drawn more often than they are, yet not as often as the others."""
_RATES, _BETAS, _AVERAGE = (0.0002, 0.0004), (0.0, 0.9), 0.99
"""Learning rates of generator and judge (Heusel et al. 2017, arXiv:1706.08500), and the decay of what is kept."""
_SEEKING, _SAME = 0.01, 0.001
"""Weight of what pulls the pictures of a class apart, and how far apart is not told from the same. Without it all
pictures of a class were nearly one (log of 2026-11-28)."""
_TELLINGS = 10
"""How often a training says how far it is: no terminal may listen to the bar."""
_SEEN = Augmentation(rotation_degrees=180.0, scaling=0.2, noise=0.0, colour=0.2)


def train_generator(
    samples: Sequence[Sample], n_classes: int, *, size: int, steps: int, seed: int, device: torch.device
) -> PictureGenerator:
    """Train a generator from random weights.

    :param samples: photographs of the training split.
    :param size: height and width of its pictures, in pixels.
    :return: on the CPU, for evaluation.
    :raises InputRejected: a picture that cannot be read.
    :raises DermedgeError: its pictures are no numbers any more.
    """
    torch.manual_seed(seed)
    pixels, labels = load_pixels([each.path for each in samples], size, "bilinear"), [each.label for each in samples]
    generator, judge = PictureGenerator(n_classes, size).to(device), PictureJudge(n_classes, size).to(device)
    kept = copy.deepcopy(generator).requires_grad_(requires_grad=False)
    making = torch.optim.Adam(generator.parameters(), _RATES[0], betas=_BETAS)
    judging = torch.optim.Adam(judge.parameters(), _RATES[1], betas=_BETAS)
    began = time.monotonic()
    for step, drawn in enumerate(progress(_draws(np.array(labels), steps, seed), "train", total=steps)):
        real = torch.from_numpy(pixels[drawn]).to(device).permute(0, 3, 1, 2).float() / 255
        label = torch.tensor([labels[index] for index in drawn], device=device)
        noise = torch.randn(2, _BATCH, NOISE, device=device)
        made, other = generator(noise.flatten(0, 1), label.repeat(2)).unflatten(0, (2, _BATCH))
        scores = judge(_augmented(torch.cat([real, made.detach()])), torch.cat([label, label]))
        taken = functional.relu(1 - scores[:_BATCH]).mean() + functional.relu(1 + scores[_BATCH:]).mean()
        _descend(judging, taken)
        _descend(making, _SEEKING * _alikeness(made, other, noise) - judge(_augmented(made), label).mean())
        _follow(kept, generator, min(_AVERAGE, (1 + step) / (10 + step)))
        if step % 100 == 0 and not torch.isfinite(taken):
            raise DermedgeError(f"The generator has come apart at step {step}. Take another --seed, or fewer --steps.")
        done = step + 1
        if done < steps and done * _TELLINGS // steps > step * _TELLINGS // steps:
            left = (time.monotonic() - began) / done * (steps - done)
            _log.info("step %d/%d, %s left", done, steps, duration(left))
    return kept.cpu().eval()


@torch.no_grad()
def make_pictures(generator: PictureGenerator, label: int, count: int, generator_of_noise: torch.Generator) -> Tensor:
    """Make pictures of a class, uint8 [count, size, size, 3]."""
    noise = torch.randn(count, NOISE, generator=generator_of_noise)
    made = [
        generator(part, torch.full((len(part),), label)).permute(0, 2, 3, 1).mul(255).round().to(torch.uint8)
        for part in torch.split(noise, _BATCH)
    ]
    return torch.cat(made)


def _draws(labels: np.ndarray[tuple[int], np.dtype[np.int64]], steps: int, seed: int) -> list[list[int]]:
    rng, drawn = np.random.default_rng(seed), list[int]()
    per_class = -(-len(labels) // len(np.unique(labels)))
    while len(drawn) < steps * _BATCH:
        drawn += balanced_epoch(labels, per_class, rng, _BALANCE).tolist()
    return [drawn[at : at + _BATCH] for at in range(0, steps * _BATCH, _BATCH)]


def _alikeness(made: Tensor, other: Tensor, noise: Tensor) -> Tensor:
    """Say how alike pictures of one class are, for how far their noise lies apart.

    :param made, other: pictures float [B, 3, H, W] of the same classes.
    :param noise: that they were made of, float [2, B, 64].
    """
    apart = (made - other).abs().mean() / (noise[0] - noise[1]).abs().mean()
    return 1 / (apart + _SAME)


def _augmented(pictures: Tensor) -> Tensor:
    return augment(pictures, _SEEN)


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


@torch.no_grad()
def _follow(kept: PictureGenerator, generator: PictureGenerator, decay: float) -> None:
    """Move the average; the statistics of the batch normalisation are taken as they are."""
    for mean, learnt in zip(kept.parameters(), generator.parameters(), strict=True):
        mean.lerp_(learnt, 1 - decay)
    for counted, now in zip(kept.buffers(), generator.buffers(), strict=True):
        counted.copy_(now)
