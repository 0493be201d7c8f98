"""What happens to every picture before the network, and before augmentation in training: optional, without parameters.

It is a part of the network, so that training, validation, evaluation, features, comparison and model file share it,
and it computes in float32 whatever the precision of the rest.
"""

from __future__ import annotations

from torch import Tensor, nn

from dermedge.config import LightEstimate

from .colour_constancy import ColourConstancy
from .contrast import Contrast
from .hair_removal import HairRemoval


class Preparation(nn.Module):
    """Hair removal, colour constancy, contrast, as switched on; hair is found in the picture as it was taken."""

    def __init__(
        self,
        *,
        hair_removal: bool = False,
        colour_constancy: bool = False,
        contrast: bool = False,
        light_estimate: LightEstimate = "shades_of_gray",
    ) -> None:
        """Switch steps on.

        :param light_estimate: of the colour constancy, which is named after it where it is not the usual one.
        """
        super().__init__()
        steps: dict[str, nn.Module] = {}
        if hair_removal:
            steps["hair_removal"] = HairRemoval()
        if colour_constancy:
            usual = light_estimate == "shades_of_gray"
            steps["colour_constancy" if usual else f"colour_constancy_{light_estimate}"] = ColourConstancy(
                light_estimate
            )
        if contrast:
            steps["contrast"] = Contrast()
        self.steps = nn.ModuleDict(steps)

    @property
    def names(self) -> tuple[str, ...]:
        """The steps that are on, in their order."""
        return tuple(self.steps)

    def forward(self, image: Tensor) -> Tensor:
        """Map float32 [B, 3, H, W] in [0, 1] to the same; without any step to the very same."""
        for step in self.steps.values():
            image = step(image)
        return image
