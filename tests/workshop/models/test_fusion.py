import math

import pytest
import torch
from torch import Tensor, nn

from dermedge.models.clinical_branch import CLINICAL_FEATURES
from dermedge.models.fusion import FUSIONS, Fusion, fusion_class
from dermedge.models.fusions.cross_attention import CrossAttention
from dermedge.models.image_head import IMAGE_FEATURES
from dermedge_runtime.errors import UsageError

each_fusion = pytest.mark.parametrize("name", FUSIONS)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def made(name: str) -> Fusion:
    return fusion_class(name)().eval()


def vectors(batch: int = 3) -> tuple[Tensor, Tensor]:
    return torch.randn(batch, IMAGE_FEATURES), torch.randn(batch, CLINICAL_FEATURES)


@each_fusion
@pytest.mark.parametrize("batch", [1, 3])
def test_z_is_one_float_vector_of_the_declared_length_per_patient(name, batch):
    z = made(name)(*vectors(batch))
    assert z.shape == (batch, FUSIONS[name].features)
    assert z.dtype == torch.float32 and z.isfinite().all()


@each_fusion
def test_every_fusion_reads_at_least_one_modality(name):
    assert FUSIONS[name].uses_image or FUSIONS[name].uses_clinical


@each_fusion
def test_gradients_reach_every_element_of_each_modality_that_is_read(name):
    x, y = (vector.requires_grad_() for vector in vectors())
    made(name)(x, y).square().sum().backward()
    for vector, used in ((x, FUSIONS[name].uses_image), (y, FUSIONS[name].uses_clinical)):
        if used:
            assert vector.grad is not None and (vector.grad != 0).all()
        else:
            assert vector.grad is None


@each_fusion
@torch.no_grad()
def test_z_depends_on_what_is_read_and_on_nothing_else(name):
    fusion, kind = made(name), FUSIONS[name]
    (x, y), (other_x, other_y) = vectors(), vectors()
    z = fusion(x, y)
    assert torch.allclose(fusion(other_x, y), z, atol=1e-3) is not kind.uses_image
    assert torch.allclose(fusion(x, other_y), z, atol=1e-3) is not kind.uses_clinical
    alone = fusion(x if kind.uses_image else None, y if kind.uses_clinical else None)
    assert torch.equal(alone, z)


@each_fusion
@torch.no_grad()
def test_a_patient_does_not_depend_on_the_others_of_the_batch(name):
    fusion, (x, y) = made(name), vectors(4)
    whole = fusion(x, y)
    for row in range(4):
        torch.testing.assert_close(fusion(x[row : row + 1], y[row : row + 1]), whole[row : row + 1])


@each_fusion
@pytest.mark.parametrize("steps", [1, 5])
def test_an_image_held_fixed_equals_fusing_pair_by_pair(name, steps):
    if not FUSIONS[name].uses_clinical:
        pytest.skip("there is nothing to vary")
    fusion, project = made(name), nn.Linear(FUSIONS[name].features, 11)
    x, y = torch.randn(2, IMAGE_FEATURES), torch.randn(2, steps, CLINICAL_FEATURES, requires_grad=True)
    held = fusion.given_image(x, project)(y)
    (gradient,) = torch.autograd.grad(held.square().sum(), y)
    assert held.shape == (2, steps, 11)
    for row in range(2):
        for step in range(steps):
            one = y[row, step : step + 1].detach().requires_grad_()
            pair = project(fusion(x[row : row + 1], one))
            torch.testing.assert_close(held[row, step], pair[0], rtol=1e-4, atol=1e-5)
            (expected,) = torch.autograd.grad(pair.square().sum(), one)
            torch.testing.assert_close(gradient[row, step], expected[0], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_picture_alone_held_fixed_is_the_same_for_every_patient():
    fusion, project = made("image_only"), nn.Linear(IMAGE_FEATURES, 11)
    x, y = torch.randn(2, IMAGE_FEATURES), torch.randn(2, 5, CLINICAL_FEATURES)
    held = fusion.given_image(x, project)(y)
    torch.testing.assert_close(held, project(x)[:, None].expand(-1, 5, -1))


WITHOUT_PARAMETERS = ("concat", "tensor", "image_only", "clinical_only")


@each_fusion
def test_every_parameter_of_a_fusion_learns(name):
    fusion = made(name)
    fusion(*(vector.requires_grad_() for vector in vectors())).square().sum().backward()
    learns = [parameter.grad is not None and bool(parameter.grad.abs().max() > 0) for parameter in fusion.parameters()]
    assert all(learns)
    assert bool(learns) is (name not in WITHOUT_PARAMETERS)


@torch.no_grad()
def test_the_single_branches_pass_their_vector_on_unchanged():
    x, y = vectors()
    assert torch.equal(made("image_only")(x, y), x)
    assert torch.equal(made("clinical_only")(x, y), y)


@torch.no_grad()
def test_cross_attention_equals_a_plain_loop_over_tokens():
    fusion, (x, y) = CrossAttention(), vectors(2)
    z = fusion(x, y)
    for row in range(2):
        image = [x[row, 32 * i : 32 * i + 32] for i in range(16)]
        clinical = [y[row, 32 * j : 32 * j + 32] for j in range(8)]
        for i, token in enumerate(image):
            query = fusion.query.weight @ token
            scores = [float(query @ (fusion.key.weight @ other)) / math.sqrt(32) for other in clinical]
            total = sum(math.exp(score) for score in scores)
            attended = token.clone()
            for score, other in zip(scores, clinical, strict=True):
                attended += math.exp(score) / total * (fusion.value.weight @ other)
            torch.testing.assert_close(z[row, 32 * i : 32 * i + 32], attended, rtol=1e-4, atol=1e-5)


def printed_cross_attention(x: Tensor, y: Tensor, query: nn.Linear, key: nn.Linear, value: nn.Linear) -> Tensor:
    """Equation 13 as printed: x and y are one token each."""
    scores = query(x).unsqueeze(1) @ key(y).unsqueeze(2) / math.sqrt(query.out_features)
    return (torch.softmax(scores, dim=-1) @ value(y).unsqueeze(1)).squeeze(1)


def test_the_equation_as_printed_ignores_the_image():
    query, key, value = nn.Linear(512, 64), nn.Linear(256, 64), nn.Linear(256, 64)
    x, y = (vector.requires_grad_() for vector in vectors())
    z = printed_cross_attention(x, y, query, key, value)
    assert torch.equal(z, printed_cross_attention(torch.randn_like(x), y, query, key, value))
    torch.testing.assert_close(z, value(y))
    z.square().sum().backward()
    assert (x.grad == 0).all() and (query.weight.grad == 0).all() and (key.weight.grad == 0).all()


@torch.no_grad()
def test_in_ours_the_image_decides_what_is_attended_to():
    fusion, (x, y) = CrossAttention(), vectors()
    (attended, other) = (fusion(image, y) - image for image in (x, torch.randn_like(x)))
    assert not torch.allclose(attended, other, atol=1e-3)


@pytest.mark.parametrize("wrong", ["cross_atention", "crossattention", "Cross_Attention"])
def test_an_unknown_fusion_lists_all_and_names_the_nearest(wrong):
    with pytest.raises(UsageError) as caught:
        fusion_class(wrong)
    assert caught.value.exit_code == 2
    assert f"Unknown fusion '{wrong}'; known are {', '.join(FUSIONS)}." in str(caught.value)
    assert str(caught.value).endswith(" Did you mean cross_attention?")


def test_nothing_is_suggested_where_nothing_is_near():
    with pytest.raises(UsageError) as caught:
        fusion_class("zzz")
    assert str(caught.value) == f"Unknown fusion 'zzz'; known are {', '.join(FUSIONS)}."
