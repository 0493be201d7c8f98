"""ONNX Runtime's telemetry is off wherever this project imports it: no store, no connection."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from make_tiny_model import TINY
from PIL import Image

from dermedge.bench.cold import BARE_SCRIPT

ROOT = Path(__file__).parents[3]
PACKAGES = (ROOT / "dermedge", ROOT / "export" / "dermedge_export", ROOT / "runtime" / "dermedge_runtime")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    Image.fromarray(np.full((40, 40, 3), 120, np.uint8)).save(path)
    return path


def started(command: list[str], home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a process with a fresh home and nothing that chooses another cache folder."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if "TELEMETRY" not in name and name not in ("XDG_CACHE_HOME", "DERMEDGE_CACHE")
    }
    paths = os.pathsep.join((os.fspath(ROOT / "tests" / "light_install"), *sys.path))
    home_of = {"HOME": os.fspath(home), "USERPROFILE": os.fspath(home), "PYTHONPATH": paths}
    return subprocess.run(
        command, env=kept | home_of | variables, cwd=home.parent, capture_output=True, text=True, check=False
    )


def python(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", code, *map(str, arguments)]


def found_in(home: Path) -> list[str]:
    return [path.relative_to(home).as_posix() for path in home.rglob("*")]


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "dermedge", "infer", "{picture}", "--model", "{model}"],
        ["-m", "dermedge", "inspect", "{model}"],
        ["-m", "dermedge_runtime.devices.trial_run", "cpu"],
        ["-c", "import dermedge_export.int8.sensitivity"],
        [
            "-c",
            "import dermedge_runtime, subprocess, sys; subprocess.run([sys.executable, '-c', 'import onnxruntime'])",
        ],
    ],
    ids=["infer", "inspect", "trial", "export", "a process that it starts"],
)
def test_a_fresh_home_stays_empty(command: list[str], home: Path, photograph: Path) -> None:
    filled = [part.format(picture=photograph, model=TINY) for part in command]
    done = started([sys.executable, *filled], home)
    assert done.returncode == 0, done.stderr
    assert found_in(home) == []


def test_doctor_leaves_no_more_than_our_own_cache_folder(home: Path) -> None:
    done = started([sys.executable, "-m", "dermedge", "doctor", "--device", "cpu"], home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not [path for path in home.rglob("*") if path.is_file() and "dermedge" not in path.parts]
    assert "Microsoft" not in done.stdout and not list(home.rglob("Microsoft"))


def test_the_bare_script_of_the_benchmark_inherits_it(home: Path, photograph: Path) -> None:
    code = (
        "import sys\nfrom dermedge.bench.cold import run_measured\nrun_measured([sys.executable, '-c', *sys.argv[1:]])"
    )
    done = started(python(code, BARE_SCRIPT, TINY, photograph), home)
    assert done.returncode == 0, done.stderr
    assert found_in(home) == []


def test_whoever_sets_the_variable_keeps_it_and_an_empty_one_says_nothing(home: Path) -> None:
    code = "import os, dermedge_runtime; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    assert [started(python(code), home, ORT_DISABLE_TELEMETRY=value).stdout.strip() for value in ("0", "", " ")] == [
        "0",
        "1",
        "1",
    ]


def test_an_import_that_came_first_is_said_once(home: Path) -> None:
    code = (
        "import onnxruntime; onnxruntime.__version__ = '1.32.0'\n"
        "stopped = []; onnxruntime.disable_telemetry_events = lambda: stopped.append(1)\n"
        "from dermedge_runtime.devices.starting import import_onnxruntime\n"
        "import_onnxruntime(); import_onnxruntime(); print(len(stopped))"
    )
    done = started(python(code), home)
    assert done.stdout.strip() == "1", done.stderr
    assert done.stderr.count("was imported before dermedge_runtime") == 1
    quiet = started(python(code), home, ORT_DISABLE_TELEMETRY="1")
    assert (quiet.stdout.strip(), quiet.stderr) == ("0", "")


def imported(path: Path) -> list[str]:
    """Names of the packages that a module imports, in the order of its lines."""
    nodes = sorted(
        (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if hasattr(node, "lineno")),
        key=lambda node: node.lineno,
    )
    names: list[str] = []
    for node in nodes:
        if isinstance(node, ast.Import):
            names += [alias.name.split(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.append(str(node.module).split(".")[0])
    return names


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_a_package_turns_it_off_before_any_of_its_modules_runs(package: Path) -> None:
    code = f"import os, {package.name}; print(os.environ.get('ORT_DISABLE_TELEMETRY'))"
    kept = {name: value for name, value in os.environ.items() if "TELEMETRY" not in name}
    done = subprocess.run(python(code), env=kept, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


@pytest.mark.parametrize("folder", ["benchmarks", "tests"])
def test_a_file_outside_the_packages_imports_the_runtime_first(folder: str) -> None:
    if not (ROOT / folder).is_dir():
        pytest.skip(f"{folder} is not here")
    wrong = []
    for path in (ROOT / folder).rglob("*.py"):
        names = imported(path)
        ours = [names.index(name) for name in ("dermedge_runtime", "dermedge", "dermedge_export") if name in names]
        if "onnxruntime" in names and folder == "benchmarks" and min(ours, default=99) > names.index("onnxruntime"):
            wrong.append(path.name)
    assert wrong == []
    # Pytest reads this file before any test module.
    assert "dermedge_runtime" in imported(ROOT / "tests" / "conftest.py")


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_no_socket_is_opened(home: Path, photograph: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace.txt"
    strace = ["strace", "-f", "-qq", "-e", "trace=network", "-o", os.fspath(trace)]
    if started([*strace, "true"], home).returncode:
        pytest.skip("strace may not trace here")
    done = started(
        [*strace, sys.executable, "-m", "dermedge", "infer", str(photograph), "--model", str(TINY), "--device", "cpu"],
        home,
    )
    assert done.returncode == 0, done.stderr
    assert [line for line in trace.read_text().splitlines() if "socket" in line or "connect" in line] == []


@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed")
def test_a_prediction_needs_no_network(home: Path, photograph: Path) -> None:
    alone = ["unshare", "--net", "--map-root-user"]
    if started([*alone, "true"], home).returncode:
        pytest.skip("no network namespace may be made here")
    done = started([*alone, sys.executable, "-m", "dermedge", "infer", str(photograph), "--model", str(TINY)], home)
    assert done.returncode == 0, done.stderr
    assert found_in(home) == []
