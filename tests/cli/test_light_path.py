"""`dermedge infer` and `dermedge --help` stay light: no heavy package is imported, and none needs to be installed."""

import json
import subprocess
import sys
from pathlib import Path

HEAVY = ("torch", "onnx", "onnxscript", "pandas", "sklearn", "matplotlib", "safetensors", "tqdm", "captum")
DRIVER = """
import json, sys
import denylist
denylist.install({heavy!r})
sys.argv = ["dermedge", *{arguments!r}]
from dermedge.cli import main
try:
    main()
except SystemExit as done:
    code = done.code
print(json.dumps([code, sorted(set(sys.modules) & {{"numpy", "PIL", "onnxruntime"}})]), file=sys.stderr)
"""


def _run(*arguments: str) -> tuple[subprocess.CompletedProcess[str], int, list[str]]:
    script = DRIVER.format(heavy=HEAVY, arguments=arguments)
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        check=False,
    )
    assert done.returncode == 0, done.stderr
    code, modules = json.loads(done.stderr.splitlines()[-1])
    return done, code, modules


def test_help_imports_nothing_heavy_at_all() -> None:
    done, code, modules = _run("--help")
    assert (code, modules) == (0, [])
    for command in ("train", "evaluate", "export", "infer", "bench", "inspect", "doctor", "demo"):
        assert command in done.stdout


def test_infer_needs_three_packages_only(models: Path, picture: Path) -> None:
    model = str(models / "cross_attention-int8.onnx")
    done, code, modules = _run("infer", str(picture), "--model", model, "--age", "55", "--device", "cpu")
    assert (code, modules) == (0, ["PIL", "numpy", "onnxruntime"])
    assert "cross_attention-int8.onnx on cpu" in done.stdout


def test_doctor_needs_no_heavy_package() -> None:
    done, code, modules = _run("doctor", "--device", "cpu")
    assert (code, modules) == (0, ["numpy", "onnxruntime"])
    assert "cpu       runs  " in done.stdout


def test_bench_needs_no_heavy_package(models: Path, tmp_path: Path) -> None:
    model, out = str(models / "cross_attention-int8.onnx"), str(tmp_path / "bench.json")
    done, code, _ = _run("bench", model, "--devices", "cpu", "--batch", "1", "--rounds", "3", "--no-cold", "--out", out)
    assert code == 0
    assert "end to end" in done.stdout
    assert "left out: torch" in done.stderr


def test_train_without_torch_names_the_extra() -> None:
    done, code, _ = _run("train", "--data", "x")
    assert code == 1
    assert done.stderr.count("\n") == 2  # one sentence, and the line of this test
    assert "torch, sklearn, matplotlib, safetensors and tqdm, which are not installed" in done.stderr
    assert "pip install 'dermedge[train]'" in done.stderr
