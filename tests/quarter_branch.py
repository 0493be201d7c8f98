"""DermiResNet with a quarter of its channels: the same layers, where their width is not the question."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dermedge.models.branches import dermiresnet
from dermedge.models.narrow import widths_of

CHANNELS = tuple(channels // 4 for channels in dermiresnet.STAGE_CHANNELS)


@contextmanager
def quarter_wide() -> Iterator[None]:
    """Make the networks that are made meanwhile with it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dermiresnet, "STAGE_CHANNELS", CHANNELS)
        yield


def quarter_widths() -> dict[str, list[int]]:
    """What a run's settings say of it."""
    with quarter_wide():
        return widths_of(dermiresnet.DermiResNet())
