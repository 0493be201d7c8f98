"""Batch normalisation over the shares of several processes; with one process it is torch's."""

from collections.abc import Iterator

import pytest
import torch
from torch import distributed as dist
from torch import nn

from dermedge.training.global_batch_norm import GlobalBatchNorm, share_batch_statistics


@pytest.fixture
def one_process() -> Iterator[None]:
    """A group of this process alone."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize(("kind", "shape"), [(nn.BatchNorm1d, (6, 5)), (nn.BatchNorm2d, (6, 5, 3, 2))])
def test_both_kinds_learn_and_answer_as_torchs(one_process: None, kind: type, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    layers = [nn.Sequential(kind(5)) for _ in range(2)]
    share_batch_statistics(layers[1], torch.device("cpu"))
    assert isinstance(layers[1][0], GlobalBatchNorm)
    values = torch.randn(shape)
    for training in (True, True, False):
        inputs = [values.clone().requires_grad_() for _ in layers]
        outputs = [layer.train(training)(given) for layer, given in zip(layers, inputs, strict=True)]
        for output in outputs:
            output.square().sum().backward()
        torch.testing.assert_close(outputs[1], outputs[0])
        torch.testing.assert_close(inputs[1].grad, inputs[0].grad, atol=1e-5, rtol=1e-4)
        values = values * 2 + 1
    torch.testing.assert_close(layers[1].state_dict(), layers[0].state_dict())
