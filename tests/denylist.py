"""Make packages impossible to import, to prove in a clean interpreter that a code path does without them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Blocker(MetaPathFinder):
    def __init__(self, names: frozenset[str]) -> None:
        self.names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"{fullname} is on the denylist of this test", name=fullname)
        return None


def install(names: Iterable[str]) -> None:
    """Refuse every later import of these top-level packages and of what is below them."""
    blocked = frozenset(names)
    already = sorted(blocked & set(sys.modules))
    if already:
        raise RuntimeError(f"already imported, so a denylist proves nothing: {', '.join(already)}")
    sys.meta_path.insert(0, _Blocker(blocked))
