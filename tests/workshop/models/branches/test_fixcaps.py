"""FixCaps: its layers, its capsules, and what is refused of a branch that ends in them."""

import pytest
import torch
from torch.nn import functional

from dermedge.api.settings import settings_of
from dermedge.data.ham10000 import HAM10000
from dermedge.models.branches.families import family_of, new_branch
from dermedge.models.branches.fixcaps import LargestOfCells
from dermedge.models.branches.picture_size import check_picture_size
from dermedge.models.capsule_routing import CapsuleRouting, routed, squash
from dermedge.models.classifier import FusedClassifier
from dermedge.training.train import train
from dermedge_export.description import NO_HEATMAP, describe
from dermedge_runtime.errors import UsageError

SCHEMA = HAM10000.clinical("grouped")


def pictures(batch: int, side: int = 64) -> torch.Tensor:
    """Blotches, as different as lesions are."""
    coarse = torch.rand(batch, 3, 7, 7, generator=torch.Generator().manual_seed(batch))
    return functional.interpolate(coarse, (side, side), mode="bilinear")


def network(fusion: str = "concat", name: str = "fixcaps_ds") -> FusedClassifier:
    torch.manual_seed(0)
    return FusedClassifier(fusion, SCHEMA, 7, image_branch=name)


@pytest.mark.parametrize(
    ("name", "published", "exact"), [("fixcaps_ds", 0.14e6, 136_024), ("fixcaps", 0.50e6, 501_522)]
)
def test_its_parameters_before_the_capsules_are_the_published_ones(name: str, published: float, exact: int) -> None:
    branch = new_branch(name)
    count = sum(weight.numel() for weight in branch.parameters())
    assert count == exact and count == pytest.approx(published, abs=0.005e6)
    routing = branch.own_pooling()
    assert routing is not None and sum(weight.numel() for weight in routing.parameters()) == 576 * 8 * 7 * 16


@pytest.mark.parametrize("count", [1, 7, 17, 20, 33, 56, 135])
def test_cells_are_those_of_adaptive_pooling(count: int) -> None:
    values = torch.rand(2, 3, count, count + 4)
    assert torch.equal(LargestOfCells()(values), functional.adaptive_max_pool2d(values, 20))


def test_routing_is_that_of_the_publication() -> None:
    """Procedure 1 of Sabour et al. 2017, capsule by capsule."""
    votes = torch.randn(5, 1, 3, 4, generator=torch.Generator().manual_seed(1))
    leanings = [[0.0] * 3 for _ in range(5)]
    for _ in range(3):
        shares = [torch.softmax(torch.tensor(row), 0) for row in leanings]
        sums = [sum(shares[i][j] * votes[i, 0, j] for i in range(5)) for j in range(3)]
        found = [each * (each.norm() ** 2 / (1 + each.norm() ** 2) / each.norm()) for each in sums]
        leanings = [[leanings[i][j] + float(votes[i, 0, j] @ found[j]) for j in range(3)] for i in range(5)]
    torch.testing.assert_close(routed(votes)[0], torch.stack(found))


def test_a_picture_is_routed_alone_and_no_capsule_breaks_the_gradient() -> None:
    routing, maps = CapsuleRouting(16, 6), torch.randn(4, 128, 6, 6)
    torch.testing.assert_close(routing(maps)[:1], routing(maps[:1]))
    assert (routing(maps).unflatten(1, (7, 16)).norm(dim=2) < 1).all()
    nothing = torch.zeros(1, 128, 6, 6, requires_grad=True)
    routing(nothing).sum().backward()
    assert nothing.grad is not None and torch.isfinite(nothing.grad).all()
    assert squash(torch.tensor([3.0, 4.0])).norm().item() == pytest.approx(25 / 26)


def test_all_of_it_learns_and_the_answer_depends_on_picture_and_patient() -> None:
    model = network().train()
    numeric, categorical = torch.tensor([[40.0], [70.0]]), torch.tensor([[0, 1], [1, 5]], dtype=torch.int32)
    model(pictures(2), numeric, categorical).logsumexp(1).sum().backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()] == []
    for _ in range(3):
        model(pictures(8), numeric.repeat(4, 1), categorical.repeat(4, 1))  # the statistics become those of the data
    model.eval()
    with torch.no_grad():
        answer = model(pictures(2), numeric, categorical)
        assert (answer - model(pictures(2).flip(0), numeric, categorical)).abs().max() > 1e-3
        assert (answer - model(pictures(2), numeric.flip(0), categorical)).abs().max() > 1e-3
        assert model.see(pictures(2)).shape == (2, 112) and not model.has_heatmap


def test_any_size_will_do_that_the_large_convolution_fits_into() -> None:
    for size in (31, 97, 224):
        check_picture_size("fixcaps_ds", size)
    with pytest.raises(
        UsageError, match="--image-size 30 is too small for fixcaps: it reads pictures from 31 pixels up"
    ):
        check_picture_size("fixcaps", 30)


@pytest.mark.parametrize(
    "setting",
    [
        {"receptive_fields": "several"},
        {"attention": "soft"},
        {"pooling": "gem"},
        {"quantise_aware": True},
        {"prune": 0.3},
    ],
)
def test_what_the_capsules_leave_no_place_for_is_refused(setting: dict) -> None:
    (name,) = setting
    with pytest.raises(UsageError, match=rf"fixcaps ends in capsules.*leave --{name.replace('_', '-')} out"):
        settings_of(None, None, {"image_branch": "fixcaps", "fusion": "image_only", **setting})
    assert settings_of(None, None, {"image_branch": "fixcaps", "fusion": "image_only"}).image_branch == "fixcaps"


def test_it_stands_alone() -> None:
    with pytest.raises(UsageError, match="fixcaps_ds ends in capsules"):
        family_of("dermiresnet+fixcaps_ds").make("dermiresnet+fixcaps_ds", 0.0)
    with pytest.raises(ValueError, match="made for it alone"):
        FusedClassifier("image_only", SCHEMA, 7, image_branch="fixcaps", pooling="gem")


def test_a_file_of_a_run_says_that_it_has_no_heat_map(new_run, samples) -> None:
    config, run = new_run(image_branch="fixcaps_ds", fusion="concat", epochs=1)
    train(config, samples, run)
    spec = describe(run, "fp32", explain=True)
    assert spec.outputs[:3] == ("probabilities", "relevance", "attribution")
    assert spec.no_heatmap == NO_HEATMAP.format(branch="fixcaps_ds")
    assert describe(run, "fp32", explain=False).no_heatmap == ""
