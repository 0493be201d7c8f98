"""What was asked of a comparison and is not there yet, in words."""

from __future__ import annotations

from .rows import Record, model_name


def missing_lines(record: Record, protocol: str) -> list[str]:
    """Say what was asked for and is not there, or only begun: one line for all rows of which the same is missing."""
    alike: dict[tuple[str, tuple[int, ...], tuple[int, ...]], list[str]] = {}
    for row in record["rows"]:
        begun = tuple(row["begun_seeds"])
        absent = tuple(seed for seed in row["missing_seeds"] if seed not in begun)
        if row["protocol"] == protocol and (begun or absent):
            alike.setdefault((row["trunk"], begun, absent), []).append(model_name(row["image_branch"], row["fusion"]))
    lines = []
    for (trunk, begun, absent), fusions in alike.items():
        said = [f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))} {state}"
                for seeds, state in ((begun, "begun"), (absent, "missing")) if seeds]  # fmt: skip
        lines.append(f"trunk {trunk}: {'; '.join(said)}: {', '.join(fusions)}")
    return lines
