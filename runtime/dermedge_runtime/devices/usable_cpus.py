"""How many CPUs may this process keep busy? Affinity and, in a container, the quota of its control groups.

Covered: `sched_getaffinity`; control groups of version 1 and 2, nested ones too, also where only a part of their tree
is mounted. Not covered: CPU shares or weights (they bound nothing while the others sleep), job objects of Windows.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


def usable_cpus() -> int:
    """CPUs that this process may use, at least 1; in a container it can be fewer than the machine has.

    A quota that is no whole number is rounded up: 1.5 CPUs are two threads, of which one waits half of the time.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = cgroup_quota()
    return max(1, min(allowed or 1, math.ceil(quota) if quota else allowed or 1))


def cgroup_quota(root: Path = Path("/")) -> float | None:
    """CPUs that the control groups of this process grant, the tightest on the way up to the mount; None without limit.

    :param root: where `proc` and the mounted groups are looked for.
    """
    quotas: list[float] = []
    mounts = list(_mounts(root))
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        for mount in mounts:
            if mount.carries(controllers):
                quotas += filter(None, (mount.quota(folder) for folder in mount.folders(root, group)))
    return min(quotas, default=None)


@dataclass(frozen=True, slots=True)
class _Mount:
    """A mounted hierarchy of control groups."""

    kind: str
    """cgroup (version 1) or cgroup2."""
    controllers: frozenset[str]
    top: PurePosixPath
    """The group that the mount point shows; not "/" where a container sees its own part alone."""
    point: PurePosixPath

    def carries(self, controllers: str) -> bool:
        """Tell whether this is the hierarchy of a line of /proc/self/cgroup, and can bound CPU time."""
        if self.kind == "cgroup2":
            return controllers == ""
        return "cpu" in controllers.split(",") and "cpu" in self.controllers

    def folders(self, root: Path, group: str) -> Iterator[Path]:
        """Folders of a group and of all groups around it, as far as they are mounted."""
        try:
            below = PurePosixPath(group).relative_to(self.top)
        except ValueError:
            below = PurePosixPath()  # a name from outside the container: what it sees is its mount
        if ".." in below.parts:
            below = PurePosixPath()
        for part in (below, *below.parents):
            yield root / self.point.relative_to("/") / part

    def quota(self, folder: Path) -> float | None:
        """CPUs that one group grants; None without limit."""
        if self.kind == "cgroup2":
            limit, _, period = _text(folder / "cpu.max").strip().partition(" ")
        else:
            limit, period = (_text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
        try:
            granted = int(limit) / int(period)
        except (ValueError, ZeroDivisionError):  # "max", -1 below, or no such file
            return None
        return granted if granted > 0 else None


def _mounts(root: Path) -> Iterator[_Mount]:
    for line in _text(root / "proc/self/mountinfo").splitlines():
        # 36 35 98:0 /top /mount/point options optional-fields... - kind source super-options
        head, separator, tail = line.partition(" - ")
        fields, described = head.split(), tail.split()
        if separator and len(fields) > 4 and len(described) > 2 and described[0] in ("cgroup", "cgroup2"):
            controllers = frozenset(described[2].split(","))
            yield _Mount(described[0], controllers, _path(fields[3]), _path(fields[4]))


def _path(text: str) -> PurePosixPath:
    return PurePosixPath(
        text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
