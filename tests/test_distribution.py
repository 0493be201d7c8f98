"""A wheel and an sdist, built from this checkout and tried outside it."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dermedge.data.synthetic_picture import picture
from dermedge_runtime.version import BUILD_FILE, RELEASE, commit_of, version

ROOT = Path(__file__).parents[1]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not commit_of(os.fspath(ROOT)), reason="this is no git checkout: what belongs in is not known"),
]


def _build(source: Path, folder: Path, kind: str) -> Path:
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", f"--{kind}", "--outdir", folder, source],
        check=True,
        capture_output=True,
        text=True,
    )
    (made,) = folder.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return made


def _names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as file:
        return set(file.namelist())


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(ROOT, tmp_path_factory.mktemp("sdist"), "sdist")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(ROOT, tmp_path_factory.mktemp("wheel"), "wheel")


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder)
    return folder


def _run(unpacked: Path, where: Path, *command: str) -> str:
    """Run with the wheel's packages alone before the checkout's on the path."""
    environment = {**os.environ, "PYTHONPATH": os.fspath(unpacked)}
    done = subprocess.run(
        [sys.executable, *command], cwd=where, env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True)
    folders = ("dermedge/", "export/dermedge_export/", "runtime/dermedge_runtime/")
    expected = {
        name.removeprefix("export/").removeprefix("runtime/")
        for name in tracked.stdout.splitlines()
        if name.startswith(folders)
    }
    assert len(expected) > 150
    assert expected <= _names(wheel)
    assert not [name for name in _names(wheel) if name.startswith(("tests/", "benchmarks/"))]


def test_the_wheel_answers_outside_the_checkout(unpacked: Path, tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.asarray(picture("mel", np.random.default_rng(0), 160, 120))).save(tmp_path / "lesion.png")
    where = _run(unpacked, tmp_path, "-c", "import dermedge_runtime; print(dermedge_runtime.__file__)")
    assert Path(where.strip()).is_relative_to(unpacked)
    answer = _run(unpacked, tmp_path, "-m", "dermedge", "infer", "lesion.png", "--age", "55", "--device", "cpu")
    assert answer.startswith("lesion.png: ")
    assert "Research use only" in answer


def test_every_build_says_its_commit(unpacked: Path, tmp_path: Path) -> None:
    commit = commit_of(os.fspath(ROOT))
    assert len(commit) == 40
    said = _run(unpacked, tmp_path, "-c", "import dermedge, dermedge_export; print(dermedge.__version__)").strip()
    assert said == version(commit) == f"{RELEASE}+g{commit[:10]}"
    (metadata,) = unpacked.glob("*.dist-info/METADATA")
    assert f"\nVersion: {said}\n" in metadata.read_text(encoding="utf-8")


def test_the_sdist_makes_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as file:
        if hasattr(tarfile, "data_filter"):  # not in Python 3.11.0 to 3.11.3
            file.extraction_filter = tarfile.data_filter
        file.extractall(tmp_path)
    (source,) = tmp_path.iterdir()
    again = _build(source, tmp_path / "dist", "wheel")
    assert again.name == wheel.name
    assert _names(again) == _names(wheel)
    with zipfile.ZipFile(again) as one, zipfile.ZipFile(wheel) as other:
        commit = f"dermedge_runtime/{BUILD_FILE}"
        assert one.read(commit) == other.read(commit)
