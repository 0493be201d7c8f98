"""The commands of the edge stay light: no heavy package is imported, and none needs to be installed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dermedge.batch import SUMMARY as INFER
from dermedge.bench import SUMMARY
from dermedge.commands import SUMMARIES
from dermedge.require import PACKAGES
from dermedge.service import SUMMARIES as SERVICE
from dermedge_runtime import model_in_the_box
from dermedge_runtime.commands.command_list import RUNTIME_SUMMARIES

HEAVY = (
    *("torch", "onnx", "onnxscript", "pandas", "sklearn", "scipy", "matplotlib", "safetensors", "tqdm", "captum"),
    *("click", "typer", "pydantic", "rich", "jinja2", "pydicom", "gdcm", "pillow_heif", "ray", "fsspec"),
    *("model_signing", "OpenSSL"),
)
WATCHED = ("numpy", "PIL", "onnxruntime", "argparse", *HEAVY)
DRIVER = """
import json, runpy, sys
sys.path.insert(0, {tests!r})
import denylist
denylist.install({blocked!r})
sys.argv = [{package!r}, *{arguments!r}]
code = 0
try:
    runpy.run_module({package!r}, run_name="__main__")
except SystemExit as done:
    code = done.code
print(json.dumps([code, sorted(set(sys.modules) & set({watched!r}))]), file=sys.stderr)
"""


def _run(
    *arguments: str, blocked: tuple[str, ...] = HEAVY, package: str = "dermedge"
) -> tuple[subprocess.CompletedProcess[str], int, list[str]]:
    tests = str(Path(__file__).parents[1])
    script = DRIVER.format(tests=tests, blocked=blocked, arguments=arguments, watched=WATCHED, package=package)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    code, modules = json.loads(done.stderr.splitlines()[-1])
    return done, code, modules


@pytest.mark.parametrize(
    ("blocked", "edge", "workshop"),
    [
        ((), "", ""),
        (HEAVY, "", "'dermedge[export]'"),
        ((*HEAVY, "onnxruntime"), "'dermedge[cpu]'", "'dermedge[export,cpu]'"),
    ],
    ids=["full", "light", "bare"],
)
def test_the_list_of_commands_imports_nothing(blocked: tuple[str, ...], edge: str, workshop: str) -> None:
    done, code, modules = _run("--help", blocked=blocked)
    assert (code, modules) == (0, [])
    for name, summary in (RUNTIME_SUMMARIES | {"infer": INFER, "bench": SUMMARY} | SERVICE | SUMMARIES).items():
        assert f"\n  {name:<13}{summary}\n" in done.stdout
    first, second = done.stdout.split("In the workshop:")
    for text, install in ((first, edge), (second, workshop)):
        assert ("installed. Run: " in text) == bool(install)
        assert f"Run: pip install {install}\n" in text or not install
    assert max(map(len, done.stdout.splitlines())) <= 120


def test_infer_needs_three_packages_only(picture: Path) -> None:
    model = str(model_in_the_box())
    done, code, modules = _run("infer", str(picture), "--model", model, "--age", "55", "--device", "cpu")
    assert (code, modules) == (0, ["PIL", "argparse", "numpy", "onnxruntime"])
    assert f"{Path(model).name} on cpu" in done.stdout


def test_a_folder_needs_no_package_more(picture: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "r.csv")
    model = ("--model", str(model_in_the_box("tiny")), "--device", "cpu")
    done, code, modules = _run("infer", str(picture.parent), *model, "--out", out, "--report", f"{out}.html")
    assert (code, modules) == (0, ["PIL", "argparse", "numpy", "onnxruntime"])
    assert f"{out}: " in done.stdout
    (tmp_path / "p.csv").write_text("image,age\n")
    done, code, _ = _run("infer", str(picture.parent), *model, "--table", str(tmp_path / "p.csv"))
    assert code == 3 and "pandas is needed. Run: pip install 'dermedge[batch]'" in done.stderr
    done, code, _ = _run(
        "infer", str(picture.parent), *model, "--out", str(tmp_path / "r.parquet"), blocked=(*HEAVY, "pyarrow")
    )
    assert code == 1 and "To write .parquet, pyarrow is needed. Run: pip install 'dermedge[batch]'" in done.stderr


def test_lock_files_and_logs_need_no_package_more_and_signatures_name_theirs(tmp_path: Path) -> None:
    model = tmp_path / "m.onnx"
    model.write_bytes(model_in_the_box("tiny").read_bytes())
    done, code, modules = _run("sign", str(model), "--lock")
    assert (code, set(modules) & set(HEAVY)) == (0, set())
    done, code, modules = _run("verify", str(model))
    assert (code, set(modules) & set(HEAVY)) == (0, set()) and "lock file: agrees" in done.stdout
    for command in ("sign", "verify"):
        model.with_name("m.onnx.sig").touch()
        done, code, _ = _run(command, str(model), "--key", str(model))
        assert (code, done.stdout) == (1, "")
        assert (
            "needs model_signing and OpenSSL, which are not installed. Run: pip install 'dermedge[sign]'" in done.stderr
        )
    done, code, modules = _run("audit", "head", "none.jsonl")
    assert (code, modules) == (3, ["argparse"])


def test_a_study_needs_pandas_alone_and_names_its_extra(tmp_path: Path) -> None:
    begun = {"event": "begun", "format": "dermedge feedback 1", "classes": ["nv", "mel"], "class_names": {}}
    (tmp_path / "r.jsonl").write_text(f"{json.dumps(begun)}\n")
    (tmp_path / "t.csv").write_text("case,dx\n")
    arguments = ("feedback", str(tmp_path / "r.jsonl"), "--truth", str(tmp_path / "t.csv"))
    done, code, modules = _run(*arguments)
    assert (code, set(modules) & set(HEAVY)) == (3, set())
    assert "To read t.csv, pandas is needed. Run: pip install 'dermedge[batch]'" in done.stderr
    done, code, modules = _run(*arguments, blocked=tuple(name for name in HEAVY if name != "pandas"))
    assert (code, set(modules) & set(HEAVY)) == (3, {"pandas"})
    assert "holds no reading yet" in done.stderr


def test_doctor_needs_no_heavy_package() -> None:
    done, code, modules = _run("doctor", "--device", "cpu")
    assert (code, modules) == (0, ["argparse", "numpy", "onnxruntime"])
    assert "cpu       runs  " in done.stdout


def test_the_runtime_alone_has_these_commands() -> None:
    done, code, _ = _run("inspect", blocked=(*HEAVY, "dermedge", "dermedge_export"), package="dermedge_runtime")
    assert code == 0
    assert "file digest: checked" in done.stdout


def test_bench_needs_no_heavy_package_and_no_model_of_your_own(tmp_path: Path) -> None:
    out = str(tmp_path / "bench.json")
    done, code, modules = _run("bench", "--devices", "cpu", "--batch", "1", "--rounds", "3", "--no-cold", "--out", out)
    assert (code, set(modules) & set(HEAVY)) == (0, set())
    assert f"{model_in_the_box().stem} (cpu)" in done.stdout
    assert "end to end" in done.stdout
    assert "left out: torch; not installed: typer, pydantic, torch, pandas" in done.stderr


def test_recipes_are_listed_without_torch() -> None:
    own = ("click", "typer", "pydantic", "rich")  # of every command of the workshop
    done, code, modules = _run("recipes", blocked=tuple(name for name in HEAVY if name not in own))
    assert (code, set(modules) & set(HEAVY) - set(own)) == (0, set()), done.stderr
    assert "\nwang2023 " in done.stdout


@pytest.mark.parametrize("word", ["train", "demo"])
def test_the_workshop_names_all_that_is_missing(word: str) -> None:
    done, code, modules = _run(word, "--help", blocked=HEAVY)
    extra = "train" if word == "train" else "export"
    missing = [name for name in PACKAGES[extra] if name != "onnxruntime"]
    told, _ = done.stderr.splitlines()  # one sentence, and the line of this test
    assert (code, done.stdout, set(modules) & set(HEAVY)) == (1, "", set())
    assert told == (
        f"dermedge: This command needs {', '.join(missing[:-1])} and {missing[-1]}, which are not installed."
        f" Run: pip install 'dermedge[{extra}]'"
    )
