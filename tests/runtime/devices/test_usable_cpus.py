"""Threads follow what the process may use: its affinity, and the quota of every control group around it."""

import os
from pathlib import Path

import pytest

from dermedge_runtime.devices import usable_cpus as cpus
from dermedge_runtime.devices.usable_cpus import cgroup_quota, usable_cpus

V2 = "30 23 0:26 {top} /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
V1 = "33 25 0:30 {top} /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct"
V1_MEMORY = "34 25 0:31 / /sys/fs/cgroup/memory rw shared:10 - cgroup cgroup rw,memory"
DISK = "21 1 259:2 / / rw,relatime shared:1 - ext4 /dev/root rw"


def machine(root: Path, groups: str, mounts: list[str], files: dict[str, str]) -> Path:
    """Lay out the files of a machine below a folder."""
    files = {"proc/self/cgroup": groups, "proc/self/mountinfo": "\n".join(mounts), **files}
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


def v2(root: Path, group: str, limits: dict[str, str], top: str = "/") -> float | None:
    files = {f"sys/fs/cgroup/{name}/cpu.max": text for name, text in limits.items()}
    return cgroup_quota(machine(root, f"0::{group}", [DISK, V2.format(top=top)], files))


def v1(root: Path, group: str, limits: dict[str, tuple[int, int]], top: str = "/") -> float | None:
    groups = f"12:memory:{group}\n4:cpu,cpuacct:{group}\n1:name=systemd:/\n0::/"
    files = {}
    for name, (quota, period) in limits.items():
        files[f"sys/fs/cgroup/cpu,cpuacct/{name}/cpu.cfs_quota_us"] = str(quota)
        files[f"sys/fs/cgroup/cpu,cpuacct/{name}/cpu.cfs_period_us"] = str(period)
    return cgroup_quota(machine(root, groups, [DISK, V1_MEMORY, V1.format(top=top)], files))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max 100000", None),
        ("150000 100000", 1.5),
        ("50000 100000", 0.5),
        ("20000 10000", 2),
        ("", None),
        ("x y", None),
    ],
)
def test_version_2(tmp_path: Path, text: str, expected: float | None) -> None:
    assert v2(tmp_path, "/", {".": text}) == expected


@pytest.mark.parametrize(("quota", "expected"), [(-1, None), (250_000, 2.5), (0, None)])
def test_version_1(tmp_path: Path, quota: int, expected: float | None) -> None:
    assert v1(tmp_path, "/", {".": (quota, 100_000)}) == expected


def test_the_tightest_group_on_the_way_up_counts(tmp_path: Path) -> None:
    limits = {"a/b": "max 100000", "a": "300000 100000", "a/b/c": "400000 100000", "other": "10000 100000"}
    assert v2(tmp_path / "v2", "/a/b/c", limits) == 3
    assert v1(tmp_path / "v1", "/a/b", {"a/b": (500_000, 100_000), "a": (90_000, 60_000)}) == 1.5


def test_a_container_that_sees_its_own_groups_alone(tmp_path: Path) -> None:
    """Its groups are named as the machine names them, but the mount shows only the part below its own."""
    assert v1(tmp_path / "v1", "/docker/abc", {".": (200_000, 100_000)}, top="/docker/abc") == 2
    assert v2(tmp_path / "v2", "/docker/abc/in", {"in": "60000 100000", ".": "max 100000"}, top="/docker/abc") == 0.6


@pytest.mark.parametrize("group", ["/../../pod/x", "/elsewhere"])
def test_a_group_outside_the_mount_falls_back_on_the_mount(tmp_path: Path, group: str) -> None:
    assert v2(tmp_path, group, {".": "250000 100000"}, top="/docker/abc" if group == "/elsewhere" else "/") == 2.5


def test_version_2_mounted_beside_version_1(tmp_path: Path) -> None:
    both = [V1.format(top="/"), V2.format(top="/").replace("/sys/fs/cgroup ", "/sys/fs/cgroup/unified ")]
    files = {
        "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "120000",
        "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000",
    }
    assert cgroup_quota(machine(tmp_path, "4:cpu,cpuacct:/job\n0::/job", both, files)) == 1.2


def test_a_mount_point_with_a_space(tmp_path: Path) -> None:
    mount = V2.format(top="/").replace("/sys/fs/cgroup ", r"/control\040groups ")
    files = {"control groups/cpu.max": "100000 100000"}
    assert cgroup_quota(machine(tmp_path, "0::/", [mount], files)) == 1


def test_a_system_without_control_groups(tmp_path: Path) -> None:
    assert cgroup_quota(tmp_path) is None
    assert cgroup_quota(machine(tmp_path, "nonsense", ["more nonsense", "a - b"], {})) is None


@pytest.mark.parametrize(
    ("affinity", "count", "quota", "expected"),
    [
        ({0, 4, 7}, 64, None, 3),
        ({0, 4, 7}, 64, 1.5, 2),
        ({0, 4, 7}, 64, 0.2, 1),
        ({0, 4, 7}, 64, 16.0, 3),
        (set(), 64, None, 1),
        (None, 7, None, 7),
        (None, 7, 2.0, 2),
        (None, None, None, 1),
    ],
)
def test_usable_cpus(
    monkeypatch: pytest.MonkeyPatch, affinity: set[int] | None, count: int | None, quota: float | None, expected: int
) -> None:
    monkeypatch.setattr(cpus, "cgroup_quota", lambda: quota)
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    if affinity is None:
        monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    else:
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: affinity, raising=False)
    assert usable_cpus() == expected
