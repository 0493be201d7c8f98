"""`export --engine`, and `inspect` of its engine as a process."""

import json
from pathlib import Path

import pytest
from needs_tensorrt import needs_tensorrt

pytestmark = pytest.mark.slow

LOOSE = ("--min-agreement", 0, "--max-drop", 100, "--min-heatmap", -1)


@pytest.fixture(scope="module")
def exported(cli_here, trained, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A folder with an INT8 file for RTX cards and its engine, and what the export printed."""
    assert trained.returncode == 0, trained.stderr
    folder = tmp_path_factory.mktemp("engines")
    options = ("--engine", "--gpu", "rtx4060,RTX 5090", "--max-batch", 4, "--models", folder)
    done = cli_here("export", "--int8", "--target", "rtx", *options, *LOOSE, "--json")
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


@needs_tensorrt
def test_export_writes_engine_and_description(exported) -> None:
    folder, record = exported
    stem = "cross_attention-int8-rtx"
    endings = ("onnx", "json", "engine", "engine.json")
    assert {path.name for path in folder.iterdir()} == {f"{stem}.{ending}" for ending in endings}
    assert record["engine"]["bytes"] == (folder / f"{stem}.engine").stat().st_size
    assert record["engine"]["compute_capabilities"] == ["8.9", "12.0"]
    assert record["engine"]["batch"]["max"] == 4
    assert record["parity"]["provider"] == "CPUExecutionProvider"


@needs_tensorrt
def test_inspect_describes_the_engine(cli, exported) -> None:
    folder, _ = exported
    done = cli("inspect", folder / "cross_attention-int8-rtx.engine", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    record = json.loads(done.stdout)
    assert (record["spec"]["precision"], record["spec"]["flavour"]) == ("int8", "rtx")
    assert record["onnx"] | {"sha256": ""} == {"file": "cross_attention-int8-rtx.onnx", "beside": "same", "sha256": ""}
    assert record["layers"]["by_type"]["convolution"] == 17
    assert record["tensorrt"]["installed"] == record["tensorrt"]["version"]


@needs_tensorrt
def test_inspect_says_what_does_not_fit(cli, exported, tmp_path: Path) -> None:
    folder, _ = exported
    for path in folder.glob("*.engine*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    engine = tmp_path / "cross_attention-int8-rtx.engine"
    done = cli("inspect", engine)
    assert done.returncode == 0
    assert "cross_attention-int8-rtx.onnx is no longer beside the engine" in done.stderr
    engine.write_bytes(b"")
    done = cli("inspect", engine)
    assert (done.returncode, done.stdout) == (4, "")
    assert "cross_attention-int8-rtx.engine is damaged" in done.stderr


@pytest.mark.parametrize("name", ["missing.engine", "lonely.engine"])
def test_engine_or_description_that_is_not_there_is_4(cli, tmp_path: Path, name: str) -> None:
    (tmp_path / "lonely.engine").write_bytes(b"x")
    done = cli("inspect", tmp_path / name)
    assert (done.returncode, done.stdout) == (4, "")
    assert "Traceback" not in done.stderr
    assert f"{name}" in done.stderr


def test_an_engine_in_place_of_a_model_file_is_4(cli, picture: Path, tmp_path: Path) -> None:
    (tmp_path / "m.engine").write_bytes(b"x")
    done = cli("infer", picture, "--model", tmp_path / "m.engine")
    assert (done.returncode, done.stdout) == (4, "")
    assert "m.engine is a TensorRT engine; give the ONNX file" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--int8", "--engine"], ["uint8", "--target rtx"]),
        (["--gpu", "rtx4060"], ["add --engine"]),
        (["--engine", "--gpu", "rtx4061"], ["rtx4061", "Did you mean rtx4060"]),
        (["--engine", "--gpu", "rtx2070"], ["Turing"]),
        (["--engine", "--compute-capability", "9.0"], ["Hopper", "H200"]),
        (["--engine", "--max-batch", "0"], ["--max-batch"]),
    ],
    ids=" ".join,
)
def test_usage_errors_are_2(cli_here, arguments: list[str], words: list[str]) -> None:
    done = cli_here("export", *arguments)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    for word in words:
        assert word in done.stderr
