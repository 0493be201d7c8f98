"""The folder of results: what it refuses, what it goes on with, and what is told of it."""

import json
from pathlib import Path

import pytest
from batch.cluster.parts_of import many, rows_of
from batch.pictures import folder_of

from dermedge.batch.cluster import parts
from dermedge.batch.cluster.parts import Parts
from dermedge.batch.results.owner_lock import only_writer

pytest.importorskip("pyarrow")
RAY = ("pics", "--out", "parts", "--ray", "local")


def test_only_the_same_settings_go_on(infer, without_ray: None, here: Path) -> None:
    many(here / "pics", 20)
    assert infer(*RAY).returncode == 0
    other = infer(*RAY, "--age", "50")
    assert other.returncode == 2 and "begun with other settings: values of all patients" in other.stderr
    assert infer(*RAY, "--age", "50", "--overwrite").returncode == 0
    assert {row["given_age"] for row in rows_of(here / "parts").values()} == {50}
    (here / "parts" / parts.SETTINGS).unlink()
    unknown = infer(*RAY, "--age", "50")
    assert unknown.returncode == 1 and "without _settings.json nobody can tell" in unknown.stderr


def test_a_damaged_part_is_told_and_its_pictures_are_done_again(infer, without_ray: None, here: Path) -> None:
    many(here / "pics", 20)
    infer(*RAY)
    part = here / "parts" / "part-000001.parquet"
    part.write_bytes(part.read_bytes()[:-50])
    damaged = infer(*RAY)
    assert (damaged.returncode, len(damaged.stderr.splitlines())) == (1, 1)
    assert "parts/part-000001.parquet is damaged. Remove it" in damaged.stderr
    part.unlink()
    assert infer(*RAY).returncode == 0 and len(rows_of(here / "parts")) == 20


def test_parts_are_added_to(infer, without_ray: None, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_ROWS", 16)
    many(here / "pics", 40)
    infer(*RAY)
    folder_of(here / "pics", "z.jpg", "=1.jpg")
    (here / "parts" / ".part-000004.parquet.x.tmp").write_bytes(b"half")
    done = infer(*RAY, "--json")
    assert json.loads(done.stdout)["earlier"] == 40
    assert [path.name for path in sorted((here / "parts").glob("part*"))] == [
        f"part-{n:06}.parquet" for n in range(1, 5)
    ]
    assert len(rows_of(here / "parts")) == 42
    assert json.loads(infer(*RAY, "--json").stdout)["earlier"] == 42


def test_another_writer_and_other_files_are_told(infer, without_ray: None, here: Path) -> None:
    many(here / "pics", 20)
    inside = infer("pics", "--out", "pics", "--ray", "local")
    assert inside.returncode == 2 and "holds other files, 0000.jpg" in inside.stderr
    with only_writer(here / "parts"):
        second = infer(*RAY)
    assert second.returncode == 1 and "parts is being written by process" in second.stderr


def test_a_full_disk_is_told(infer, without_ray: None, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many(here / "pics", 20)

    def full(self: Parts) -> None:
        raise OSError(28, "No space left on device", "parts/part-000001.parquet")

    monkeypatch.setattr(Parts, "write", full)
    done = infer(*RAY)
    (told,) = done.stderr.splitlines()
    assert done.returncode == 1 and "part-000001.parquet cannot be written: No space left on device." in told


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--ray", "local"), "--ray writes into a folder; name it with --out."),
        (("--ray", "local", "--out", "r.csv"), "r.csv is named like a file."),
        (("--ray", "local", "--out", "pics/a.jpg"), "pics/a.jpg is a file; name another."),
        (("--ray", "local", "--out", "p", "--fhir", "f"), "--fhir writes beside the pictures' rows"),
        (("--ray", "local", "--out", "p", "--explain", "--overlays", "f"), "--overlays writes beside"),
        (("--ray", "local", "--out", "p", "-"), "Standard input (-) does not go with --ray"),
        (("--ray", "local", "--out", "nosuch://x/p"), "nosuch://x/p is no address that can be opened"),
        (("--out", "s3://x/r.csv"), "such as s3://x/r.csv, are read and written with --ray"),
    ],
)
def test_what_does_not_go_together(infer, without_ray: None, here: Path, arguments: tuple[str, ...], sentence: str):
    folder_of(here / "pics", "a.jpg")
    done = infer("pics", *arguments)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert sentence in done.stderr
