"""Receptive fields: what one cell tells of which others, and where they begin."""

import pytest
import torch

from dermedge.api.settings import settings_of
from dermedge.models.receptive_fields import FIELDS, ReceptiveFields
from dermedge_runtime.errors import UsageError

MAP = torch.rand(2, 32, 9, 9, generator=torch.Generator().manual_seed(0))


def fields() -> ReceptiveFields:
    torch.manual_seed(1)
    made = ReceptiveFields(32)
    torch.nn.init.normal_(made.joined.weight)
    return made


def test_they_begin_as_if_they_were_not_there_and_all_of_them_learns() -> None:
    assert torch.equal(ReceptiveFields(32)(MAP), MAP)
    made = fields()
    made(MAP).square().sum().backward()
    assert [name for name, weight in made.named_parameters() if weight.grad is None or not weight.grad.any()] == []


@pytest.mark.parametrize(("index", "field"), list(enumerate(FIELDS)))
def test_a_field_sees_as_many_cells_as_it_says(index: int, field: int) -> None:
    made = fields().eval()
    width = made.joined.in_channels // len(FIELDS)
    with torch.no_grad():
        made.joined.weight[:, : index * width] = 0
        made.joined.weight[:, (index + 1) * width :] = 0
    given = MAP.clone().requires_grad_()
    (made(given) - given)[:, :, 4, 4].sum().backward()
    seen = given.grad.abs().sum(dim=(0, 1)).nonzero()
    assert (seen.amax(dim=0) - seen.amin(dim=0) + 1).tolist() == [field, field]
    assert len(seen) == min(field**2, 9), "the largest is dilated"


def test_what_cannot_go_together_is_refused() -> None:
    named = {"fusion": "image_only", "receptive_fields": "several", "prune": 0.3}
    with pytest.raises(UsageError, match="--prune would not know how wide"):
        settings_of(None, None, named)
    chosen = {"fusion": "image_only", "select_features": 0.5, "prune": 0.3}
    with pytest.raises(UsageError, match="features that --select-features has chosen"):
        settings_of(None, None, chosen)
    with pytest.raises(UsageError, match="clinical_only reads none"):
        settings_of(None, None, {"fusion": "clinical_only", "receptive_fields": "several"})
