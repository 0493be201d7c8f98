"""Types of command-line options that refuse what click lets through: empty paths, infinity and NaN."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click


class FilePath(click.Path):
    """A path that is not empty."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse the empty path, which would mean the current folder."""
        if value == "":
            self.fail("a path must not be empty.", param, ctx)
        return super().convert(value, param, ctx)


class FiniteRange(click.FloatRange):
    """A number in a range; infinity and NaN are in none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse infinity and NaN."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class NumberList(click.ParamType[list[int]]):
    """Whole numbers separated by commas, each in a range."""

    name = "numbers"

    def __init__(self, smallest: int, largest: int) -> None:
        self._smallest, self._largest = smallest, largest

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        """Split and check."""
        try:
            numbers = [int(text) for text in value.split(",")]
        except ValueError:
            numbers = []
        if not numbers or not all(self._smallest <= number <= self._largest for number in numbers):
            self.fail(f"whole numbers from {self._smallest} to {self._largest}, separated by commas; got '{value}'.")
        return numbers


class ChoiceList(click.ParamType[list[str]]):
    """Words of a list, separated by commas."""

    name = "words"

    def __init__(self, choices: tuple[str, ...]) -> None:
        self._choices = choices

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        """Split and check."""
        words = [word.strip() for word in value.split(",")]
        if unknown := [word for word in words if word not in self._choices]:
            self.fail(f"'{', '.join(unknown)}' is not among {', '.join(self._choices)}.")
        return words
