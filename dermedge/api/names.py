"""Refuse a word that is not among the few that are known."""

from __future__ import annotations

from collections.abc import Sequence

from dermedge_runtime.errors import UsageError


def check_known(kind: str, word: str, known: Sequence[str]) -> None:
    """Let a known word pass.

    :param kind: what the word is, such as "precision".
    :raises UsageError: an unknown word; the message lists the known ones.
    """
    if word not in known:
        raise UsageError(f"There is no {kind} '{word}'; known are {', '.join(known)}.")
