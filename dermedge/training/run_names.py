"""What a run and its model files are called unless somebody names them. Cheap to import: no torch here."""

from __future__ import annotations

PAPERS_BRANCH = "dermiresnet"
"""The image branch that no name tells, because there was no other once."""
SEVERAL_BRANCHES = "mixed"
"""What the settings of an ensemble say of image branches that differ."""


def run_name(image_branch: str, fusion: str) -> str:
    """Name of a run's folder and of its model files: the fusion, after its branch where that is not the paper's.

    :param image_branch: as `--image-branch` takes it; a colon, which no file name may have everywhere, becomes a dash.
    """
    return fusion if image_branch == PAPERS_BRANCH else f"{image_branch.replace(':', '-')}-{fusion}"
