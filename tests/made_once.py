"""What is slow to make is made by one worker of a test run and read by all."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

Maker = Callable[[Path], object]


class SharedFolder:
    """A folder that all workers of one test run see, and that no other run does."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        base = factory.getbasetemp()
        # pytest-xdist gives each of its workers a folder below the run's.
        self._path = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def once(self, name: str, make: Maker) -> Path:
        """Give the file or folder of this name; who asks first makes it at the path given to `make`.

        What is there is read only: other workers read it too.
        """
        path, made = self._path / name, self._path / f"{name}.made"
        with FileLock(self._path / f"{name}.lock"):
            if not made.exists():
                make(path)
                made.touch()
        return path
