"""The image branch of a run that is trained already, which all trainings of a comparison take or start from.

Its split is theirs too: no other one keeps what it has seen out of the test.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from dermedge.config import TrainConfig
from dermedge.data.cache.feature_cache import FrozenTrunk
from dermedge.models.branches.families import family_of
from dermedge.models.fusion import fusion_class
from dermedge.training.checkpoint import read_tensors
from dermedge.training.predictions import trained_model
from dermedge.training.run import Run
from dermedge.training.run_folder import RunFolder
from dermedge.training.start_weights import PRETRAINED, StartWeights, keep_start_weights
from dermedge_runtime.errors import UsageError

GIVEN = "given_trunk"
"""The key of `GivenTrunk.record` in the record of a run."""
_TRUNK = "trunk."
_SEEN = (
    *("image_size", "resample", "jpeg_detail"),
    *("hair_removal", "colour_constancy", "light_estimate", "contrast", "texture_patterns"),
)
"""Settings that decide what the image branch is shown."""


@dataclass(frozen=True, slots=True)
class GivenTrunk:
    """A run whose image branch is given."""

    run: Run

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the run.

        :raises UsageError: it reads no picture, or what makes its features is more than a whole image branch.
        :raises DermedgeError: no run there, or no weights.
        """
        run = Run.open(path)
        if not fusion_class(run.config.fusion).uses_image:
            raise UsageError(f"--start-from takes an image branch, and {run.config.fusion} in {path} has none.")
        config = run.config
        family_of(config.image_branch)  # refuses given embeddings, which are no image branch
        more = {
            "is pruned": config.widths,
            "has receptive fields": config.receptive_fields != "one",
            "has attention": config.attention != "none",
            "has GeM": config.pooling == "gem",
            "reads texture patterns": config.texture_patterns,
        }
        if found := [what for what, has in more.items() if has]:
            raise UsageError(f"--start-from takes a plain image branch, and that of {path} {found[0]}.")
        _ = run.weights_sha256  # says what to do where there are none
        return cls(run)

    @property
    def image_branch(self) -> str:
        """Its name."""
        return self.run.config.image_branch

    @property
    def record(self) -> dict[str, Any]:
        """What the record of a run says whose image branch is or was this one."""
        return {GIVEN: {"run": self.run.path.name, "weights_sha256": self.run.weights_sha256}} | self._pretrained

    @property
    def _pretrained(self) -> dict[str, Any]:
        return {PRETRAINED: self.run.record[PRETRAINED]} if PRETRAINED in self.run.record else {}

    def frozen(self, views: int, folder: Path) -> FrozenTrunk:
        """Give it as it is, for heads.

        :param views: augmented copies of every training photograph that the heads see.
        :param folder: where the features are kept.
        """
        return FrozenTrunk(trained_model(self.run), self.run.weights_sha256, views, folder)

    def keep_start(self, folder: RunFolder) -> dict[str, Any]:
        """Copy it into the folder of a run that starts from it, and give what that run's record is to say.

        The image branch alone: what follows it is each training's own.
        """
        tensors = read_tensors(self.run.weights_file)
        own = {name: tensor for name, tensor in tensors.items() if name.startswith(_TRUNK)}
        start = StartWeights(self.run.weights_sha256, own, f"start from the image branch of {self.run.path}")
        return keep_start_weights(replace(start, pretrained=self._pretrained.get(PRETRAINED)), folder) | self.record

    def check(self, protocols: set[str], image_branches: set[str], base: TrainConfig) -> None:
        """Let a comparison pass that can take it.

        :param image_branches: those that the comparison names.
        :param base: settings of the comparison.
        :raises UsageError: another protocol or image branch, or pictures that are read or prepared otherwise.
        """
        config = self.run.config
        wrong = [
            f"--protocols {config.protocol}" if protocols != {config.protocol} else "",
            f"--image-branches {config.image_branch}" if image_branches != {config.image_branch} else "",
            *(_option(name, config) for name in _SEEN if getattr(config, name) != getattr(base, name)),
        ]
        if mend := " ".join(filter(None, wrong)):
            raise UsageError(
                f"The run in {self.run.path} is of other settings than this comparison: it takes {mend}, and no others."
            )


def _option(name: str, config: TrainConfig) -> str:
    value, option = getattr(config, name), f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return option if value else f"no {option}"
    return f"{option} {value}"
