"""Find the picture that a table names: anywhere below the data folder, with or without its folder and ending.

Not covered: decoding (`pixel_cache`).
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from dermedge.picture_files import SUFFIXES
from dermedge_runtime.errors import InputRejected

from .schema import ImageRule


class ImageFiles:
    """The pictures below a folder, by name."""

    def __init__(self, folder: Path, rule: ImageRule) -> None:
        self._folder, self._rule = folder, rule
        self._by_stem: dict[str, list[Path]] = {}
        visited: set[str] = set()
        for root, folders, names in os.walk(folder, followlinks=True):
            if os.path.realpath(root) in visited:  # a link that leads back
                folders[:] = []
                continue
            visited.add(os.path.realpath(root))
            folders[:] = sorted(name for name in folders if not self._skipped(name))
            for name in sorted(names):
                stem, suffix = os.path.splitext(name)
                if suffix.lower() in SUFFIXES:
                    self._by_stem.setdefault(stem, []).append(Path(root, name))

    def _skipped(self, name: str) -> bool:
        return name.startswith(".") or any(word in name.lower() for word in self._rule.skip_folders)

    def find(self, image_id: str) -> Path | None:
        """Give the picture of a name such as `ISIC_0024306`, `PAT_8_15_820.png` or `2024/patient 7/1.jpg`.

        A name with an ending also finds the picture that differs in the ending alone.

        :return: None where there is none.
        :raises InputRejected: several pictures bear the name, and the schema does not say that they are copies.
        """
        name = image_id.replace("\\", "/")
        wanted = name[: -len(_suffix(name))] if _suffix(name) else name
        found = self._by_stem.get(wanted.rpartition("/")[2], [])
        if len(found) == 1 and "/" not in wanted:
            return found[0]
        found = [path for path in found if f"/{self._relative(path.with_suffix(''))}".endswith(f"/{wanted}")]
        exact = [path for path in found if f"/{self._relative(path)}".endswith(f"/{name}")]
        found = exact or found
        if len(found) > 1 and not self._rule.first_copy:
            raise InputRejected(
                f"several pictures are called '{image_id}': {', '.join(self._relative(path) for path in found[:3])}."
                " Write the folder before the name in the table, or say first_copy in the schema if they are copies."
            )
        return found[0] if found else None

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()


def _suffix(name: str) -> str:
    suffix = PurePosixPath(name).suffix
    return suffix if suffix.lower() in SUFFIXES else ""
