"""What a demo has made in its folder, so that the next one replaces that and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from dermedge.data.files.content_hashes import hash_file
from dermedge_runtime.errors import UsageError
from dermedge_runtime.files import write_json

_MARKER = ".dermedge-demo.json"


class DemoFolder:
    """A demo's folder with the record of the files it has made: their hashes, by path below the folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._marker = path / _MARKER
        self._made: dict[str, str] = {}

    def claim(self, below: list[Path], replaced: list[Path]) -> None:
        """Look, before anything is written, whether all that a demo replaces is an earlier demo's.

        :param below: folders that a demo fills; where no demo has been, they must be absent or empty.
        :param replaced: files that a demo writes; those that are there must be as an earlier demo left them.
        :raises UsageError: something else is there.
        """
        if self._marker.is_file():
            self._made = self._read()
        else:
            for folder in below:
                if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                    raise self._refusal(folder)
        for path in replaced:
            if (path.exists() or path.is_symlink()) and self._made.get(self._name(path)) != _sha256(path):
                raise self._refusal(path)
        write_json(self._marker, self._made)

    def note(self, *paths: Path) -> None:
        """Record files that this demo has made."""
        self._made |= {self._name(path): _sha256(path) for path in paths}
        write_json(self._marker, self._made)

    def _read(self) -> dict[str, str]:
        try:
            made = json.loads(self._marker.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return {str(name): str(digest) for name, digest in made.items()} if isinstance(made, dict) else {}

    def _name(self, path: Path) -> str:
        return path.relative_to(self.path).as_posix()

    def _refusal(self, path: Path) -> UsageError:
        return UsageError(
            f"{path} is not what an earlier demo of this version made, and the demo would replace it:"
            " name another folder with --folder."
        )


def _sha256(path: Path) -> str:
    return hash_file(path) if path.is_file() else ""
