import pytest
import torch
from torch import nn

from dermedge.data.ham10000 import HAM10000
from dermedge.models.classifier import FusedClassifier, pool
from dermedge.models.fusion import FUSIONS

each_fusion = pytest.mark.parametrize("name", FUSIONS)
SCHEMA = HAM10000.clinical("grouped")


def made(name: str) -> FusedClassifier:
    torch.manual_seed(0)
    return FusedClassifier(name, SCHEMA, n_classes=7, dropout=0.4).eval()


def inputs(batch: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    ages = torch.tensor([[30.0], [float("nan")]])[:batch]
    return torch.rand(batch, 3, 32, 32, generator=generator), ages, torch.tensor([[0, 2], [-1, 13]])[:batch].int()


@each_fusion
@torch.no_grad()
def test_logits_depend_on_the_modalities_of_the_fusion_and_need_no_other(name, narrow_trunk):
    model, kind = made(name), FUSIONS[name]
    image, age, words = inputs()
    logits = model(image, age, words)
    assert logits.shape == (2, 7) and logits.dtype == torch.float32 and logits.isfinite().all()
    assert torch.equal(model(1 - image, age, words), logits) is not kind.uses_image
    assert torch.equal(model(image, age + 5, words), logits) is not kind.uses_clinical
    assert torch.equal(model(image, age, words.clamp(max=1)), logits) is not kind.uses_clinical
    needed = (image if kind.uses_image else None, *((age, words) if kind.uses_clinical else (None, None)))
    assert torch.equal(model(*needed), logits)


@each_fusion
@torch.no_grad()
def test_the_head_is_everything_after_pooling_and_encoding(name, narrow_trunk):
    model = made(name)
    image, age, words = inputs()
    pooled = None if model.trunk is None else pool(model.trunk(image))
    clinical = None if model.encoder is None else model.encoder(age, words)
    assert torch.equal(model.head(pooled, clinical), model(image, age, words))


@each_fusion
def test_branches_that_are_not_read_are_not_built(name, narrow_trunk):
    model, kind = made(name), FUSIONS[name]
    assert (model.trunk is not None, model.head.image is not None) == (kind.uses_image, kind.uses_image)
    assert (model.encoder is not None, model.head.clinical is not None) == (kind.uses_clinical, kind.uses_clinical)


@each_fusion
def test_every_parameter_gets_a_gradient(name, narrow_trunk):
    model = made(name).train()
    model(*inputs()).square().sum().backward()
    assert [n for n, parameter in model.named_parameters() if parameter.grad is None] == []


def test_the_classifier_has_one_hidden_layer_of_256_with_relu_and_the_set_dropout(narrow_trunk):
    layers = made("cross_attention").head.classifier
    assert [type(layer) for layer in layers] == [nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert [tuple(layers[i].weight.shape) for i in (0, 3)] == [(256, 512), (7, 256)]
    assert layers[2].p == 0.4
