"""One real run of the command line, from generated pictures to model files, shared by the tests of this folder."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty working folder."""
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="session")
def cli(workspace: Path) -> Cli:
    """Run `dermedge` as a process in the workspace."""

    def run(*arguments: object, cwd: Path = workspace, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "dermedge", *map(str, arguments)]
        env = {**os.environ, "DERMEDGE_CACHE": str(workspace / "cache"), **environment}
        return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False)

    return run


@pytest.fixture(scope="session")
def trained(cli: Cli, synthetic_data: Path) -> subprocess.CompletedProcess[str]:
    """The output of a tiny training in the workspace."""
    return cli(
        *("train", "--data", synthetic_data, "--image-size", 32, "--epochs", 2, "--per-class", 6, "--batch-size", 16)
    )


@pytest.fixture(scope="session")
def models(cli: Cli, trained: subprocess.CompletedProcess[str], workspace: Path) -> Path:
    """The folder with one INT8 file of the tiny training."""
    assert trained.returncode == 0, trained.stderr
    done = cli("export", "--int8", "--min-agreement", 0, "--max-drop", 100)
    assert done.returncode == 0, done.stderr
    return workspace / "models"


@pytest.fixture(scope="session")
def picture(synthetic_data: Path) -> Path:
    """One generated picture."""
    return sorted(synthetic_data.rglob("*.jpg"))[0]
