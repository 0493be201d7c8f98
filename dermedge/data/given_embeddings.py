"""Embeddings of pictures that somebody else has computed: one file, one row of numbers a picture.

`.npz` with the arrays `image` (texts [N]) and `embedding` (numbers [N, D]); `.csv` and `.parquet` with a column `image`
and D columns of numbers. A picture goes by its name in the data's table, without folder and ending. Not covered: what
is trained on them (`training.embedding_training`).
"""

from __future__ import annotations

import re
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeAlias
from zipfile import BadZipFile, is_zipfile

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dermedge_runtime.commands.folder_content import SUFFIXES
from dermedge_runtime.errors import InputRejected, UsageError

from .files.content_hashes import hash_file
from .samples import Sample
from .spelling import visible

IMAGE, EMBEDDING = "image", "embedding"
_FIRST = 3
_Rows: TypeAlias = tuple[list[str], pd.DataFrame]
"""Names of the pictures, and their values as the file has them: one column a number."""


@dataclass(frozen=True, slots=True)
class GivenEmbeddings:
    """The embeddings of one file."""

    path: Path
    sha256: str
    """Of the file."""
    values: NDArray[np.float32] = field(repr=False)
    """float32 [N, D], all finite."""
    _places: dict[str, int] = field(repr=False)
    """Row of every picture, by its bare name."""

    @property
    def size(self) -> int:
        """D, the numbers of an embedding."""
        return int(self.values.shape[1])

    def to_record(self) -> dict[str, str | int]:
        """Give what the record of a run says of them, JSON-ready."""
        return {"path": str(self.path.resolve()), "sha256": self.sha256, "size": self.size}

    def of(self, samples: Sequence[Sample]) -> NDArray[np.float32]:
        """Give the embeddings of photographs, float32 [N, D].

        :raises InputRejected: some have none, or cannot be told apart by their bare names.
        """
        names = [_bare(sample.image_id) for sample in samples]
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise InputRejected(
                f"{_several(len(twice), 'name')} of the data stand for several pictures once folder and ending are"
                f" left out: {_first(twice)}. Embeddings go by these names: give every picture one of its own."
            )
        if absent := [sample.image_id for sample, name in zip(samples, names, strict=True) if name not in self._places]:
            raise InputRejected(
                f"{len(absent)} of {_several(len(names), 'picture')} have no embedding in {self.path}:"
                f" {_first(absent)}. Add a row for each, by its name without folder and ending."
            )
        return self.values[[self._places[name] for name in names]]


def read_embeddings(path: Path) -> GivenEmbeddings:
    """Read a file of embeddings.

    :raises UsageError: an ending that is not known.
    :raises InputRejected: no file, or one that is not as the module says; a value that is not finite as float32; two
        rows of one picture.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"--embeddings takes a file that ends in {', '.join(_READERS)}, got {path}.")
    try:
        sha256 = hash_file(path)
        names, table = reader(path)
    except OSError as error:
        raise InputRejected(f"The embeddings {path} cannot be read: {error.strerror or error}.") from error
    except ImportError as error:
        mend = f"{error.name or 'a package'} is needed. Run: pip install 'dermedge[batch]'"
        raise InputRejected(f"To read the embeddings {path}, {mend}") from error
    except (ValueError, BadZipFile, EOFError, zlib.error, pd.errors.ParserWarning) as error:
        reason = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
        raise InputRejected(
            f"The embeddings {path} are no whole {path.suffix.lower()} file: {reason}. Save them again."
        ) from error
    bare = [_bare(name) for name in names]
    if twice := [name for name, count in Counter(bare).items() if count > 1]:
        raise InputRejected(
            f"{path} has more than one row of {_first(twice)} ({_several(len(twice), 'picture')}). Leave one of each."
        )
    return GivenEmbeddings(path, sha256, _numbers(path, bare, table), {name: row for row, name in enumerate(bare)})


def _npz(path: Path) -> _Rows:
    if not is_zipfile(path):
        raise ValueError("it is none that numpy.savez writes")
    # numpy runs no code of a file unless it is told to: a file of somebody else must not run anything.
    with np.load(path) as arrays:
        for name in (IMAGE, EMBEDDING):
            if name not in arrays.files:
                found = ", ".join(arrays.files) or "none"
                raise InputRejected(f"{path} has no array {name} (found: {found}). Save it with image and embedding.")
        image, embedding = _plain_array(path, arrays, IMAGE), _plain_array(path, arrays, EMBEDDING)
    if image.dtype.kind != "U" or image.ndim != 1:
        raise InputRejected(f"The array image of {path} is {_kind(image)}; it must be texts [N], one a picture.")
    if embedding.dtype.kind not in "fiu" or embedding.ndim != 2:
        raise InputRejected(f"The array embedding of {path} is {_kind(embedding)}; it must be numbers [N, D].")
    if len(image) != len(embedding):
        raise InputRejected(
            f"{path} names {len(image)} pictures in image and has {len(embedding)} rows in embedding. Save one row for"
            " each picture."
        )
    return image.tolist(), pd.DataFrame(embedding)


def _plain_array(path: Path, arrays: np.lib.npyio.NpzFile, name: str) -> NDArray[np.generic]:
    try:
        array: NDArray[np.generic] = arrays[name]
    except ValueError as error:
        if "Object arrays" not in str(error):
            raise
        kind = "str" if name == IMAGE else "float"
        raise InputRejected(
            f"The array {name} of {path} holds Python objects. Save it as numbers or texts: {name}.astype({kind})."
        ) from error
    return array


def _csv(path: Path) -> _Rows:
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # pandas would drop cells that have no column
        table = pd.read_csv(
            path,
            dtype={IMAGE: str},
            encoding="utf-8-sig",
            index_col=False,
            keep_default_na=False,  # a picture may be called NA
            low_memory=False,
        )
    return _of_table(path, table)


def _parquet(path: Path) -> _Rows:
    return _of_table(path, pd.read_parquet(path))


def _of_table(path: Path, table: pd.DataFrame) -> _Rows:
    table.columns = table.columns.map(str)
    if len(table.columns) == 1 and (other := re.fullmatch(r"\W*image\W*([;\t|]).*", table.columns[0])):
        mark = "tabs" if other[1] == "\t" else f"'{other[1]}'"
        raise InputRejected(f"The columns of {path} are kept apart by {mark}. Save it with commas.")
    if IMAGE not in table:
        found = _first(list(table.columns)) or "none"
        raise InputRejected(f"{path} has no column image (found: {found}). Name the column of the pictures' names so.")
    names, table = table[IMAGE], table.drop(columns=IMAGE)
    if nameless := [name for name in table.columns if name.startswith("Unnamed: ")]:
        raise InputRejected(
            f"Column {int(nameless[0].removeprefix('Unnamed: ')) + 1} of {path} has no name: is it an index? Leave it"
            " out (pandas: index=False), or name it."
        )
    if names.isna().any():
        raise InputRejected(f"Row {int(names.isna().to_numpy().argmax()) + 1} of {path} names no picture in image.")
    return names.astype(str).tolist(), table


_READERS: dict[str, Callable[[Path], _Rows]] = {".npz": _npz, ".csv": _csv, ".parquet": _parquet}


def _numbers(path: Path, names: Sequence[str], table: pd.DataFrame) -> NDArray[np.float32]:
    """Give the values of a table as float32 [N, D]."""
    if not table.shape[1]:
        raise InputRejected(f"{path} has no number beside the names of the pictures: an embedding is one or more.")
    with np.errstate(over="ignore"):
        values: NDArray[np.float32] = table.apply(_as_numbers).to_numpy(np.float64).astype(np.float32)
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise InputRejected(
            f"{path} has '{str(table.iat[row, column])[:40]}' as number {column + 1} of {names[row]}: every value must"
            " be a finite number (float32)."
        )
    return np.ascontiguousarray(values.reshape(table.shape))


def _as_numbers(column: pd.Series[float]) -> pd.Series[float]:
    """Give a column as numbers, NaN for all that is none."""
    plain = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    return pd.to_numeric(column if plain else column.astype(str), errors="coerce").astype(np.float64)


def _bare(name: str) -> str:
    """Give the name of a picture without its folder and, where that is one of a picture, its ending."""
    path = PurePosixPath(visible(name.strip()).replace("\\", "/"))
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


def _kind(array: NDArray[np.generic]) -> str:
    return f"{array.dtype} {list(array.shape)}"


def _several(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _first(names: Sequence[str]) -> str:
    return f"{', '.join(names[:_FIRST])}{', ...' if len(names) > _FIRST else ''}"
