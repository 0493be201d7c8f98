"""What a network reads of a patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from .fusions.base import Fusion


@dataclass(frozen=True, slots=True)
class Modalities:
    """Picture, clinical values, or both."""

    image: bool
    clinical: bool

    @classmethod
    def of(cls, fusion: Fusion | type[Fusion]) -> Self:
        """Give what a fusion joins."""
        return cls(fusion.uses_image, fusion.uses_clinical)
