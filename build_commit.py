"""Build hook: a wheel and an sdist say which commit they were made from (see `dermedge_runtime/version.py`)."""

from __future__ import annotations

import runpy
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = Path("runtime", "dermedge_runtime")


class CommitHook(BuildHookInterface[Any]):
    """Adds one file; a checkout needs none, and neither does an sdist that has it already."""

    _written: Path | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the commit beside `version.py` in what is built.

        :param version: "editable" for an editable installation, which reads the commit of its checkout.
        """
        module = runpy.run_path(str(Path(self.root, PACKAGE, "version.py")))
        commit = module["commit_of"](self.root)
        if version == "editable" or not commit:
            return
        with tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False, encoding="ascii") as file:
            file.write(commit + "\n")
        self._written = Path(file.name)
        folder = Path("dermedge_runtime") if self.target_name == "wheel" else PACKAGE
        build_data["force_include"][file.name] = str(folder / module["BUILD_FILE"])

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the temporary file that was packed."""
        if self._written is not None:
            self._written.unlink(missing_ok=True)
