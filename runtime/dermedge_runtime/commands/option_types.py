"""What the values of options may be: each type turns text into a value, or says in one sentence what it takes.

Empty paths are refused, because `Path("")` is the current folder; NaN is, because in a clinical value it means unknown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dermedge_runtime.errors import UsageError

OptionType = Callable[[str, str], Any]
"""Takes the option's name, for messages, and the text; raises `UsageError`."""


def any_text(name: str, text: str) -> str:
    """Take the text as it is."""
    return text


def path(name: str, text: str) -> Path:
    """Read a path, which need not exist."""
    return Path(path_text(name, text))


def path_text(name: str, text: str) -> str:
    """Take a path as it was written: `-` is standard input, and a name need not be text of any encoding."""
    if not text:
        raise UsageError(f"{name} takes a path, which must not be empty.")
    return text


def number(name: str, text: str) -> float:
    """Read a finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{name} takes a number, got '{text}'.")
    return value


@dataclass(frozen=True, slots=True)
class WholeNumber:
    """A whole number that is not too small."""

    least: int

    def __call__(self, name: str, text: str) -> int:
        """Read it."""
        if (found := _whole(text)) is None or found < self.least:
            raise UsageError(f"{name} takes a whole number of at least {self.least}, got '{text}'.")
        return found


@dataclass(frozen=True, slots=True)
class WholeNumbers:
    """Whole numbers of a range, separated by commas."""

    least: int
    most: int

    def __call__(self, name: str, text: str) -> list[int]:
        """Read them all."""
        found = [_whole(part) for part in text.split(",")]
        numbers = [value for value in found if value is not None and self.least <= value <= self.most]
        if len(numbers) < len(found):
            raise UsageError(
                f"{name} takes whole numbers from {self.least} to {self.most}, separated by commas; got '{text}'."
            )
        return numbers


@dataclass(frozen=True, slots=True)
class OneOf:
    """One word of a list."""

    words: Sequence[str]

    def __call__(self, name: str, text: str) -> str:
        """Look it up."""
        if text not in self.words:
            known = f"{', '.join(self.words[:-1])} or {self.words[-1]}"
            raise UsageError(f"{name} takes {known}, got '{text}'{nearest(text, self.words)}")
        return text


@dataclass(frozen=True, slots=True)
class SomeOf:
    """Words of a list, separated by commas."""

    words: Sequence[str]

    def __call__(self, name: str, text: str) -> list[str]:
        """Look them all up."""
        found = [word.strip() for word in text.split(",")]
        for word in found:
            if word not in self.words:
                raise UsageError(
                    f"{name} takes words of {', '.join(self.words)}, separated by commas;"
                    f" got '{word}'{nearest(word, self.words)}"
                )
        return found


def nearest(given: str, known: Sequence[str]) -> str:
    """End a sentence about an unknown word: with the known word that is nearest, dashes apart, or with a full stop."""
    from difflib import get_close_matches  # only who has mistyped pays for it

    plain = {word.lstrip("-"): word for word in known}
    near = get_close_matches(given.lstrip("-").lower(), plain, n=1, cutoff=0.7)
    return f"; did you mean {plain[near[0]]}?" if near else "."


def _whole(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None
