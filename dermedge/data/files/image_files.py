"""Find the pictures that a table names: anywhere below the data folder, with or without their folder and ending.

One name, one picture: copies of one content are one, masks are none, and what is left must be a single file. Not
covered: decoding (`pixel_cache`).
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from statistics import median
from typing import NoReturn

from dermedge.data.schema_entries import ImageRule
from dermedge.data.spelling import visible
from dermedge_runtime.commands.folder_content import OVERLAY_SUFFIX, SUFFIXES
from dermedge_runtime.errors import InputRejected

from .mask_check import is_mask
from .same_content import file_size, same_content

_NO_PHOTOGRAPHS = re.compile(
    r"mask|segment|thumb|preview|overlay|heat[ _-]?map|superpixel|ground[ _-]?truth|saliency"
    r"|(?<![a-z])(?:labels?|annotations?)(?![a-z])"
)
"""What the name of a folder tells that holds something else of the pictures' names."""
_NOT_OURS = (".", "@", "__MACOSX")
"""How folders begin that a system or an editor has made."""
_EXACT = frozenset({".png", ".bmp", ".tif", ".tiff", ".webp"})
"""Endings of formats in which masks are kept."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is found for one name."""

    path: Path | None
    problem: str = ""
    """Why a file that bears the name is not taken; without one, `path` None means that there is none."""


class ImageFiles:
    """The pictures below a folder, by name."""

    def __init__(self, folder: Path, rule: ImageRule) -> None:
        """:raises InputRejected: a folder that cannot be read."""
        self._folder, self._rule = folder, rule
        self._pictures: dict[str, list[Path]] = defaultdict(list)
        self._aside: dict[str, list[Path]] = defaultdict(list)  # below folders that hold no photographs by their names
        self._others: dict[str, Path] = {}  # of formats that are not read
        self._claimed: set[Path] = set()
        visited: set[str] = set()
        for root, folders, names in os.walk(folder, followlinks=True, onerror=_unreadable):
            real = os.path.realpath(root)
            if real in visited:  # a link that leads back
                folders[:] = []
                continue
            visited.add(real)
            folders[:] = sorted(name for name in folders if not self._skipped(name))
            inner = Path(root).relative_to(folder).parts
            kept = self._aside if any(_holds_no_photographs(part) for part in inner) else self._pictures
            for name in sorted(names):
                if not name.startswith(".") and not name.lower().endswith(OVERLAY_SUFFIX):
                    self._add(kept, Path(root, name))

    def _add(self, kept: dict[str, list[Path]], path: Path) -> None:
        stem, suffix = os.path.splitext(path.name)
        if suffix.lower() in SUFFIXES:
            kept[visible(stem)].append(path)
        else:
            self._others.setdefault(visible(stem), path)

    def _skipped(self, name: str) -> bool:
        plain = unicodedata.normalize("NFC", name).lower()
        return name.startswith(_NOT_OURS) or any(word in plain for word in self._rule.skip_folders)

    def find(self, image_ids: Sequence[str]) -> list[Found]:
        """Give the pictures of names such as `ISIC_0024306`, `PAT_8_15_820.png` or `2024/patient 7/1.jpg`.

        A name with an ending also finds the picture that differs in the ending alone. Where files differ that bear one
        name, a mask gives way to a photograph; otherwise none is taken.
        """
        candidates = [self._candidates(image_id) for image_id in image_ids]
        for paths in candidates:
            self._claimed.update(paths)
        hashes = same_content([path for paths in candidates if len(paths) > 1 for path in paths])
        found = [self._decide(name, paths, hashes) for name, paths in zip(image_ids, candidates, strict=True)]
        return self._without_masks(image_ids, found)

    def _candidates(self, image_id: str) -> list[Path]:
        parts = [part for part in image_id.replace("\\", "/").split("/") if part not in ("", ".")]
        name = visible("/".join(parts))
        wanted = name[: -len(_suffix(name))] if _suffix(name) else name
        stem = wanted.rpartition("/")[2]
        found = self._pictures.get(stem, [])
        if len(found) == 1 and "/" not in wanted:
            return found
        if "/" in wanted:  # whoever names a folder means it
            found = [path for path in (*found, *self._aside.get(stem, [])) if self._ends_in(path, wanted)]
        at_the_place = [path for path in found if self._relative(path.with_suffix("")) == wanted]
        if at_the_place and re.search(r"[\\/]", image_id):
            found = at_the_place
        exact = [path for path in found if self._ends_in(path, name, whole=True)]
        return exact if exact and len({path.parent for path in found}) == 1 else found

    def _ends_in(self, path: Path, name: str, *, whole: bool = False) -> bool:
        own = self._relative(path if whole else path.with_suffix(""))
        return f"/{own}".endswith(f"/{name}")

    def _decide(self, image_id: str, paths: Sequence[Path], hashes: Mapping[Path, str]) -> Found:
        if len(paths) < 2 or _one_content(paths, hashes):
            return Found(paths[0] if paths else None)
        photographs = [path for path in paths if not is_mask(path)]
        if len(photographs) == 1 or _one_content(photographs, hashes):
            return Found(photographs[0])
        shown = photographs or paths
        return Found(
            None,
            f"several pictures are called '{image_id}': {', '.join(map(self._relative, shown[:3]))}."
            " Write the folder before the name in the table, or name the folder that holds no photographs in the"
            " schema, as skip_folders in [images].",
        )

    def _without_masks(self, image_ids: Sequence[str], found: list[Found]) -> list[Found]:
        """Refuse what is plainly no photograph; only files that a mask could be are opened."""
        sizes = {each.path: file_size(each.path) for each in found if each.path is not None}
        usual = median([size for size in sizes.values() if size] or [0])
        checked = []
        for name, each in zip(image_ids, found, strict=True):
            size = sizes.get(each.path) if each.path else None
            if each.path and size is None and each.path.exists():
                each = Found(None, f"{self._relative(each.path)} is no regular file.")
            elif each.path and size and _may_be_mask(each.path, size, usual) and is_mask(each.path):
                each = Found(
                    None,
                    f"the picture called '{name}', {self._relative(each.path)}, is no photograph but a mask: it has"
                    " a handful of greys and no colour. Name its folder in the schema, as skip_folders in [images],"
                    " or take the row out.",
                )
            checked.append(each)
        return checked

    def hint(self, absent: Sequence[str]) -> str:
        """Say where something else bears the names of pictures that were not found; empty where nothing does."""
        stems = [visible(PurePosixPath(name.replace("\\", "/")).name) for name in absent]
        stems = [stem[: -len(_suffix(stem))] if _suffix(stem) else stem for stem in stems]
        said = ""
        if aside := [self._aside[stem][0] for stem in stems if stem in self._aside]:
            said += (
                f" {len(aside)} of their names are below folders that hold no photographs by their own names, such as"
                f" {self._relative(aside[0])}: write the folder before the name in the table if it is a photograph."
            )
        folded = {stem.casefold(): paths[0] for stem, paths in self._pictures.items()}
        if cases := [folded[stem.casefold()] for stem in stems if stem.casefold() in folded]:
            said += (
                f" {len(cases)} of their names are there in other letters or in another folder, such as"
                f" {self._relative(cases[0])}: write the name as the file has it."
            )
        if others := [self._others[stem] for stem in stems if stem in self._others]:
            said += (
                f" {len(others)} of their names are there in a format that is not read, such as"
                f" {self._relative(others[0])}: convert them to JPEG or PNG."
            )
        return said

    def unnamed(self) -> list[str]:
        """Pictures that no name of `find` could have meant, relative to the folder."""
        every = (path for paths in self._pictures.values() for path in paths)
        return sorted(self._relative(path) for path in every if path not in self._claimed)

    def _relative(self, path: Path) -> str:
        return visible(path.relative_to(self._folder).as_posix())


def _unreadable(error: OSError) -> NoReturn:
    raise InputRejected(f"The folder {error.filename} cannot be read: {error.strerror or error}.") from error


def _holds_no_photographs(folder: str) -> bool:
    return _NO_PHOTOGRAPHS.search(unicodedata.normalize("NFC", folder).lower()) is not None


def _one_content(paths: Sequence[Path], hashes: Mapping[Path, str]) -> bool:
    return len({hashes.get(path, "") for path in paths}) == 1 and paths[0] in hashes


def _may_be_mask(path: Path, size: int, usual: float) -> bool:
    return path.suffix.lower() in _EXACT or size < usual / 4


def _suffix(name: str) -> str:
    suffix = PurePosixPath(name).suffix
    return suffix if suffix.lower() in SUFFIXES else ""
