"""What every fusion offers: z from (x, y), and z for many clinical vectors of one image.

A fusion is a pure function made of matrix products and element-wise operations, because its gradient is exported as a
graph too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeAlias

from torch import Tensor, nn

HIDDEN_FEATURES = 256
"""Length of the classifier's hidden layer, which reads z."""
GivenImage: TypeAlias = Callable[[Tensor], Tensor]
"""Clinical vectors y float [B, S, 256] of B images, S of each, to float [B, S, out]."""


class Fusion(nn.Module):
    """Base of all fusions; `forward(x, y)` maps float [B, 512] and float [B, 256] to z, float [B, features]."""

    uses_image: ClassVar[bool] = True
    uses_clinical: ClassVar[bool] = True
    features: ClassVar[int]
    """Length of z."""

    def given_image(self, x: Tensor, project: nn.Module) -> GivenImage:
        """Hold the images fixed: give y -> project(z), with what depends on the image alone computed once.

        An explanation fuses one image with 50 clinical vectors. This is the plain way, for every fusion; a fusion that
        can contract its image side overrides it.

        :param x: float [B, 512].
        :param project: the layer that reads z.
        """

        def projected(y: Tensor) -> Tensor:
            batch, steps, features = y.shape
            repeated = x[:, None, :].expand(-1, steps, -1).reshape(batch * steps, x.shape[1])
            hidden: Tensor = project(self(repeated, y.reshape(batch * steps, features)))
            return hidden.reshape(batch, steps, -1)

        return projected

    def new_reader(self, hidden: int) -> nn.Module:
        """Make the layer that reads z: float [B, `features`] to the classifier's hidden layer, before its activation.

        A fusion whose z is that hidden layer already gives an `nn.Identity`.

        :param hidden: length of the hidden layer.
        """
        reader = nn.Linear(self.features, hidden)
        self.start_reader(reader)
        return reader

    def start_reader(self, project: nn.Linear) -> None:
        """Initialise the layer that reads z, where torch's own initialisation does not suit z."""
