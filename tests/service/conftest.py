"""The commands of the service in this process, and one real service that answers HTTP."""

import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout

import httpx
import pytest
from service.serving import Running, running

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def dermedge() -> Command:
    """Run a command line: the words after `dermedge`."""
    from dermedge.cli import main

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = ["dermedge", *map(str, arguments)]
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "argv", command)
            with pytest.raises(SystemExit) as ended:
                main()
        return subprocess.CompletedProcess(command, int(ended.value.code or 0), out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with the tiny model, for a whole module."""
    with running(tmp_path_factory.mktemp("service"), "--workers", 1) as one:
        yield one


@pytest.fixture
def client(service: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.address, timeout=20) as one:
        yield one
