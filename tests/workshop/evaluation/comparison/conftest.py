"""A trunk so narrow that a comparison is trained in seconds."""

from collections.abc import Iterator

import pytest
from comparisons import NARROW

from dermedge.models.branches import dermiresnet


@pytest.fixture(scope="module")
def narrow_trunk() -> Iterator[None]:
    """Make DermiResNet narrow, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dermiresnet, "STAGE_CHANNELS", NARROW)
        yield
