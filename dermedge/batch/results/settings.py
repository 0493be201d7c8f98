"""What results were made with, in a small file beside them: they are gone on with in the same way, or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dermedge_runtime.commands.shown_names import shown
from dermedge_runtime.errors import DermedgeError, UsageError
from dermedge_runtime.files import write_json


def settings_path(target: Path) -> Path:
    """Name the file of a results file."""
    return target.with_name(f"{target.name}.settings.json")


def write_settings(target: Path, settings: Mapping[str, Any]) -> None:
    """Write it, whole or not at all."""
    write_json(settings_path(target), dict(settings), durable=True)


def require_same(target: Path, settings: Mapping[str, Any]) -> None:
    """See that results were begun with the settings of this call.

    :raises UsageError: they were not; names what differs.
    :raises DermedgeError: nobody can tell, because the settings are gone or damaged.
    """
    path = settings_path(target)
    try:
        before = path.read_bytes()
    except FileNotFoundError:
        before = None
    compare(before, settings, kept=path.name, target=str(target))


def compare(before: bytes | None, settings: Mapping[str, Any], *, kept: str, target: str) -> None:
    """See that results were begun with the settings of this call.

    :param before: what lies in the file of settings; None: there is none.
    :param kept: its name.
    :param target: what the results are called.
    :raises UsageError: they were not; names what differs.
    :raises DermedgeError: nobody can tell, because the settings are gone or damaged.
    """
    shown_target, anew = shown(target), "Begin anew with --overwrite, or give another name."
    if before is None:
        raise DermedgeError(
            f"{shown_target} is there already, and without {shown(kept)} nobody can tell what it was made with. {anew}"
        )
    try:
        record = json.loads(before)
        if not isinstance(record, dict):
            raise ValueError("no object")
    except ValueError as error:
        raise DermedgeError(f"{shown(kept)} is damaged, so {shown_target} cannot be gone on with. {anew}") from error
    differing = [name for name in {**record, **settings} if record.get(name) != settings.get(name)]
    if differing:
        told = "; ".join(
            f"{name} was {_told(record.get(name))} and is {_told(settings.get(name))}" for name in differing
        )
        raise UsageError(f"{shown_target} was begun with other settings: {told}. Call it as then. {anew}")


def _told(value: Any) -> str:
    if value in (None, "", [], {}, False):
        return "absent"
    text = value if isinstance(value, str) else json.dumps(value)
    return shown(text if len(text) <= 60 else f"{text[:57]}...")
