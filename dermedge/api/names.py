"""Refuse what a parameter cannot be, in one sentence: a word that is not known, a path that is none, another type."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dermedge_runtime.commands.option_types import nearest
from dermedge_runtime.errors import UsageError

if TYPE_CHECKING:
    from dermedge.config import RequestedSettings
    from dermedge.training.run import Run

_Given = TypeVar("_Given")


def check_known(kind: str, word: object, known: Sequence[str]) -> None:
    """Let a known word pass.

    :param kind: what the word is, such as "precision".
    :raises UsageError: an unknown word; the message lists the known ones and names the nearest.
    """
    if word not in known:
        raise UsageError(f"There is no {kind} '{word}'; known are {', '.join(known)}{nearest(str(word), known)}")


def refined_name(start: Path | None, settings: RequestedSettings) -> str | None:
    """Name of the run of a training that goes on with an earlier run's network; None for any other training.

    :param start: folder of the earlier run.
    """
    if start is None or not (settings.quantise_aware or settings.prune):
        return None
    pruned = "-pruned" if settings.prune else ""
    return f"{start.resolve().name}{pruned}{'-quantised' if settings.quantise_aware else ''}"


def path_of(name: str, given: Path | str) -> Path:
    """Give a path as one.

    :param name: of the parameter.
    :raises UsageError: no path, or an empty one, which would be the current folder.
    """
    if not isinstance(given, str | os.PathLike) or isinstance(os.fspath(given), bytes):
        raise UsageError(f"{name} takes a path, got {given!r}.")
    if not os.fspath(given):
        raise UsageError(f"{name} takes a path, which must not be empty.")
    return Path(given)


def run_of(name: str, given: Run | Path | str) -> Run | Path:
    """Give a run as it is, its folder as a path.

    :raises UsageError: neither of them.
    """
    from dermedge.training.run import Run

    if isinstance(given, Run):
        return given
    if not isinstance(given, str | os.PathLike):
        raise UsageError(f"{name} takes a run or its folder, got {given!r}.")
    return path_of(name, given)


def check_type(name: str, given: _Given | None, kind: type[_Given]) -> None:
    """Let nothing pass, and what is of a type.

    :raises UsageError: anything else.
    """
    if given is not None and not isinstance(given, kind):
        raise UsageError(f"{name} takes dermedge.{kind.__name__}, got {given!r}.")
