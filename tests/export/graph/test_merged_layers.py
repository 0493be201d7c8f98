"""Merging layers changes the work, never the answer."""

import pytest
import torch
from export_networks import random_classifier, random_inputs, torch_probabilities_of
from torch import nn

from dermedge.models.branches.dermiresnet import ResidualUnit
from dermedge.models.fusion import FUSIONS
from dermedge_export.graph.merged_layers import with_merged_layers


@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_merged_network_computes_the_same(fusion: str) -> None:
    model = random_classifier(fusion)
    inputs = random_inputs(3)
    expected = torch_probabilities_of(model, inputs)
    torch.testing.assert_close(
        torch_probabilities_of(with_merged_layers(model), inputs), expected, rtol=1e-4, atol=1e-6
    )


def test_merging_leaves_no_normalisation_and_no_alpha() -> None:
    merged = with_merged_layers(random_classifier("cross_attention"))
    assert not [module for module in merged.modules() if isinstance(module, nn.BatchNorm2d)]
    assert [m.alpha.item() for m in merged.modules() if isinstance(m, ResidualUnit)] == [1, 1, 1, 1]


def test_merging_copies() -> None:
    model, inputs = random_classifier("concat"), random_inputs(2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    expected = torch_probabilities_of(model, inputs)
    merged = with_merged_layers(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch_probabilities_of(model, inputs), expected)
    assert type(merged.head.clinical[0]) is nn.Linear, "what stands for the average patient is computed once"


def test_alpha_near_zero_stays_a_factor() -> None:
    model = random_classifier("image_only")
    unit = model.trunk.stages[1]
    with torch.no_grad():
        unit.alpha.fill_(1e-5)
    inputs = random_inputs(2)
    merged = with_merged_layers(model)
    assert merged.trunk.stages[1].alpha.item() == torch.tensor(1e-5).item()
    torch.testing.assert_close(
        torch_probabilities_of(merged, inputs), torch_probabilities_of(model, inputs), rtol=1e-4, atol=1e-6
    )
