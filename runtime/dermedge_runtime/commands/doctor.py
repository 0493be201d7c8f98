"""`dermedge doctor`: what is installed, on which devices a model really runs, what is wrong, and how to mend it.

Needs the light installation only. Every device that is installed runs a tiny network in a process of its own, so that
a driver that crashes or hangs is a finding and not the end; all its outputs are compared with numpy's. What `auto` has
kept of an earlier comparison is removed, so that both say the same.
"""

from __future__ import annotations

import json
import math
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from dermedge_runtime import __version__
from dermedge_runtime.devices.cpu_instructions import cpu_name, int8_instructions
from dermedge_runtime.devices.installed import versions, wheel_conflict
from dermedge_runtime.devices.kernel_cache import kernel_folder, why_not_writable
from dermedge_runtime.devices.nvidia_driver import find_driver
from dermedge_runtime.devices.providers import AUTO, DRIVER_MEND, PROVIDERS
from dermedge_runtime.devices.starting import is_installed
from dermedge_runtime.devices.trial_run import Trial, run_trial, saturates
from dermedge_runtime.devices.trusted_answers import forget
from dermedge_runtime.devices.usable_cpus import usable_cpus
from dermedge_runtime.errors import DermedgeError, DeviceUnavailable
from dermedge_runtime.files import cache_folder

_LIMIT_S = 180
"""For one trial: a first start on a slow machine compiles and loads a gigabyte of libraries."""
_LOADER = re.compile(r"Failed to load library .* with error: (.+)")


def examine(devices: Sequence[str] | None = None, ask: Callable[[str], Trial] | None = None) -> dict[str, Any]:
    """Examine this machine.

    :param devices: names of `PROVIDERS`; by default all.
    :param ask: tries one device; by default in a process of its own where it is installed.
    :return: a JSON-ready record.
    """
    trials = [(ask or _ask)(device) for device in devices or PROVIDERS]
    running = {entry.device for entry in trials if entry.runs}
    int8, cut_off, cache = int8_instructions(), _cuts_sums_off(), _cache()
    return {
        "dermedge": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": versions(),
        "cpu": {
            "name": cpu_name(),
            "usable": usable_cpus(),
            "of": os.cpu_count(),
            "int8": None if int8 is None else list(int8),
            "saturates": cut_off,
        },
        "nvidia": _nvidia(),
        "cache": cache,
        "devices": [entry.to_record() for entry in trials],
        "auto": None if devices else next((name for name in AUTO if name in running), None),
        "problems": _problems(int8, cut_off, cache),
    }


def exit_code(record: dict[str, Any], device: str | None) -> int:
    """Give the exit code: 0 where the device, or by default any, runs; else 5 for the device, or 1."""
    if any(entry["runs"] for entry in record["devices"]):
        return 0
    return DermedgeError.exit_code if device is None else DeviceUnavailable.exit_code


def _ask(device: str) -> Trial:
    try:
        apart = device != "cpu" and is_installed(PROVIDERS[device])
    except DermedgeError:
        apart = False
    forget(device)
    return ask_apart(device) if apart else run_trial(device)


def ask_apart(
    device: str, command: Sequence[str] = (sys.executable, "-m", "dermedge_runtime.devices.trial_run")
) -> Trial:
    """Trial a device in a process of its own.

    :param command: the process, to which the device's name is added.
    """

    def failed(cause: str) -> Trial:
        return Trial(device, False, PROVIDERS[device].name, cause=cause, mend=DRIVER_MEND)

    try:
        done = subprocess.run([*command, device], capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return failed(f"it did not answer within {_LIMIT_S} seconds")
    try:
        answer = Trial(**json.loads(done.stdout.splitlines()[-1]))
        # ONNX Runtime tells only its log why a provider was left out.
        told = None if answer.runs else _LOADER.search(done.stderr)
        return answer if told is None else replace(answer, cause=f"{answer.cause} ({told[1].strip()})")
    except (IndexError, ValueError, TypeError):
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        return failed(f"its process ended with code {done.returncode} before it answered: {last[0]}")


def _nvidia() -> dict[str, Any] | None:
    driver = find_driver()
    if driver is None:
        return None
    return {
        "driver": driver.version,
        "cuda": f"{driver.cuda[0]}.{driver.cuda[1]}",
        "cards": [{"name": card.name, "compute_capability": list(card.capability)} for card in driver.cards],
        "trouble": driver.trouble,
    }


def _cuts_sums_off() -> bool | None:
    try:
        return saturates()
    except Exception:  # the CPU's own trial says what is broken
        return None


def _cache() -> dict[str, Any]:
    kernels = [path.stat().st_size for path in kernel_folder().rglob("*") if path.is_file()]
    reason = why_not_writable(cache_folder())
    return {"folder": str(cache_folder()), "writable": reason is None, "reason": reason, "kernel_bytes": sum(kernels)}


def _problems(int8: Sequence[str] | None, cut_off: bool | None, cache: dict[str, Any]) -> list[dict[str, str]]:
    problems = []
    if conflict := wheel_conflict():
        problems.append(
            {
                "cause": conflict[0],
                "mend": f"{conflict[1]} (or [openvino], [rtx], [cuda], [tensorrt])",
            }
        )
    if not cache["writable"]:
        problems.append(
            {
                "cause": f"the cache folder {cache['folder']} cannot be written: {cache['reason']}",
                "mend": "Make it writable, or name another folder in the environment variable DERMEDGE_CACHE",
            }
        )
    if cut_off:
        problems.append(
            {
                "cause": "this CPU computes INT8 without VNNI: INT8 files of earlier versions, whose weights have eight"
                " bits, give wrong answers on it in other programs than dermedge, which sets"
                " session.x64quantprecision=1; and INT8 runs at about the speed of FP32",
                "mend": "Export INT8 files for other programs again, or use an FP32 model on this CPU",
            }
        )
    elif int8 is not None and not int8:
        problems.append(
            {
                "cause": "this CPU has no instructions for INT8 products: INT8 models run, but slowly",
                "mend": "Use an FP32 model on this CPU",
            }
        )
    return problems


def doctor_text(record: dict[str, Any]) -> str:
    """Give the record as text for the terminal."""
    cpu, cache = record["cpu"], record["cache"]
    int8 = "INT8 instructions unknown" if cpu["int8"] is None else ", ".join(cpu["int8"]) or "no INT8 instructions"
    state = "writable" if cache["writable"] else f"not writable: {cache['reason']}"
    lines = [
        f"dermedge {record['dermedge']}, Python {record['python']}, {record['system']}",
        "packages: " + (", ".join(f"{name} {number}" for name, number in record["packages"].items()) or "none"),
        f"CPU: {cpu['name']}, {cpu['usable']} of {cpu['of']} CPUs, {int8}",
        f"NVIDIA: {_nvidia_text(record['nvidia'])}",
        f"cache: {cache['folder']} ({state}), compiled kernels {cache['kernel_bytes'] / 1e6:.1f} MB",
        "",
    ]
    for entry in record["devices"]:
        lines += _device_lines(entry)
    if record["auto"]:
        lines += ["", f"auto takes {record['auto']}"]
    for problem in record["problems"]:
        lines += ["", f"problem: {problem['cause']}.", f"  {problem['mend']}"]
    return "\n".join(lines)


def _nvidia_text(nvidia: dict[str, Any] | None) -> str:
    if nvidia is None:
        return "no driver"
    cards = [f"{card['name']} ({'.'.join(map(str, card['compute_capability']))})" for card in nvidia["cards"]]
    trouble = f", does not start: {nvidia['trouble']}" if nvidia["trouble"] else ""
    return f"driver {nvidia['driver'] or 'unknown'}, CUDA {nvidia['cuda']}, {', '.join(cards) or 'no card'}{trouble}"


def _device_lines(entry: dict[str, Any]) -> list[str]:
    where, indent = f"{entry['hardware']}, {entry['provider']}, {entry['provider_version']}", " " * 16
    answered = entry["differences"]
    if entry["runs"]:
        lines = [f"{entry['device']:<10}runs  {where}"]
        # Numbers below the last digit of what matters would only look like a difference between devices.
        return [*lines, f"{indent}all outputs within {_rounded_up(max(answered.values()))}"] if answered else lines
    if answered:
        told = entry["cause"].removeprefix("it ").rstrip(".")
        return [f"{entry['device']:<10}{told}.", f"{indent}{where}", f"{indent}{entry['mend']}"]
    lines = [f"{entry['device']:<10}no    {entry['cause'].rstrip('.')}."]
    # No full stop: what follows "Run:" is for copying.
    return [*lines, f"{indent}{entry['mend']}"] if entry["mend"] else lines


def _rounded_up(difference: float) -> str:
    return f"{max(math.ceil(difference * 10_000), 1) / 10_000:g}"
