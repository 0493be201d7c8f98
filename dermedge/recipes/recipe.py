"""A recipe as it is written down: the keys of its file as pydantic models, and what they may hold.

Not covered: reading the file (`recipe_file`), and whether all that it names is built here (`missing_parts`).
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator
from pydantic_core import PydanticCustomError

Value = bool | int | float | str
Settings = dict[str, Value]
"""By the names of the options, with underscores, such as image_branch."""
_Text = Annotated[str, StringConstraints(strict=True, strip_whitespace=True, min_length=1)]
_Module = re.compile(r"dermedge(_export)?(\.[a-z][a-z0-9_]*)+")
_EVERYBODYS = ("protocol", "seed", "device", "precision")
"""Settings that are the same for all recipes of a comparison, or the machine's."""


def _nobody_elses(settings: Settings) -> Settings:
    if found := [name for name in _EVERYBODYS if name in settings]:
        raise PydanticCustomError("reason", "{said}", {"said": f"must not name {found[0]}: it is no recipe's own"})
    return settings


_OwnSettings = Annotated[Settings, AfterValidator(_nobody_elses)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Figure(_Table):
    """One published figure."""

    metric: _Text
    value: Annotated[float, Field(ge=0, le=1)]
    """As a share."""
    of: _Text
    """What was tested, such as "HAM10000, fused features"."""
    source: _Text
    """Where the figure is printed: its abstract, or the paper's table 1."""


class Published(_Table):
    """What was published."""

    data: _Text
    protocol: _Text
    """In words."""
    figures: list[Figure] = []
    """The one that a table shows comes first; empty where none could be confirmed."""


class Member(_Table):
    """One network of an ensemble."""

    settings: _OwnSettings
    """Over those of the recipe."""


class Recipe(_Table):
    """One system of the literature."""

    name: _Text
    """Of its file."""
    title: _Text
    authors: _Text
    year: Annotated[int, Field(ge=1990, le=2100)]
    doi: str = ""
    arxiv: str = ""
    different: _Text
    """What it does differently, in a sentence or two."""
    published: Published
    deviations: Annotated[list[_Text], Field(min_length=1)]
    """How ours differs, a sentence each."""
    why_it_differs: _Text
    """Why the published figure and ours cannot be the same, in one sentence."""
    start: Literal["random", "pretrained", "frozen"]
    """What the image branch starts from; frozen: from pretrained weights, which stay as they are."""
    settings: _OwnSettings
    """The idea of the system; all that is not named here is the same for all recipes of a comparison."""
    original: _OwnSettings = {}
    """What the original was made with beside its idea, such as its network: `train` takes it, a comparison does not."""
    needs: dict[str, str] = {}
    """What no setting can tell: a name for people, and the module of dermedge that does it."""
    members: list[Member] = []
    """Networks of an ensemble; empty: the recipe is one network."""

    @field_validator("settings")
    @classmethod
    def _fusion_is_named(cls, settings: Settings) -> Settings:
        if not isinstance(settings.get("fusion"), str):
            raise PydanticCustomError("reason", "must name a fusion, such as fusion = 'image_only'")
        return settings

    @field_validator("needs")
    @classmethod
    def _modules_of_ours(cls, needs: dict[str, str]) -> dict[str, str]:
        if found := [module for module in needs.values() if not _Module.fullmatch(module)]:
            said = f"must name modules of dermedge, such as dermedge.training.train, found '{found[0]}'"
            raise PydanticCustomError("reason", "{said}", {"said": said})
        return needs

    @property
    def reference(self) -> str:
        """Such as "Ou et al. 2022"."""
        return f"{self.authors} {self.year}"

    @property
    def link(self) -> str:
        """Where it is published; empty where no identifier could be confirmed."""
        if self.doi:
            return f"https://doi.org/{self.doi}"
        return f"https://arxiv.org/abs/{self.arxiv}" if self.arxiv else ""

    @property
    def own_settings(self) -> Settings:
        """All that the recipe itself says of a training: its idea, and what the original was made with."""
        return {**self.settings, **self.original}
