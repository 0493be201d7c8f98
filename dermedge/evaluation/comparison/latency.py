"""Latency of the INT8 files of a comparison on this machine's CPU, all in one run, in turn, at batch 1.

One file per row is measured, that of the lowest seed: the weights do not change the time. Written to `latency.json`
with the machine; a row whose file has changed since has no latency.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dermedge.bench.bench import benchmark, machine_record
from dermedge.bench.cold import model_names
from dermedge.data.files.content_hashes import hash_file
from dermedge_runtime.errors import DermedgeError
from dermedge_runtime.files import write_json

FILE = "latency.json"
_ROUNDS = 30
_log = logging.getLogger(__name__)


def measure_latency(root: Path, files: Mapping[str, Path]) -> None:
    """Time every file and write the record.

    :param files: INT8 file by the name of its row.
    """
    names = model_names(list(files.values()))
    _log.info("latency of %s INT8 files, in turn", len(files))
    # No torch among the contenders: `runs` is a folder that holds none.
    record = benchmark(list(files.values()), ("cpu",), (1,), runs=root / "none", rounds=_ROUNDS, cold=False)
    measured = {
        (row["contender"], row["kind"]): {"median_ms": row["median_ms"], "p95_ms": row["p95_ms"]}
        for row in record["results"]
    }
    rows = {
        row: {
            "sha256": hash_file(path),
            "network": measured[f"{names[path]} (cpu)", "network"],
            "end_to_end": measured[f"{names[path]} (cpu)", "end to end"],
        }
        for row, path in files.items()
    }
    kept = {key: record[key] for key in ("date", "machine", "versions", "settings")}
    write_json(root / FILE, {**kept, "rows": rows})


def is_timed(root: Path, files: Mapping[str, Path]) -> bool:
    """Whether exactly these files were timed on this machine already."""
    record = read_latency(root)
    return (
        record is not None
        and record["machine"] == machine_record()
        and {row: entry["sha256"] for row, entry in record["rows"].items()}
        == {row: hash_file(path) for row, path in files.items()}
    )


def read_latency(root: Path) -> dict[str, Any] | None:
    """Read the record; None where nothing was measured.

    :raises DermedgeError: damaged.
    """
    path = root / FILE
    if not path.is_file():
        return None
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not all(isinstance(row["network"]["median_ms"], float) for row in record["rows"].values()):
            raise ValueError("a latency is no number")
        return record
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DermedgeError(f"{path} is damaged ({error}). Remove it and run the same `dermedge compare`.") from error
