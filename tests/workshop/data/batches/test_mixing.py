import pytest
import torch

from dermedge.data.batches.mixing import mix


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def pictures() -> torch.Tensor:
    """Six pictures of one level each, so that every pixel tells whose it is."""
    return torch.arange(6.0)[:, None, None, None].expand(6, 3, 20, 30).contiguous()


def patients() -> torch.Tensor:
    return torch.eye(6)


def test_nothing_is_mixed_by_default() -> None:
    image, clinical = pictures(), patients()
    mixed = mix(image, clinical, 0.0, 0.0)
    assert mixed.visual is image and mixed.clinical is clinical
    assert mixed.partner is None and mixed.share == 1.0


def test_mixup_blends_picture_and_patient_by_the_share_of_the_label() -> None:
    mixed = mix(pictures(), patients(), 0.4, 0.0)
    partner, share = mixed.partner, mixed.share
    assert sorted(partner.tolist()) == list(range(6)) and 0 < share < 1
    expected = share * torch.arange(6.0) + (1 - share) * partner.float()
    torch.testing.assert_close(mixed.visual, expected[:, None, None, None].expand(6, 3, 20, 30))
    torch.testing.assert_close(mixed.clinical, share * torch.eye(6) + (1 - share) * torch.eye(6)[partner])


def test_cutmix_pastes_one_rectangle_and_its_area_is_the_share() -> None:
    shares = []
    for _ in range(20):
        mixed = mix(pictures(), patients(), 0.0, 1.0)
        own = torch.arange(6.0)[:, None, None, None]
        other = mixed.partner.float()[:, None, None, None]
        assert ((mixed.visual == own) | (mixed.visual == other)).all()
        moved = (mixed.partner != torch.arange(6)).nonzero()[0, 0]
        pasted = (mixed.visual[moved, 0] == float(mixed.partner[moved])).nonzero()
        area = 0 if not len(pasted) else int((pasted.amax(0) - pasted.amin(0) + 1).prod())
        assert area == len(pasted)
        assert mixed.share == pytest.approx(1 - area / 600)
        torch.testing.assert_close(
            mixed.clinical, mixed.share * torch.eye(6) + (1 - mixed.share) * torch.eye(6)[mixed.partner]
        )
        shares.append(mixed.share)
    assert max(shares) - min(shares) > 0.3


def test_with_both_they_take_turns() -> None:
    blended = []
    for _ in range(30):
        levels = mix(pictures(), None, 1.0, 1.0).visual
        blended.append(bool((levels != levels.round()).any()))
    assert 5 < sum(blended) < 25


def test_a_missing_modality_stays_missing() -> None:
    assert mix(pictures(), None, 1.0, 0.0).clinical is None
    without = mix(None, patients(), 0.4, 1.0)  # without a picture there is nothing to paste: mixup alone
    assert without.visual is None and 0 < without.share < 1
    assert mix(None, patients(), 0.0, 1.0).partner is None
