"""The table of the fusions of the 512 image features x and the 256 clinical features y.

A fusion is one class in `fusions/` and one line: of `PAPERS_FUSIONS` where the paper has it (section 3.5, tables 6 and
7), of `FURTHER_FUSIONS` otherwise.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from dermedge_runtime.errors import UsageError

from .fusions.adaptive import Adaptive
from .fusions.base import Fusion, GivenImage
from .fusions.concatenation import Concatenation, WeightedConcatenation
from .fusions.cross_attention import CrossAttention
from .fusions.gated import Gated
from .fusions.hadamard import Hadamard
from .fusions.large_products import Bilinear, TensorProduct
from .fusions.late import Late
from .fusions.metablock import MetaBlock
from .fusions.metanet import MetaNet
from .fusions.mmf_net import MMFNet
from .fusions.self_attention import SelfAttention
from .fusions.single import ClinicalOnly, ImageOnly
from .modalities import Modalities

__all__ = [
    "ENSEMBLES",
    "FURTHER_FUSIONS",
    "FUSIONS",
    "PAPERS_FUSIONS",
    "Fusion",
    "GivenImage",
    "ensemble_of",
    "fusion_class",
    "modalities",
]

PAPERS_FUSIONS: dict[str, type[Fusion]] = {
    "concat": Concatenation,
    "weighted_concat": WeightedConcatenation,
    "hadamard": Hadamard,
    "tensor": TensorProduct,
    "bilinear": Bilinear,
    "gated": Gated,
    "self_attention": SelfAttention,
    "cross_attention": CrossAttention,
    "image_only": ImageOnly,
    "clinical_only": ClinicalOnly,
}
FURTHER_FUSIONS: dict[str, type[Fusion]] = {
    "metanet": MetaNet,
    "metablock": MetaBlock,
    "mmf_net": MMFNet,
    "late": Late,
    "adaptive": Adaptive,
}
FUSIONS = PAPERS_FUSIONS | FURTHER_FUSIONS
ENSEMBLES: dict[str, Modalities] = {
    "ensemble": Modalities(image=True, clinical=True),
    "image_ensemble": Modalities(image=True, clinical=False),
    "clinical_ensemble": Modalities(image=False, clinical=True),
}
"""What an ensemble has in the place of a fusion, by what its members read (`ensemble`)."""


def fusion_class(name: str) -> type[Fusion]:
    """Look a fusion up that a network can be made of.

    :raises UsageError: unknown, the message lists all and names the nearest; or an ensemble, which is several networks.
    """
    if name in ENSEMBLES:
        raise UsageError(
            f"{name} is made of finished runs by `dermedge ensemble`, and is neither trained nor learned from: name one"
            f" of its members' runs, or one of the fusions {', '.join(FUSIONS)}."
        )
    if name in FUSIONS:
        return FUSIONS[name]
    near = difflib.get_close_matches(name, FUSIONS, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise UsageError(f"Unknown fusion '{name}'; known are {', '.join(FUSIONS)}.{hint}")


def modalities(name: str) -> Modalities:
    """Look up what is read by the networks of a run, a single one or an ensemble.

    :raises UsageError: an unknown fusion.
    """
    return ENSEMBLES[name] if name in ENSEMBLES else Modalities.of(fusion_class(name))


def ensemble_of(members: Iterable[Modalities]) -> str:
    """Give what an ensemble has in the place of a fusion, by what its members read."""
    read = list(members)
    kinds = Modalities(image=any(each.image for each in read), clinical=any(each.clinical for each in read))
    return next(name for name, each in ENSEMBLES.items() if each == kinds)
