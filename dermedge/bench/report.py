"""A benchmark's record as text tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dermedge.tables import table


def bench_text(record: Mapping[str, Any]) -> str:
    """Give the machine, then one table per kind of measurement with the ratio to the slowest contender."""
    machine, versions = record["machine"], record["versions"]
    parts = [
        f"{machine['cpu']}, {machine['cpus']} of {machine['of']} CPUs, {machine['system']}\n"
        + ", ".join(f"{name} {number}" for name, number in versions.items())
    ]
    places = {
        f"{on['device']}: {on['provider']}, {on['provider_version']}; {on['hardware']}"
        for on in record["contenders"].values()
    }
    parts.append("\n".join(sorted(places)))
    groups: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for row in record["results"]:
        groups.setdefault((row["kind"], row["batch"]), []).append(row)
    for (kind, batch), rows in groups.items():
        slowest = max(row["median_ms"] for row in rows)
        cells = [
            [
                row["contender"],
                f"{row['median_ms']:.2f}",
                f"{row['p95_ms']:.2f}",
                f"{row['images_per_second']:.0f}",
                f"{slowest / row['median_ms']:.1f} x",
            ]
            for row in rows
        ]
        parts.append(table(cells, (f"{kind}, batch {batch}", "median ms", "p95 ms", "images/s", "speed")))
    if record["cold"]:
        cells = [[row["command"], f"{row['median_s']:.3f}", row["peak_mb"]] for row in record["cold"]]
        parts.append(table(cells, ("whole process", "median s", "peak MB")))
    files = [[name, f"{size / 1e6:.1f}"] for name, size in record["files"].items()]
    parts.append(table(files, ("file", "MB")))
    return "\n\n".join(parts)
