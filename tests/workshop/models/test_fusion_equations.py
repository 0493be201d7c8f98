"""Every fusion equals its equation, written out as slowly as it can be; numbered ones are the paper's."""

import math

import pytest
import torch
from torch import Tensor, nn

from dermedge.data.ham10000 import HAM10000
from dermedge.models.classifier import Head
from dermedge.models.fusion import fusion_class
from dermedge.models.fusions.cross_attention import CrossAttention
from dermedge.models.fusions.self_attention import TokenAttention

X, Y = 512, 256


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def vectors(batch: int = 2) -> tuple[Tensor, Tensor]:
    return torch.randn(batch, X), torch.randn(batch, Y)


@torch.no_grad()
def test_concat_is_equation_4():
    x, y = vectors()
    z = fusion_class("concat")()(x, y)
    assert torch.equal(z[:, :X], x) and torch.equal(z[:, X:], y)


@torch.no_grad()
def test_weighted_concat_starts_as_concat_and_is_equation_5():
    fusion, (x, y) = fusion_class("weighted_concat")(), vectors()
    assert torch.equal(fusion(x, y), torch.cat([x, y], dim=1))
    assert [parameter.shape for parameter in fusion.parameters()] == [(), ()]
    fusion.image_weight.fill_(0.5)
    fusion.clinical_weight.fill_(-3)
    z = fusion(x, y)
    torch.testing.assert_close(z[:, :X], x / 2)
    torch.testing.assert_close(z[:, X:], -3 * y)


def linear(layer: nn.Linear, vector: Tensor) -> list[float]:
    bias = [0.0] * layer.out_features if layer.bias is None else layer.bias.tolist()
    return [float(row.double() @ vector.double()) + b for row, b in zip(layer.weight, bias, strict=True)]


@torch.no_grad()
def test_hadamard_is_equation_6():
    fusion, (x, y) = fusion_class("hadamard")(), vectors()
    for row, z in enumerate(fusion(x, y)):
        projected = linear(fusion.image, x[row])
        expected = [a * float(b) for a, b in zip(projected, y[row], strict=True)]
        torch.testing.assert_close(z, torch.tensor(expected), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_tensor_is_equation_7_divided_by_a_constant():
    fusion, (x, y) = fusion_class("tensor")(), vectors()
    z = fusion(x, y)
    for row, i, j in ((0, 0, 0), (0, 511, 0), (1, 0, 255), (1, 37, 201), (0, 200, 100)):
        torch.testing.assert_close(z[row, X * j + i], x[row, i] * y[row, j] / math.sqrt(X))
    # All products, each once: the norm of an outer product is the product of the norms.
    torch.testing.assert_close(z.norm(dim=1), x.norm(dim=1) * y.norm(dim=1) / math.sqrt(X), rtol=1e-4, atol=0)


@torch.no_grad()
def test_bilinear_is_equations_8_and_9_divided_by_a_constant():
    fusion, (x, y) = fusion_class("bilinear")(), vectors()
    z = fusion(x, y)
    for k in (0, 1, 130, 255):
        form = torch.stack([fusion.forms.weight[Y * k + j] for j in range(Y)], dim=1)  # W_k [512, 256]
        for row in range(2):
            expected = x[row].double() @ form.double() @ y[row].double() / math.sqrt(X)
            torch.testing.assert_close(z[row, k].double(), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_gated_is_equations_10_and_11():
    fusion, (x, y) = fusion_class("gated")(), vectors()
    for row, z in enumerate(fusion(x, y)):
        image = linear(fusion.image, x[row])
        of_image = linear(fusion.image_gate, torch.tensor(image))
        gates = [a + b for a, b in zip(of_image, linear(fusion.clinical_gate, y[row]), strict=True)]
        gates = [1 / (1 + math.exp(-gate)) for gate in gates]
        expected = [g * a + (1 - g) * b for g, a, b in zip(gates, image, y[row].tolist(), strict=True)]
        torch.testing.assert_close(z, torch.tensor(expected), rtol=1e-4, atol=1e-5)


def attended(layer: TokenAttention, vector: Tensor) -> Tensor:
    tokens = vector.split(32)
    queries, keys, values = ([m.weight @ t for t in tokens] for m in (layer.query, layer.key, layer.value))
    result = []
    for token, query in zip(tokens, queries, strict=True):
        weights = [math.exp(float(query @ key) / math.sqrt(32)) for key in keys]
        mixed = sum(w * value for w, value in zip(weights, values, strict=True)) / sum(weights)
        result.append(token + mixed)
    return torch.cat(result)


@torch.no_grad()
def test_self_attention_is_equation_12_within_each_modality():
    fusion, (x, y) = fusion_class("self_attention")(), vectors()
    z = fusion(x, y)
    for row in range(2):
        torch.testing.assert_close(z[row, :X], attended(fusion.image, x[row]), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(z[row, X:], attended(fusion.clinical, y[row]), rtol=1e-4, atol=1e-5)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


@torch.no_grad()
def test_metanet_weighs_the_picture_by_the_patient():
    fusion, (x, y) = fusion_class("metanet")(), vectors()
    first, _, second, _ = fusion.gate
    for row, z in enumerate(fusion(x, y)):
        hidden = torch.tensor([max(value, 0) for value in linear(first, y[row])])
        expected = [a * sigmoid(b) for a, b in zip(x[row].tolist(), linear(second, hidden), strict=True)]
        torch.testing.assert_close(z, torch.tensor(expected), rtol=1e-4, atol=1e-5)


def normalised(layers: nn.Sequential, vector: Tensor) -> list[float]:
    layer, norm = layers
    kept = zip(norm.running_mean, norm.running_var, norm.weight, norm.bias, strict=True)
    return [
        float((value - mean) / (var + norm.eps).sqrt() * weight + bias)
        for value, (mean, var, weight, bias) in zip(linear(layer, vector), kept, strict=True)
    ]


@torch.no_grad()
def test_metablock_scales_and_shifts_the_picture_by_the_patient():
    fusion, (x, y) = fusion_class("metablock")(), vectors(8)
    fusion.train()(x, y)  # so that the normalisation has seen something
    z = fusion.eval()(x, y)
    for row in range(2):
        both = zip(x[row].tolist(), normalised(fusion.scale, y[row]), normalised(fusion.shift, y[row]), strict=True)
        expected = [sigmoid(math.tanh(scale * a) + shift) for a, scale, shift in both]
        torch.testing.assert_close(z[row], torch.tensor(expected), rtol=1e-4, atol=1e-5)


def asked(layer: CrossAttention, asking: Tensor, other: Tensor) -> Tensor:
    result = []
    for token in asking.split(32):
        scores = [(layer.query.weight @ token) @ (layer.key.weight @ key) / math.sqrt(32) for key in other.split(32)]
        weights = torch.softmax(torch.stack(scores), dim=0)
        values = [layer.value.weight @ value for value in other.split(32)]
        result.append(token + sum(w * value for w, value in zip(weights, values, strict=True)))
    return torch.cat(result)


@torch.no_grad()
def test_mmf_net_lets_each_modality_attend_to_itself_and_then_to_the_other():
    fusion, (x, y) = fusion_class("mmf_net")(), vectors()
    z = fusion(x, y)
    for row in range(2):
        image, clinical = attended(fusion.image, x[row]), attended(fusion.clinical, y[row])
        torch.testing.assert_close(z[row, :X], asked(fusion.image_asks, image, clinical), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(z[row, X:], asked(fusion.clinical_asks, clinical, image), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_late_adds_the_scores_of_two_classifiers_that_know_nothing_of_each_other():
    head = Head("late", HAM10000.clinical("grouped"), 7, 0.0, 40).eval()
    pooled, clinical = torch.randn(3, 40), torch.randn(3, 17)
    last = head.classifier[-1]
    of_image = torch.relu(head.fusion.image(head.image(pooled))) @ last.weight[:, :128].T
    of_clinical = torch.relu(head.fusion.clinical(head.clinical(clinical))) @ last.weight[:, 128:].T
    torch.testing.assert_close(head(pooled, clinical), of_image + of_clinical + last.bias)
    # The answer is the geometric mean of the two classifiers' answers, weighted two to two.
    product = torch.softmax(of_image + last.bias, dim=1) * torch.softmax(of_clinical, dim=1)
    torch.testing.assert_close(torch.softmax(head(pooled, clinical), dim=1), product / product.sum(dim=1, keepdim=True))


@torch.no_grad()
def test_adaptive_mixes_four_fusions_anew_for_every_patient():
    fusion, (x, y) = fusion_class("adaptive")(), vectors()
    parts = ("concat", "hadamard", "cross_attention", "image_only")
    assert tuple(fusion.parts) == parts
    seen = []
    for row, z in enumerate(fusion(x, y)):
        seen.append(torch.softmax(torch.tensor(linear(fusion.gate, torch.cat([x[row], y[row]]))), dim=0))
        one = x[row : row + 1], y[row : row + 1]
        projected = [fusion.projections[name](fusion.parts[name](*one))[0] for name in parts]
        expected = sum(weight * part for weight, part in zip(seen[-1], projected, strict=True))
        torch.testing.assert_close(z, expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(seen[0], seen[1], atol=1e-2)


@torch.no_grad()
@pytest.mark.parametrize("name", ["late", "adaptive"])
def test_a_fusion_whose_z_is_the_hidden_layer_is_read_by_nothing(name):
    reader = fusion_class(name)().new_reader(256)
    assert isinstance(reader, nn.Identity) and fusion_class(name).features == 256


@torch.no_grad()
@pytest.mark.parametrize("name", ["tensor", "bilinear"])
def test_products_start_with_unit_variance(name):
    fusion, project = fusion_class(name)(), nn.Linear(fusion_class(name).features, 256)
    fusion.start_reader(project)
    x, y = vectors(16)
    z = fusion(x, y)
    first = project(z) if name == "tensor" else z
    assert 0.8 < first.var() < 1.25


@torch.no_grad()
@pytest.mark.parametrize("name", ["tensor", "bilinear"])
def test_coefficients_of_a_product_are_the_whole_form(name):
    fusion, project = fusion_class(name)(), nn.Linear(fusion_class(name).features, 5)
    x, y = vectors()
    form = torch.einsum("hji,bj,bi->bh", fusion.coefficients(project), y, x) + project.bias
    torch.testing.assert_close(form, project(fusion(x, y)), rtol=1e-4, atol=1e-4)


def test_names_of_weights_in_saved_runs_stay():
    names = {name: sorted(fusion_class(name)().state_dict()) for name in ("cross_attention", "gated", "bilinear")}
    assert names == {
        "cross_attention": ["key.weight", "query.weight", "value.weight"],
        "gated": ["clinical_gate.weight", "image.bias", "image.weight", "image_gate.bias", "image_gate.weight"],
        "bilinear": ["forms.weight"],
    }
