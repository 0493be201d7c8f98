"""Every kind of bad input gets one sentence, its exit code, no traceback, and leaves nothing half written."""

import shutil
from pathlib import Path

import pytest
from PIL import Image


def _rejected(done, code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export", "--fp16", "--int8"], ["--fp16 and --int8 exclude each other"]),
        (["export", "--fp16", "--target", "rtx"], ["--target", "add --int8"]),
        (["export", "--int8", "--target", "gpu"], ["gpu", "cpu", "rtx"]),
        (["train", "--epochs", "0"], ["epochs"]),
        (["infer", "x.jpg", "--target", "mel"], ["--explain"]),
        (["train", "--learning-rate", "inf"], ["inf", "finite"]),
        (["train", "--noise", "nan"], ["nan"]),
        (["train", "--seed", "5000000000"], ["--seed"]),
        (["export", "--min-agreement", "nan"], ["nan"]),
    ],
    ids=" ".join,
)
def test_usage_errors_are_2(cli_here, models: Path, arguments: list[str], words: list[str]) -> None:
    _rejected(cli_here(*arguments), 2, *words)


def test_a_usage_error_ends_the_process_with_2(cli) -> None:
    _rejected(cli("export", "--fp16", "--int8"), 2, "--fp16 and --int8 exclude each other")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--resume", "--overwrite"], ["exclude each other"]),
        (["train", "--fusion", "cross_atention"], ["cross_atention", "image_only", "Did you mean cross_attention?"]),
        (["bench", "x.onnx", "--out", "."], ["--out"]),
    ],
    ids=" ".join,
)
def test_usage_errors_found_after_the_imports_are_2(
    cli_here, models: Path, arguments: list[str], words: list[str]
) -> None:
    _rejected(cli_here(*arguments), 2, *words)


def test_a_folder_without_data_is_3(cli_here, models: Path) -> None:
    _rejected(cli_here("train", "--run", "new", "--data", "."), 3, "holds no HAM10000_metadata.csv")


def test_settings_that_differ_on_resume_are_2(cli_here, models: Path) -> None:
    _rejected(cli_here("train", "--resume", "--epochs", 9, "--noise", 0.5), 2, "epochs 2 -> 9", "noise")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["infer", "missing.jpg"], ["missing.jpg", "no such file"]),
        (["infer"], ["reads an image"]),
        (["infer", "PICTURE", "--age", "200"], ["age", "200", "0 to 120"]),
        (["infer", "PICTURE", "--field", "age=inf"], ["age", "inf"]),
        (["infer", "PICTURE", "--site", "bakc"], ["bakc", "lower extremity", "Did you mean 'back'?"]),
        (["infer", "PICTURE", "--field", "dx_type=histo"], ["dx_type", "age, sex, site"]),
    ],
    ids=" ".join,
)
def test_rejected_input_is_3(cli, models: Path, picture: Path, arguments: list[str], words: list[str]) -> None:
    _rejected(cli(*(picture if text == "PICTURE" else text for text in arguments)), 3, *words)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], ["No data folder", "doi:10.7910/DVN/DBW86T", "dermedge demo"]),
        (["--data", "missing"], ["missing", "does not exist", "doi:10.7910/DVN/DBW86T"]),
    ],
)
def test_absent_data_is_3(cli_here, data: list[str], words: list[str]) -> None:
    _rejected(cli_here("train", "--run", "new", *data), 3, *words)


def test_empty_data_folder_is_3(cli_here, tmp_path: Path) -> None:
    _rejected(cli_here("train", "--run", "new", "--data", tmp_path), 3, "holds no HAM10000_metadata.csv")


def test_absent_images_are_counted_and_named(cli_here, synthetic_data: Path, tmp_path: Path) -> None:
    shutil.copy(synthetic_data / "HAM10000_metadata.csv", tmp_path)
    done = cli_here("train", "--run", "new", "--data", tmp_path)
    total = len((tmp_path / "HAM10000_metadata.csv").read_text().splitlines()) - 1
    _rejected(done, 3, f"{total} of the {total} images", "SYN_0000000, SYN_0000001", "SYN_0000004", "and others")
    assert "SYN_0000005" not in done.stderr


def test_unknown_diagnosis_is_3(cli_here, tmp_path: Path) -> None:
    (tmp_path / "HAM10000_metadata.csv").write_text(
        "lesion_id,image_id,dx,dx_type,age,sex,localization\nL1,I1,wart,histo,50,male,back\n"
    )
    _rejected(cli_here("train", "--run", "new", "--data", tmp_path), 3, "line 2", "wart", "akiec, bcc")


@pytest.mark.parametrize("kind", ["empty", "text", "truncated", "bomb"])
def test_unreadable_pictures_are_3(cli, models: Path, picture: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"{kind}.jpg"
    if kind == "bomb":
        Image.new("1", (11_000, 11_000)).save(path, format="PNG")
    else:
        path.write_bytes({"empty": b"", "text": b"not a picture", "truncated": picture.read_bytes()[:1000]}[kind])
    words = {"bomb": "100 megapixels", "truncated": "complete", "empty": "no picture", "text": "no picture"}
    _rejected(cli("infer", path), 3, str(path), words[kind])


def test_broken_model_files_are_4(cli, models: Path, picture: Path, tmp_path: Path) -> None:
    good = (models / "cross_attention-int8.onnx").read_bytes()
    for name, content in {"empty": b"", "text": b"hello world", "truncated": good[: len(good) // 2]}.items():
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(content)
        _rejected(cli("infer", picture, "--model", path), 4, f"{name}.onnx")
        _rejected(cli("inspect", path), 4, f"{name}.onnx")
    _rejected(cli("infer", picture, "--model", tmp_path / "none.onnx"), 4, "none.onnx", "No such file")


def test_no_exported_model_is_4(cli, picture: Path, tmp_path: Path) -> None:
    done = cli("infer", picture, "--models", "elsewhere", cwd=tmp_path)
    _rejected(done, 4, "no exported model", "dermedge export", "--model")


@pytest.mark.parametrize("device", ["cuda", "rtx"])
def test_absent_devices_are_5(cli, models: Path, picture: Path, device: str) -> None:
    done = cli("infer", picture, "--device", device)
    if done.returncode == 0:
        pytest.skip(f"this machine has a working {device}")
    _rejected(done, 5, f"{device} was requested", "--device cpu")


def test_export_and_evaluate_before_training_are_1(cli_here, tmp_path: Path) -> None:
    for command in ("export", "evaluate"):
        _rejected(cli_here(command, cwd=tmp_path), 1, "no training run", "dermedge train")
    assert not (tmp_path / "models").exists()


def test_a_training_that_cannot_start_leaves_the_earlier_run(cli_here, models: Path, synthetic_data: Path) -> None:
    run = models.parent / "runs" / "cross_attention"
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    done = cli_here("train", "--data", synthetic_data, "--image-size", 32, "--overwrite", "--device", "cuda")
    if done.returncode == 0:
        pytest.skip("this machine has a working GPU")
    _rejected(done, 5, "cuda was requested")
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before


def test_damaged_metrics_are_1(cli_here, models: Path) -> None:
    metrics = models.parent / "runs" / "cross_attention" / "metrics.json"
    before = metrics.read_bytes() if metrics.exists() else None
    metrics.write_text("{bad")
    try:
        _rejected(cli_here("export"), 1, "metrics.json is damaged", "dermedge evaluate")
    finally:
        metrics.unlink() if before is None else metrics.write_bytes(before)


def test_an_earlier_run_is_never_overwritten_unasked(cli_here, models: Path, synthetic_data: Path) -> None:
    _rejected(cli_here("train", "--data", synthetic_data), 1, "holds a run already", "--resume", "--overwrite")


@pytest.mark.parametrize("name", ["HAM10000_metadata.csv", "HAM10000_images_part_1/SYN_0000006.jpg"])
def test_a_card_never_replaces_the_data(
    cli_here, models: Path, synthetic_data: Path, tmp_path: Path, name: str
) -> None:
    data = shutil.copytree(synthetic_data, tmp_path / "data")
    model, out = models / "cross_attention-int8.onnx", data / name
    before = out.read_bytes()
    done = cli_here("card", model, "--run", "runs/cross_attention", "--data", data, "--out", out)
    _rejected(done, 2, f"{out} is also an input")
    assert out.read_bytes() == before


@pytest.mark.parametrize("suffix", ["onnx", "json"])
def test_an_export_onto_a_folder_leaves_neither_of_its_files(
    cli_here, models: Path, tmp_path: Path, suffix: str
) -> None:
    place = tmp_path / f"cross_attention-fp32.{suffix}"
    place.mkdir()
    _rejected(cli_here("export", "--models", tmp_path), 2, f"{place} is a folder", "name another")
    assert list(tmp_path.rglob("*")) == [place]
