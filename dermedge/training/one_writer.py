"""One process at a time writes to a place; a second one is told so at once, and does not wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dermedge_runtime.errors import DermedgeError
from dermedge_runtime.files.file_lock import one_at_a_time


@contextmanager
def one_writer(lock: Path, busy: str) -> Iterator[None]:
    """Hold a lock file, which ends with the process that holds it; see `file_lock`.

    :param lock: the file; its folder must be there.
    :param busy: what to say where another process holds it.
    :raises DermedgeError: another process holds it.
    """
    by_another = False

    def give_up(waited: float) -> bool:
        nonlocal by_another
        by_another = True
        return False

    with one_at_a_time(lock, give_up):
        if by_another:
            raise DermedgeError(busy)
        yield
