"""Does a device really run, and are its answers right? A tiny network on it, all outputs compared with numpy's.

`python -m dermedge_runtime.devices.trial_run DEVICE` prints the result as one line of JSON: a process of its own
survives a driver that crashes or hangs. What the network holds is told in `trial_network`; whether a result is
trusted, in `trusted_answers`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from dermedge_runtime.errors import DermedgeError, DeviceUnavailable

from .providers import DRIVER_MEND, PROVIDERS, Provider
from .session import DeviceSession
from .starting import Job, find_target, start
from .trial_network import LARGEST_WEIGHT, OUTPUTS, expected, network, outputs, picture

LIMIT = 0.02
"""Largest difference that is right; a card may multiply in half precision or TF32."""

Differences = Mapping[str, float | None]
"""By output: the largest difference from numpy, as a share of the output's largest value; None: no number at all."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a device answered."""

    device: str
    runs: bool
    """It opens, runs, and all its outputs are right."""
    provider: str
    """ONNX Runtime's name."""
    provider_version: str = ""
    hardware: str = ""
    cause: str = ""
    """Why it does not run."""
    mend: str = ""
    installed: bool = True
    differences: Differences = field(default_factory=dict)
    """Empty where it did not answer."""

    def to_record(self) -> dict[str, Any]:
        """Give a JSON-ready dictionary."""
        return asdict(self)


def run_trial(device: str) -> Trial:
    """Run the network on a device of `PROVIDERS`; never raises for a device that does not run."""
    provider = PROVIDERS[device]
    try:
        opened = _open_trial(provider)
    except DeviceUnavailable as error:
        return Trial(device, False, provider.name, cause=error.cause, mend=error.mend, installed=error.installed)
    except Exception as error:  # whatever is broken here is what was asked for
        told = str(error) if isinstance(error, DermedgeError) else f"{type(error).__name__}: {error}"
        return Trial(device, False, provider.name, cause=told)
    differences: Differences = {}
    try:
        differences = _compare(opened)
    except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
        cause, mend = f"it opens, but does not run: {error}", DRIVER_MEND
    else:
        wrong = fault(differences)
        cause, mend = (f"it runs, but its {wrong}", mend_of(device)) if wrong else ("", "")
    return Trial(
        device, not cause, provider.name, opened.version, opened.hardware, cause, mend, differences=differences
    )


def differences_on(device: str) -> Differences:
    """Run the network on a device that is not the CPU alone, and compare.

    :raises Exception: whatever stops it.
    """
    opened = _open_trial(PROVIDERS[device])
    try:
        return _compare(opened)
    finally:
        opened.close()


def _open_trial(provider: Provider) -> DeviceSession:
    return _open(network(quantised=_takes_int8(provider)), provider)


def _open(content: bytes, provider: Provider) -> DeviceSession:
    target = find_target(provider)
    session = start(Job(content, "the trial network", threads=1), provider, target)
    return DeviceSession(session, provider, target.version, target.hardware)


def _takes_int8(provider: Provider) -> bool:
    # Files for NVIDIA's cards have INT8 of another kind, which the CPU beside them would compute here.
    return not provider.nvidia


def _compare(opened: DeviceSession) -> Differences:
    image, quantised = picture(), _takes_int8(opened.provider)
    right, names = expected(image, quantised=quantised), outputs(quantised=quantised)
    found = opened.run(list(names), {"image": image})
    return {name: difference(np.asarray(array), right[name]) for name, array in zip(names, found, strict=True)}


def difference(found: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> float | None:
    """Give the largest difference as a share of the largest right value; None for other sizes, NaN and infinity."""
    if found.shape != right.shape or not np.isfinite(found).all():
        return None
    return float(np.abs(found.astype(np.float64) - right).max() / np.abs(right).max())


def fault(differences: Differences) -> str:
    """Say which outputs are off by more than `LIMIT`, as in "answers are off by 0.7 in ..."; empty where none is."""
    wrong = {name: value for name, value in differences.items() if value is None or value > LIMIT}
    each = [
        f"{'no number' if value is None else f'off by {value:.2g}'} in '{name}' ({OUTPUTS[name]})"
        for name, value in wrong.items()
    ]
    return f"answers are {' and '.join(each)}" if each else ""


def mend_of(device: str) -> str:
    """Say what to do about a device whose answers are wrong."""
    return f"Update the package or driver of {device}, or take another device"


def saturates() -> bool:
    """Say whether this CPU cuts the sums of INT8 files with weights of eight bits off, in ONNX Runtime as it comes.

    :raises DermedgeError: ONNX Runtime is not there.
    """
    image = picture()
    opened = _open(network(largest_weight=LARGEST_WEIGHT), PROVIDERS["cpu"])
    (found,) = opened.run(["quantised"], {"image": image})
    off = difference(found, expected(image, largest_weight=LARGEST_WEIGHT)["quantised"])
    return off is None or off > LIMIT


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run_trial(sys.argv[1]).to_record()) + "\n")
