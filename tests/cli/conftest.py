"""One real run of the command line, from generated pictures to model files, shared by the tests of this folder."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from made_once import SharedFolder

LIGHT_INSTALL = os.fspath(Path(__file__).parents[1] / "light_install")
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
        paths = os.pathsep.join(filter(None, (LIGHT_INSTALL, os.environ.get("PYTHONPATH"))))
        env = {**os.environ, "DERMEDGE_CACHE": str(workspace / "cache"), "PYTHONPATH": paths, **environment}
        return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False)

    return run


@pytest.fixture(scope="session")
def cli_here(workspace: Path, shared_folder: SharedFolder) -> Cli:
    """Run `dermedge` in this process, for commands that import torch: a new process takes seconds for that alone.

    A network that was traced before is not traced again.
    """
    from dermedge.cli import main

    def run(*arguments: object, cwd: Path = workspace) -> subprocess.CompletedProcess[str]:
        command, out, err = ["dermedge", *map(str, arguments)], io.StringIO(), io.StringIO()
        traced = _traced_once(command, shared_folder)
        with traced, pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(cwd)
            patch.setattr(sys, "argv", command)
            with pytest.raises(SystemExit) as ended:
                main()
        return subprocess.CompletedProcess(command, ended.value.code, out.getvalue(), err.getvalue())

    return run


def _traced_once(command: list[str], shared: SharedFolder) -> AbstractContextManager[None]:
    if {"evaluate", "explain", "export"}.isdisjoint(command):
        return nullcontext()
    from traced_once import tracing_once

    return tracing_once(shared)


@pytest.fixture(scope="session")
def trained(
    cli: Cli, synthetic_data: Path, workspace: Path, shared_folder: SharedFolder
) -> subprocess.CompletedProcess[str]:
    """The output of a tiny training in the workspace; trained once, copied into the workspace of every worker."""
    settings = ("--image-size", 32, "--epochs", 2, "--per-class", 6, "--batch-size", 16)

    def train(folder: Path) -> None:
        folder.mkdir()
        done = cli("train", "--data", synthetic_data, *settings, cwd=folder)
        (folder / "done.json").write_text(json.dumps([done.args, done.returncode, done.stdout, done.stderr]))

    folder = shared_folder.once("trained", train)
    done = subprocess.CompletedProcess(*json.loads((folder / "done.json").read_text()))
    if done.returncode == 0:
        shutil.copytree(folder / "runs", workspace / "runs")
    return done


@pytest.fixture(scope="session")
def models(
    cli_here: Cli, trained: subprocess.CompletedProcess[str], workspace: Path, shared_folder: SharedFolder
) -> Path:
    """The folder with one INT8 file of the tiny training; exported once, copied into the workspace of every worker."""
    assert trained.returncode == 0, trained.stderr

    def export(folder: Path) -> None:
        options = ("--int8", "--models", folder, "--min-agreement", 0, "--max-drop", 100)
        done = cli_here("export", "--runs", folder.with_name("trained") / "runs", *options)
        assert done.returncode == 0, done.stderr

    return Path(shutil.copytree(shared_folder.once("models", export), workspace / "models"))


@pytest.fixture
def own_threads() -> Iterator[None]:
    """Give torch back the threads of the tests; a benchmark in this process sets its own."""
    import torch

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def picture(synthetic_data: Path) -> Path:
    """One generated picture."""
    return sorted(synthetic_data.rglob("*.jpg"))[0]
