"""Many pictures, and the rows that a run made of them."""

from pathlib import Path

import pytest
from batch.pictures import encoded

ELSEWHERE = {"time", "hardware"}
"""Columns that say when and where."""


def many(folder: Path, count: int = 300) -> Path:
    folder.mkdir()
    kinds = [encoded(number, "JPEG") for number in range(10)]
    for number in range(count):
        (folder / f"{number:04}.jpg").write_bytes(kinds[number % 10])
    return folder


def rows_of(place: Path) -> dict[tuple, dict]:
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = parquet.read_table(place).to_pylist()
    found = {(row["file"], row["frame"]): row for row in rows}
    assert len(found) == len(rows), "a row is there twice"
    return found


def require_equal(found: dict[tuple, dict], expected: dict[tuple, dict]) -> None:
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        assert list(found[key]) == list(row)
        for name in row.keys() - ELSEWHERE:
            if name.startswith(("probability_", "ood_", "lesion_")):
                assert found[key][name] == pytest.approx(row[name], abs=1e-5), (key, name)
            else:
                assert found[key][name] == row[name], (key, name)
