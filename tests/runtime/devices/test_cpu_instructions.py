"""The CPU's name and instructions are read from the system, and unknown is said as unknown."""

import platform
from pathlib import Path

import pytest

from dermedge_runtime.devices import cpu_instructions as hardware

X86 = (
    "processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\nflags\t\t: fpu avx2 avx512_vnni amx_int8\n\nmodel name\t: Other\n"
)
ARM = "processor\t: 0\nFeatures\t: fp asimd asimddp\n"


@pytest.mark.parametrize(
    ("table", "name", "int8"),
    [
        (X86, "Some CPU @ 3 GHz", ("avx512_vnni", "amx_int8")),
        (X86.replace("avx512_vnni amx_int8", "sse"), "Some CPU @ 3 GHz", ()),
        (ARM, None, ("asimddp",)),
        (None, None, None),
    ],
)
def test_the_table_of_linux(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str | None, name: str | None, int8: tuple[str, ...] | None
) -> None:
    path = tmp_path / "cpuinfo"
    if table is not None:
        path.write_text(table)
    monkeypatch.setattr(hardware, "_TABLE", path)
    monkeypatch.setattr(hardware.sys, "platform", "linux")
    assert hardware.cpu_name() == (name or platform.machine())
    assert hardware.int8_instructions() == int8
