"""The batch as a command, in this process and in others."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from make_tiny_model import TINY

COMMAND = [sys.executable, "-m", "dermedge", "infer", "--model", str(TINY), "--device", "cpu"]
Infer = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def infer(here: Path) -> Infer:
    """Run `dermedge infer` with the tiny model in this process, in the empty folder."""
    from dermedge.cli import main

    def run(*arguments: object, model: object = TINY) -> subprocess.CompletedProcess[str]:
        command = ["dermedge", "infer", "--model", str(model), "--device", "cpu", *map(str, arguments)]
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "argv", command)
            with pytest.raises(SystemExit) as ended:
                main()
        return subprocess.CompletedProcess(command, ended.value.code, out.getvalue(), err.getvalue())

    return run


def begun(folder: Path, *arguments: object, **options) -> subprocess.Popen[str]:
    """Begin `dermedge infer` with the tiny model as a process of its own."""
    return subprocess.Popen(
        [*COMMAND, *map(os.fspath, map(str, arguments))],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
