"""Pictures, tables and results at addresses, as on a disk: tried with an S3 server on this machine."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from batch.cluster.parts_of import require_equal, rows_of
from batch.pictures import folder_of
from dicom_files import LITTLE, PIXELS, dicom

from dermedge.batch.cluster import addresses

pytest.importorskip("pyarrow")
s3fs = pytest.importorskip("s3fs", reason="an S3 server on this machine needs: pip install s3fs 'moto[server]'")
BUCKET = "s3://pictures"


@pytest.fixture(scope="module")
def store() -> Iterator[s3fs.S3FileSystem]:
    """An S3 server on this machine, with an empty bucket."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("NO_PROXY", "127.0.0.1")
        for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
            patch.setenv(f"AWS_{name}", "x")
        files = s3fs.S3FileSystem(skip_instance_cache=True)
        files.mkdir(BUCKET)
        yield files
    server.stop()


TABLE = ("--recursive", "--columns", "image=Photo", "--id", "Case", "--table")


def test_everything_may_lie_at_an_address(infer, without_ray: None, store: s3fs.S3FileSystem, here: Path) -> None:
    folder_of(here / "pics", "a.jpg", "b.png", "c.jpg", "in/a b.jpg", "in/deep/d.png", "in/.hidden.jpg", "in/x.txt")
    (here / "pics" / "c.jpg").write_bytes(b"text")
    frames = PIXELS.tobytes() + PIXELS[::-1].tobytes()
    dicom(here / "pics" / "in" / "m.dcm", frames, syntax=LITTLE, NumberOfFrames=2, PatientAge="055Y")
    (here / "pics" / "in" / "bad.dcm").write_bytes(b"text")
    (here / "p.csv").write_text("Photo;age;Case\na.jpg;50;1\nb.png;200;2\nin/a b.jpg;30;3\nx;1;4\n")
    store.put(str(here / "pics"), f"{BUCKET}/pics", recursive=True)
    store.touch(f"{BUCKET}/pics/in/")
    store.put(str(here / "p.csv"), f"{BUCKET}/p.csv")
    alone = infer("pics", *TABLE, "p.csv", "--out", "one.parquet")
    command = (f"{BUCKET}/pics", *TABLE, f"{BUCKET}/p.csv", "--out", f"{BUCKET}/parts/", "--ray", "local")
    done = infer(*command)
    assert (done.returncode, alone.returncode) == (3, 3), done.stderr
    left = "1 file is no picture that dermedge reads and was left out: x.txt and 1 hidden file was left out."
    assert f"{BUCKET}/pics: {left}" in done.stderr
    store.get(f"{BUCKET}/parts/", str(here / "parts"), recursive=True)
    expected = {}
    for (file, frame), row in rows_of(here / "one.parquet").items():
        address = f"{BUCKET}/{file}"
        error = row["error"] and row["error"].replace(file, address)
        expected[address, frame] = row | {"file": address, "error": error}
    assert [row["given_age"] for (_, frame), row in expected.items() if frame] == [55, 55]
    assert len(expected) == 8
    require_equal(rows_of(here / "parts"), expected)
    again = json.loads(infer(*command, "--json").stdout)
    assert (again["earlier"], again["pictures"]) == (8, 8)
    assert infer(*command, "--age", "40").returncode == 2
    assert infer(*command[:-4], "--out", command[-3], "--ray", "local", "--overwrite").returncode == 3


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ((f"{BUCKET}/none.jpg",), 3, f"Cannot read the image {BUCKET}/none.jpg: there is no such file."),
        ((f"{BUCKET}/none.jpg", "--table", f"{BUCKET}/none.csv"), 3, f"There is no table {BUCKET}/none.csv."),
        (("s3://absent/none.jpg",), 3, "there is no such file"),
        (("gs://absent/none.jpg",), 1, "For gs:// addresses a package is missing"),
    ],
)
def test_what_is_not_there(
    infer, without_ray: None, store: object, arguments: tuple[str, ...], code: int, sentence: str
):
    done = infer(*arguments, "--out", "parts", "--ray", "local")
    assert done.returncode == code and sentence in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def test_a_store_that_does_not_answer_ends_the_run(infer, without_ray: None, here: Path, monkeypatch) -> None:
    for name, value in {"ENDPOINT_URL": "http://127.0.0.1:9", "ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "x"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    addresses._opened.cache_clear()
    done = infer("s3://pictures/pics", "--out", "parts", "--ray", "local")
    addresses._opened.cache_clear()
    (told,) = done.stderr.splitlines()
    assert done.returncode == 1 and "s3://pictures/pics cannot be reached" in told
