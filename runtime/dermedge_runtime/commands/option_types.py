"""What the values of options may be: each type turns text into a value, or says in one sentence what it takes.

Empty paths are refused, because `Path("")` is the current folder; NaN is, because in a clinical value it means unknown.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dermedge_runtime.errors import ModelFileError, UsageError

_log = logging.getLogger(__name__)
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


def model(name: str, text: str) -> Path:
    """Read a model file's path, or the name of a model in the box, and log which; a file of that name comes first.

    :raises ModelFileError: a plain word that is neither.
    """
    from dermedge_runtime.model.shipped_model import model_in_the_box, names_in_the_box

    found, names = path(name, text), names_in_the_box()
    if text in names:
        if found.is_file():  # a folder is no model
            _log.info("%s is a file here: it is taken, and not the model in the box of that name.", text)
            return found
        _log.info("This is the model in the box, %s.onnx, for research and non-commercial use alone.", text)
        return model_in_the_box(text)
    if names and found.name == text and not found.suffix and not os.path.lexists(found):
        raise ModelFileError(f"{text} is neither a file here nor a model in the box; there is {' and '.join(names)}.")
    return found


def number(name: str, text: str) -> float:
    """Read a finite number."""
    try:
        value = math.nan if "_" in text else float(text)  # Python's own spelling of 1_000
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{name} takes a number, got '{text}'.")
    return value


def whole_number(least: int) -> OptionType:
    """Make the type of whole numbers that are not below `least`."""

    def read(name: str, text: str) -> int:
        if (found := _whole(text)) is None or found < least:
            raise UsageError(f"{name} takes a whole number of at least {least}, got '{text}'.")
        return found

    return read


def whole_numbers(least: int, most: int) -> OptionType:
    """Make the type of lists of whole numbers from `least` to `most`, separated by commas."""

    def read(name: str, text: str) -> list[int]:
        found = [_whole(part) for part in text.split(",")]
        numbers = [value for value in found if value is not None and least <= value <= most]
        if len(numbers) < len(found):
            raise UsageError(f"{name} takes whole numbers from {least} to {most}, separated by commas; got '{text}'.")
        return numbers

    return read


def one_of(words: Sequence[str]) -> OptionType:
    """Make the type of words of a list."""

    def read(name: str, text: str) -> str:
        if text not in words:
            known = f"{', '.join(words[:-1])} or {words[-1]}"
            raise UsageError(f"{name} takes {known}, got '{text}'{nearest(text, words)}")
        return text

    return read


def some_of(words: Sequence[str]) -> OptionType:
    """Make the type of lists of words of a list, separated by commas."""

    def read(name: str, text: str) -> list[str]:
        found = [word.strip() for word in text.split(",")]
        for word in found:
            if word not in words:
                known = f"words of {', '.join(words)}, separated by commas"
                raise UsageError(f"{name} takes {known}; got '{word}'{nearest(word, words)}")
        return found

    return read


def nearest(given: str, known: Sequence[str]) -> str:
    """End a sentence about an unknown word: with the known word that is nearest, dashes apart, or with a full stop."""
    from difflib import get_close_matches  # only who has mistyped pays for it

    plain = {word.lstrip("-"): word for word in known}
    word = given.lstrip("-").lower()
    near = get_close_matches(word, plain, n=1, cutoff=0.7) or [name for name in plain if name.startswith(word)]
    if len(near) > 1 or len(word) < 2:  # the beginning of several, or of anything
        return "."
    return f"; did you mean {plain[near[0]]}?" if near else "."


def _whole(text: str) -> int | None:
    try:
        return None if "_" in text else int(text)
    except ValueError:
        return None
