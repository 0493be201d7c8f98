"""The C++ example compiles and gives the golden outputs; skipped where no ONNX Runtime for C++ is (ORT_HOME)."""

import os
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
from any_size_models import write_box_of_any_size
from golden_vector import EXAMPLES, GOLDEN, PICTURE, furthest
from PIL import Image

HOME = Path(os.environ.get("ORT_HOME", ""))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (HOME / "include" / "onnxruntime_cxx_api.h").is_file() or shutil.which("g++") is None:
        pytest.skip("g++, or a folder ORT_HOME with ONNX Runtime's include and lib, is absent")
    target, lib = tmp_path_factory.mktemp("cpp") / "client", HOME / "lib"
    command = ["g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", str(EXAMPLES / "cpp_client.cpp"), "-o", str(target)]
    library = ["-isystem", str(HOME / "include"), "-L", str(lib), "-lonnxruntime", f"-Wl,-rpath,{lib}"]
    subprocess.run([*command, *library], check=True, timeout=120)
    return target


def test_it_gives_the_golden_outputs(client: Path, tmp_path: Path) -> None:
    model, picture = write_box_of_any_size(tmp_path), tmp_path / "picture.ppm"
    Image.open(PICTURE).convert("RGB").save(picture)
    done = subprocess.run([client, model, picture, "55", "0", "2"], capture_output=True, text=True, check=True)
    values = defaultdict(list)
    for line in done.stdout.splitlines():
        name, label, value = line.split("\t")
        values[name].append((label, float(value)))
    assert [label for label, _ in values["probabilities"]] == GOLDEN["classes"]
    assert [label for label, _ in values["attribution"]] == GOLDEN["features"]
    assert furthest({name: [value for _, value in rows] for name, rows in values.items()}) < GOLDEN["tolerance"]


def test_what_is_no_picture_is_refused(client: Path, tmp_path: Path) -> None:
    model = write_box_of_any_size(tmp_path)
    done = subprocess.run([client, model, PICTURE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{PICTURE} is no binary PPM of 8 bits.\n"
