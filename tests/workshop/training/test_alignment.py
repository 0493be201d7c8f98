"""The alignment of both modalities: the published loss, slow copies, a training that goes on as it began."""

import numpy as np
import pytest
import torch

import dermedge
from dermedge.data.ham10000 import HAM10000
from dermedge.models.classifier import Head
from dermedge.training.alignment import Alignment
from dermedge.training.checkpoint import read_tensors
from dermedge.training.train import Trainer, train
from dermedge_runtime.errors import UsageError

SCHEMA = HAM10000.clinical("grouped")


def watched(seed: int = 0) -> tuple[Head, Alignment]:
    torch.manual_seed(seed)
    head = Head("concat", SCHEMA, 7, 0.0, 12)
    return head, Alignment(head)


def pairs(seed: int, count: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    clinical = torch.rand(count, len(SCHEMA.features), generator=generator)
    return torch.randn(count, 12, generator=generator), clinical


def unit(rows: torch.Tensor) -> np.ndarray:
    rows = rows.detach().numpy().astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def test_the_loss_is_the_published_formula():
    head, alignment = watched()
    before = pairs(1)
    head(*before)
    alignment.loss(1.0)
    with torch.no_grad():  # so that what learns and its slow copy are no longer the same
        for parameter in head.parameters():
            parameter.add_(0.05 * torch.sign(parameter))
    now = pairs(2)
    head(*now)
    found = alignment.loss(0.5).item()

    slow = [[unit(module(given)) for module, given in zip(alignment.slow, two, strict=True)] for two in (now, before)]
    fast = [unit(alignment.image(head.image(now[0]))), unit(alignment.clinical(head.clinical(now[1])))]
    losses = []
    for own, other in ((0, 1), (1, 0)):
        gallery = np.concatenate([slow[0][other], slow[1][other]])
        target = 0.2 * softmax(slow[0][own] @ gallery.T / 0.07) + 0.8 * np.eye(6, 12)
        losses.append(-(target * np.log(softmax(fast[own] @ gallery.T / 0.07))).sum(axis=1).mean())
    assert found == pytest.approx(np.mean(losses), rel=1e-4)


def test_the_copies_follow_slowly_and_learn_nothing():
    head, alignment = watched()
    slow = alignment.slow[0][0][0].weight
    before = slow.clone()
    with torch.no_grad():
        head.image[0].weight.add_(1.0)
    alignment.follow()
    assert torch.allclose(slow, before + 0.005, atol=1e-6)
    head(*pairs(1))
    alignment.loss(1.0).backward()
    assert all(parameter.grad is None for parameter in alignment.slow.parameters())
    assert head.image[0].weight.grad.abs().max() > 0 and head.clinical[0].weight.grad.abs().max() > 0


def test_pairs_move_together():
    head, alignment = watched()
    optimizer = torch.optim.Adam([*head.parameters(), *alignment.parameters()], 0.003)
    seen = torch.randn(len(SCHEMA.features), 12)
    for step in range(50):
        _, clinical = pairs(step, 32)
        head(clinical @ seen, clinical)
        optimizer.zero_grad()
        alignment.loss(0.0).backward()
        optimizer.step()
        alignment.follow()
    _, clinical = pairs(1000, 32)
    near = unit(alignment.image(head.image(clinical @ seen))) @ unit(alignment.clinical(head.clinical(clinical))).T
    assert (near.argmax(axis=1) == np.arange(32)).mean() > 0.5, "a picture lies nearest to its own patient"


def test_a_run_goes_on_as_it_began_and_keeps_nothing_of_it(new_run, samples):
    wanted = {"fusion": "concat", "align": 0.5, "ema": 0.9}
    config, whole = new_run(**wanted)
    train(config, samples, whole)
    _, stopped = new_run(**wanted)
    Trainer(config, samples, stopped).run_epoch(0)
    train(config, samples, stopped)
    assert stopped.weights_file.read_bytes() == whole.weights_file.read_bytes()
    first, second = read_tensors(whole.checkpoint_file), read_tensors(stopped.checkpoint_file)
    assert all(torch.equal(first[name], second[name]) for name in first) and "model.alignment.image_queue" in first
    assert not [name for name in read_tensors(whole.weights_file) if "alignment" in name]
    plain, without = new_run(fusion="concat", ema=0.9)
    train(plain, samples, without)
    assert without.weights_file.read_bytes() != whole.weights_file.read_bytes()


def test_what_cannot_be_aligned_is_refused(synthetic_data, tmp_path):
    with pytest.raises(UsageError, match="image_only reads one of them alone"):
        dermedge.train(synthetic_data, run=tmp_path / "run", fusion="image_only", align=1.0, image_size=32, epochs=1)
    with pytest.raises(UsageError, match="leave torchrun and --compile"):
        dermedge.train(
            synthetic_data, run=tmp_path / "run", fusion="concat", align=1.0, image_size=32, epochs=1, compiled=True
        )
    assert not (tmp_path / "run" / "config.json").exists()
