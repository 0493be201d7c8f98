"""DermiResNet with a quarter of its channels: the same layers, where their width is not the question."""

import pytest

from dermedge.models.branches import dermiresnet
from dermedge.models.narrow import widths_of

CHANNELS = tuple(channels // 4 for channels in dermiresnet.STAGE_CHANNELS)


def quarter_widths() -> dict[str, list[int]]:
    """What a run's settings say of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dermiresnet, "STAGE_CHANNELS", CHANNELS)
        return widths_of(dermiresnet.DermiResNet())
