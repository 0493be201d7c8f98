"""What this machine's CPU is called and which instructions for INT8 it has."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

_TABLE = Path("/proc/cpuinfo")
INT8_INSTRUCTIONS = ("avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm")
"""Linux's names: x86 VNNI in two widths, x86 matrix unit, Arm dot product and matrix product."""


def cpu_name() -> str:
    """Give the name of the CPU as its maker writes it, or the architecture where the system does not tell."""
    name = _entry("model name")
    if not name and sys.platform == "win32":
        name = platform.processor()
    return name or platform.machine() or "unknown CPU"


def int8_instructions() -> tuple[str, ...] | None:
    """Give the CPU's instructions for INT8 products; None where the system does not tell.

    Without any of them an INT8 model is hardly faster than FP32; and an x86 CPU then adds products of uint8 and int8 in
    pairs of 16 bits, where weights of eight bits are cut off. Files of this version have weights of seven
    (`ModelSpec.saturates`).
    """
    flags = (_entry("flags") or _entry("Features")).split()
    return tuple(name for name in INT8_INSTRUCTIONS if name in flags) if flags else None


def int8_arithmetic() -> str:
    """Say, for people, with which instructions this CPU computes INT8."""
    found = int8_instructions()
    return "instructions unknown" if found is None else ", ".join(found) or "without VNNI"


def _entry(key: str) -> str:
    """Give the first CPU's entry; the table of a large machine is long and slow to read, so reading stops there."""
    try:
        with _TABLE.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.partition(":")[0].strip() == key:
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return ""
