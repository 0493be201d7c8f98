"""Are a device's answers right? The trial's differences, kept in the cache folder for every device, driver and version.

A result that is absent, damaged or made for something else is made again; where it cannot be kept, every start makes
it. Not covered: the CPU, which pays for no comparison; `doctor`, which takes no kept result, and removes it.
"""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dermedge_runtime.errors import DermedgeError, DeviceUnavailable
from dermedge_runtime.files import cache_folder, write_json

from .providers import Provider, refusal
from .trial_network import network, outputs
from .trial_run import Differences, differences_on, fault, mend_of

_log = logging.getLogger(__name__)
_FOLDER = "probes"


def require_right(provider: Provider, made_for: Mapping[str, str]) -> None:
    """Refuse a device that nobody named and whose answers are off.

    :param made_for: versions, driver and hardware.
    :raises DeviceUnavailable: they are off by more than `trial_run.LIMIT`, or it does not run the comparison.
    """
    try:
        wrong = fault(_differences(provider, made_for))
    except DeviceUnavailable:
        raise
    except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
        raise refusal(provider, f"it does not run: {_first_line(error)}", mend_of(provider.device)) from error
    if wrong:
        raise refusal(provider, f"its {wrong}", mend_of(provider.device))


def warn_if_wrong(provider: Provider, made_for: Mapping[str, str]) -> None:
    """Say on the log that the answers of a device that was named, and runs, are off."""
    try:
        wrong = fault(_differences(provider, made_for))
    except Exception as error:  # as above
        _log.warning("the answers of %s could not be checked: %s", provider.device, _first_line(error))
        return
    if wrong:
        _log.warning("%s was asked for and runs, but its %s. %s", provider.device, wrong, mend_of(provider.device))


def _differences(provider: Provider, made_for: Mapping[str, str]) -> Differences:
    key = {
        "device": provider.device,
        "provider": provider.name,
        **made_for,
        "network": f"{zlib.crc32(network()):08x}",
    }
    path = None
    with suppress(DermedgeError, OSError):
        path = cache_folder() / _FOLDER / f"{provider.device}-{_checksum(key)}.json"
    if path is not None and (kept := _kept(path, key, outputs(quantised=not provider.nvidia))):
        return kept
    _log.info("the answers of %s are compared with numpy's, once for this driver and these versions", provider.device)
    found = differences_on(provider.device)
    if path is not None:
        # Where it cannot be kept, the next start makes it again.
        with suppress(OSError):
            content = {"made_for": key, "differences": dict(found)}
            write_json(path, {**content, "checksum": _checksum(content)})
    return found


def _kept(path: Path, key: Mapping[str, str], names: tuple[str, ...]) -> Differences | None:
    """Read a result; None where there is none for this key, or it is damaged."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        content = {name: record[name] for name in ("made_for", "differences")}
        good = record["checksum"] == _checksum(content) and content["made_for"] == key
        differences: Differences = content["differences"]
        return differences if good and tuple(differences) == names else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def forget(device: str) -> None:
    """Remove what is kept about a device, so that its next start compares again; what cannot be removed stays."""
    with suppress(DermedgeError, OSError):
        for path in (cache_folder() / _FOLDER).glob(f"{device}-*.json"):
            path.unlink(missing_ok=True)


def _checksum(content: Mapping[str, Any]) -> str:
    return f"{zlib.crc32(json.dumps(content, sort_keys=True).encode()):08x}"


def _first_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
