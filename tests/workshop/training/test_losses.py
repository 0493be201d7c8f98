import numpy as np
import pytest
import torch
from torch.nn import functional

from dermedge.training.losses import ClassificationLoss

COUNTS = np.array([80, 15, 5])


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(40, 3), torch.randint(0, 3, (40,))


def test_the_default_is_cross_entropy(batch) -> None:
    torch.testing.assert_close(ClassificationLoss(COUNTS)(*batch), functional.cross_entropy(*batch))


def test_class_weights_make_every_class_weigh_alike() -> None:
    loss = ClassificationLoss(COUNTS, class_weights=1.0)
    torch.testing.assert_close(loss.weights * torch.from_numpy(COUNTS).float(), torch.full((3,), 100 / 3))
    # Over the draws of an epoch the mean weight is 1, so the learning rate keeps its meaning.
    half = ClassificationLoss(COUNTS, class_weights=0.5)
    assert float((half.weights.double() * torch.from_numpy(COUNTS)).sum()) == pytest.approx(100)
    assert half.weights[2] / half.weights[0] == pytest.approx(4.0)


def test_weights_scale_the_loss_of_their_class(batch) -> None:
    logits, labels = batch
    loss = ClassificationLoss(COUNTS, class_weights=1.0)
    expected = (functional.cross_entropy(logits, labels, reduction="none") * loss.weights[labels]).mean()
    torch.testing.assert_close(loss(logits, labels), expected)


def test_focus_forgets_what_is_certain(batch) -> None:
    logits, labels = batch
    own = torch.softmax(logits, dim=1)[torch.arange(40), labels]
    expected = (-((1 - own) ** 2) * own.log()).mean()
    torch.testing.assert_close(ClassificationLoss(COUNTS, focal=2.0)(logits, labels), expected)


def test_label_smoothing_is_that_of_torch(batch) -> None:
    expected = functional.cross_entropy(*batch, label_smoothing=0.1)
    torch.testing.assert_close(ClassificationLoss(COUNTS, label_smoothing=0.1)(*batch), expected)


def test_logit_adjustment_moves_the_decision_to_balanced_classes() -> None:
    # Scores that know nothing: under the natural frequencies the adjusted loss is least where all classes are alike.
    labels = torch.repeat_interleave(torch.arange(3), torch.from_numpy(COUNTS))
    scores = torch.zeros(3, requires_grad=True)
    loss = ClassificationLoss(COUNTS, logit_adjustment=1.0)
    (gradient,) = torch.autograd.grad(loss(scores.expand(100, 3), labels), scores)
    torch.testing.assert_close(gradient, torch.zeros(3), atol=1e-6, rtol=0)
    (plain,) = torch.autograd.grad(ClassificationLoss(COUNTS)(scores.expand(100, 3), labels), scores)
    assert plain.abs().max() > 0.1


def test_a_class_without_images_keeps_the_loss_finite() -> None:
    loss = ClassificationLoss(np.array([10, 0, 5]), class_weights=1.0, logit_adjustment=1.0)
    assert torch.isfinite(loss(torch.randn(4, 3), torch.tensor([0, 2, 0, 2])))
