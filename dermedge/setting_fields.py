"""What a field of the settings says about itself: its option, group, range, default and help; and a sentence about a
value that does not fit.

The fields themselves are in `config`. Nothing here knows a command line: `commands.setting_options` makes options of
what this module reads.
"""

from __future__ import annotations

import math
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from enum import StrEnum
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from dermedge_runtime.commands.option_types import nearest

_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


class Group(StrEnum):
    """What settings are about; the panels of the help."""

    DATA = "Data"
    NETWORK = "Network"
    TRAINING = "Training"
    BALANCE = "Classes and loss"
    AUGMENTATION = "Augmentation"
    MACHINE = "Machine"


@dataclass(frozen=True, slots=True)
class OptionName:
    """Metadata of a field whose option is called otherwise."""

    name: str


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as a person meets it."""

    path: tuple[str, ...]
    """Names of its field: one, or two where a group of settings is an object of its own."""
    option: str
    """Its name for people, with underscores."""
    group: Group
    kind: type[int] | type[float] | type[bool] | type[str]
    choices: tuple[str, ...]
    """The words that are accepted; empty: any."""
    range: str
    """In words, such as "from 1 up"; empty: any."""
    default: Any
    help: str
    annotation: Any
    """Type with its constraints, for pydantic."""

    @property
    def name(self) -> str:
        """Path as one word, such as `augmentation.noise`."""
        return ".".join(self.path)

    @property
    def expected(self) -> str:
        """What a value must be, such as "a whole number from 1 up"."""
        if self.choices:
            return f"{', '.join(self.choices[:-1])} or {self.choices[-1]}"
        return f"{_KINDS[self.kind]} {self.range}" if self.range else _KINDS[self.kind]

    def parse(self, text: str) -> Any:
        """Read a value that was written as text.

        :raises ValueError: it does not fit; the message is a sentence without its subject.
        """
        try:
            if "_" in text and self.kind in (int, float):
                raise ValueError("Python's own spelling of 1_000")
            adapter: TypeAdapter[Any] = TypeAdapter(self.annotation, config=ConfigDict(allow_inf_nan=False))
            return adapter.validate_strings(text)
        except ValueError as error:  # pydantic's is one
            kind = "a finite number" if _is_infinite(text) else "a number"
            expected = self.expected.replace("a number", kind)
            raise ValueError(f"takes {expected}, got '{text}'{nearest(text, self.choices)}") from error


def settings_of(holder: type) -> tuple[Setting, ...]:
    """Read the settings of a dataclass, those of its inner dataclasses in their place.

    Fields without a `Group` are nobody's to choose, and left out.
    """
    hints = get_type_hints(holder, include_extras=True)
    found: list[Setting] = []
    for each in fields(holder):
        hint = hints[each.name]
        if isinstance(hint, type) and is_dataclass(hint):
            found += [replace(inner, path=(each.name, *inner.path)) for inner in settings_of(hint)]
        elif get_origin(hint) is Annotated:
            default = None if each.default is MISSING else each.default
            found += [_setting(each.name, hint, group, default) for group in get_args(hint) if isinstance(group, Group)]
    return tuple(found)


def sentence(error: ValidationError, holder: type) -> str:
    """Say in one sentence which settings do not fit, and what would.

    :param holder: the dataclass whose making failed.
    """
    known = {each.path[-1]: each for each in settings_of(holder)}
    names = [*known, *(each.name for each in fields(holder))]
    return "; ".join(_complaint(dict(detail), known, names) for detail in error.errors())


def _complaint(detail: dict[str, Any], known: dict[str, Setting], names: list[str]) -> str:
    name = str(next((part for part in reversed(detail["loc"]) if isinstance(part, str)), detail["loc"][0]))
    if detail["type"] == "unexpected_keyword_argument":
        return f"there is no setting {name}{nearest(name, names)}".removesuffix(".")
    if detail["type"] == "missing":
        return f"the setting {name} is missing"
    fits = f"; it must be {known[name].expected}" if name in known else ""
    return f"the setting {name} is {detail['input']!r}{fits}"


def _setting(name: str, hint: Any, group: Group, default: Any) -> Setting:
    bare, *metadata = get_args(hint)
    about = next((each for each in metadata if isinstance(each, FieldInfo)), FieldInfo())
    option = next((each.name for each in metadata if isinstance(each, OptionName)), name)
    if get_origin(bare) in (Union, UnionType):
        kind, limits, choices = *_number_or_word(bare), ()
    else:
        choices = get_args(bare) if get_origin(bare) is Literal else ()
        limits = _range(about.metadata)
        kind = str if choices else bare
    return Setting((name,), option, group, kind, choices, limits, default, about.description or "", hint)


def _number_or_word(union: Any) -> tuple[type[float], str]:
    """Read a number in a range for which one word may stand: its kind, and its range with that word."""
    number, word = get_args(union)
    bare, about = get_args(number)
    return bare, f"{_range(about.metadata)}, or {get_args(word)[0]}"


def _range(metadata: list[Any]) -> str:
    """Put limits into words: "from 0 to 1", "from 0 up", "from 0 to below 1", "above 0"."""
    bounds = {
        name: getattr(each, name) for each in metadata for name in ("ge", "gt", "le", "lt") if hasattr(each, name)
    }
    lower = {"ge": "from {}", "gt": "above {}"}
    upper = {"le": "to {}", "lt": "to below {}"}
    words = [text.format(bounds[name]) for name, text in {**lower, **upper}.items() if name in bounds]
    return " ".join([*words, "up"] if "ge" in bounds and len(bounds) == 1 else words)


def _is_infinite(text: str) -> bool:
    try:
        return not math.isfinite(float(text))
    except ValueError:
        return False
