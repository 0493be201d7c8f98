"""The list of image branches: what each costs at a size of picture, and where its pretrained weights are.

Everything is measured on the meta device, so that no weights are made, and kept for the next time (`kept_figures`).
Not covered: how the list is printed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from dermedge_runtime.errors import DermedgeError, UsageError

from .dry_run import cost_of, without_memory
from .families import FAMILIES, family_of, known_names
from .family import BranchFamily
from .kept_figures import Figures, KeptFigures
from .picture_size import suits


@dataclass(frozen=True, slots=True)
class BranchRow:
    """One branch."""

    name: str
    library: str
    parameters: int
    operations: int | None
    """Multiply-adds of one picture; None where the branch does not take the size."""
    stride: int
    channels: int
    """Of the feature map."""
    weights: str
    """Where the pretrained ones are: here, to install, to download, or none."""
    source: str | None
    """Whose they are."""
    licence: str | None

    def to_record(self) -> dict[str, Any]:
        """Give a JSON-ready dictionary."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Names that are to be listed, and what a reader should know beside them."""

    names: tuple[str, ...]
    exact: bool = False
    """Somebody asked for this one branch; otherwise what cannot be a branch is left out."""
    missing: tuple[str, ...] = ()
    """A sentence for every library that is not installed."""
    more: dict[str, int] = field(default_factory=dict)
    """How many further names there are, by what they begin with."""


def chosen(pattern: str | None) -> Chosen:
    """Choose what to list.

    :param pattern: a name; or with `*` and `?`, of the names; None: all whose library has not hundreds.
    :raises UsageError: an unknown name, or a pattern that no name has.
    :raises DermedgeError: the library that the name asks for is not installed.
    """
    if pattern is None:
        listed = [family for family in FAMILIES if not family.prefix]
        names = tuple(name for family in listed for name in known_names(family))
        more = {family.prefix: len(known_names(family)) for family in FAMILIES if family.prefix}
        return Chosen(names, missing=tuple(_missing()), more=more)
    if not any(sign in pattern for sign in "*?["):
        family_of(pattern)
        return Chosen((pattern,), exact=True)
    asked = [each for each in FAMILIES if pattern.startswith(each.prefix)]
    names = tuple(name for family in asked for name in known_names(family) if fnmatchcase(name, pattern))
    if not names:
        told = "".join(f" {sentence}" for sentence in _missing())
        begin = " or ".join(f"{family.prefix}*" for family in FAMILIES if family.prefix)
        raise UsageError(f"No image branch is called '{pattern}'. Those with a prefix are found by {begin}.{told}")
    return Chosen(names)


def rows(names: Sequence[str], size: int, *, exact: bool = False) -> Iterator[BranchRow | str]:
    """Measure branches one after the other, or say what was measured before; for one that cannot be made, its name.

    :param size: height and width of the picture, in pixels.
    :param exact: raise what makes a branch impossible.
    :raises UsageError: as `cache_folder`, at once.
    :raises DermedgeError: as `BranchFamily.make`, if `exact`.
    """
    return _listed(names, size, KeptFigures(), exact=exact)


def _listed(names: Sequence[str], size: int, kept: KeptFigures, *, exact: bool) -> Iterator[BranchRow | str]:
    try:
        for name in names:
            try:
                yield _row(name, size, kept, exact=exact)
            except DermedgeError:
                if exact:
                    raise
                yield name
    finally:
        kept.save()


def _row(name: str, size: int, kept: KeptFigures, *, exact: bool) -> BranchRow | str:
    family = family_of(name)
    if (name, size) not in kept or (exact and kept[name, size] is None):
        try:
            kept[name, size] = _measured(family, name, size)
        except UsageError:
            kept[name, size] = None
            raise
    figures, source = kept[name, size], family.weight_source(name)
    if figures is None:
        return name
    where = "none" if source is None else "here" if source.is_here() else source.elsewhere
    return BranchRow(
        name=name,
        library=family.library,
        **asdict(figures),
        weights=where,
        source=source.source if source else None,
        licence=source.licence if source else None,
    )


def _measured(family: BranchFamily, name: str, size: int) -> Figures:
    branch = without_memory(lambda: family.make(name, 0.0))
    fits = family.any_size or suits(branch, size)
    cost = cost_of(branch, size if fits else None)
    return Figures(cost.parameters, cost.operations, branch.stride, branch.channels)


def _missing() -> list[str]:
    found = []
    for family in FAMILIES:
        try:
            family.names()
        except DermedgeError as error:
            found.append(str(error))
    return list(dict.fromkeys(found))
