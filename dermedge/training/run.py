"""A training run, opened: settings, schema, split and data read and checked once, and passed on from there.

What a training does not change is read once: settings and schema when the run is opened, the split and the data when
they are first asked for. What it does change is looked at again: the weights are hashed once for every state of their
file. Where another run was written in the place of an open one, its weights are refused. Not covered: writing a run
(`run_folder`, `train.start_run`).
"""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from dermedge.config import EMBEDDINGS, TrainConfig
from dermedge.data.files.content_hashes import hash_file
from dermedge.data.given_embeddings import GivenEmbeddings, read_embeddings
from dermedge.data.ham10000 import HAM10000
from dermedge.data.samples import Sample, read_samples
from dermedge.data.schema import DataSchema
from dermedge.data.schema_file import schema_from_record
from dermedge.data.splits import Split
from dermedge_runtime.errors import DermedgeError, InputRejected, UsageError

from .run_folder import RunFolder

_log = logging.getLogger(__name__)
_FileState = tuple[int, int, int]
"""Inode, bytes and time of the last change in ns: another file, or other content, has another one."""


@dataclass(frozen=True, eq=False)
class Run(RunFolder):
    """A run folder whose settings and schema have been read.

    ::

        run = Run.open("runs/gated")
        print(run.config.epochs, run.schema.classes, len(run.split.ids("test")), run.weights_sha256)
    """

    record: Mapping[str, Any] = field(repr=False)
    """All of `config.json`."""
    config: TrainConfig
    """Settings of the training."""
    schema: DataSchema = field(repr=False)
    """Of the data set."""
    _opened: _FileState = field(repr=False)
    """Of `config.json`."""
    _samples: dict[Path | None, tuple[Sample, ...]] = field(default_factory=dict, init=False, repr=False)
    _hashes: dict[_FileState, str] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def open(cls, path: Path | str) -> Run:
        """Read and check a run.

        :param path: its folder, such as `runs/cross_attention`.
        :raises DermedgeError: no run there, or its `config.json` is damaged.
        """
        folder = RunFolder(Path(path))
        if not folder.config_file.is_file():
            raise DermedgeError(
                f"There is no training run in {folder.path}. Run `dermedge train` first, or name one with --run."
                f"{_runs_beside(folder.path)}"
            )
        state = _state_of(folder.config_file)
        record, config = _read_record(folder)
        return cls(folder.path, record, config, _read_schema(folder, record), state)

    @cached_property
    def split(self) -> Split:
        """Which photograph belongs to which part.

        :raises DermedgeError: missing, damaged, or changed after the training.
        """
        return _read_split(self, self.record)

    @cached_property
    def embeddings(self) -> GivenEmbeddings | None:
        """What the run reads in the place of pictures; None where it reads those, or none.

        :raises InputRejected: their file is gone, or another one than when the run began.
        :raises DermedgeError: the record is damaged.
        """
        return _read_embeddings(self, self.record.get(EMBEDDINGS)) if self.config.on_embeddings else None

    @property
    def weights_sha256(self) -> str:
        """Hash of the best weights so far.

        :raises DermedgeError: the run has none yet, or another run was written in its place since it was opened.
        """
        if not self.weights_file.is_file():
            raise DermedgeError(
                f"The run in {self.path} has no weights yet. Let `dermedge train` finish an epoch first."
            )
        if _state_of(self.config_file) != self._opened:
            raise DermedgeError(f"Another run was written to {self.path} since this one was opened. Open it again.")
        state = _state_of(self.weights_file)
        if state not in self._hashes:
            self._hashes[state] = hash_file(self.weights_file)
        return self._hashes[state]

    def require_made(self, file: Path, weights_sha256: str) -> None:
        """See that a model file was exported from this run's weights.

        :param weights_sha256: what the file's description says of the weights that it was made of.
        :raises DermedgeError: it was made of others.
        """
        if weights_sha256 != self.weights_sha256:
            raise DermedgeError(
                f"{file} was not exported from the run in {self.path} as it is now. Name the run that it was exported"
                " from (--run), or export it again."
            )

    def samples(self, data: Path | str | None = None) -> list[Sample]:
        """Give the run's data set, with its own schema and its own choice about missing images.

        A folder is read once; to see what has changed there since, open the run again.

        :param data: where the data lie by now; by default where they lay for the training.
        :raises InputRejected: as `read_samples`.
        """
        folder = Path(data or self.config.data) if data or self.config.data else None
        if folder not in self._samples:
            allow = bool(self.record.get("allow_missing_images"))
            found = read_samples(folder, self.schema, allow_missing_images=allow)
            self._samples[folder] = tuple(found)
        return list(self._samples[folder])

    def inputs(self, data: Path | str | None = None) -> list[Path]:
        """Give all that is read of the run: its own files, the tables of its data set and its pictures.

        :param data: as `samples` takes it.
        :raises InputRejected: as `samples`.
        """
        folder = Path(data or self.config.data)
        rule = self.schema.table
        tables = (folder / name for name in dict.fromkeys((*rule.files, *rule.truth_files)))
        return [*self.own_files(), *tables, *(sample.path for sample in self.samples(data))]


def opened(run: Run | Path | str) -> Run:
    """Open a run, unless it is open already.

    :raises DermedgeError: as `Run.open`.
    """
    return run if isinstance(run, Run) else Run.open(run)


def _runs_beside(path: Path) -> str:
    """Name the runs of the folder in which one was looked for, as a sentence of its own; nothing where it has none."""
    names = sorted(other.name for other in path.parent.glob("*/") if RunFolder(other).config_file.is_file())
    return f" {path.parent} has {', '.join(names)}." if names else ""


def _state_of(path: Path) -> _FileState:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _read_record(folder: RunFolder) -> tuple[dict[str, Any], TrainConfig]:
    from dermedge.models.fusion import modalities  # torch, which only an opened run needs

    try:
        record = json.loads(folder.config_file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DermedgeError(f"{folder.config_file} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(folder, f"it is no JSON: {error}") from error
    if not isinstance(record, dict) or not isinstance(record.get("settings"), dict) or "split_sha256" not in record:
        raise _damaged(folder, "it is not the record of a run, with settings and split_sha256")
    try:
        config = TrainConfig.from_record(record["settings"])
        modalities(config.fusion)
    except (ValueError, UsageError) as error:
        raise _damaged(folder, str(error).removesuffix(".")) from error
    return record, config


def _read_schema(folder: RunFolder, record: Mapping[str, Any]) -> DataSchema:
    if "schema" not in record:
        return HAM10000  # runs from before there were schemas
    try:
        return schema_from_record(record["schema"], folder.config_file.name)
    except InputRejected as error:
        raise _damaged(folder, str(error).removesuffix(".").replace(".\n", "; ")) from error


def _read_split(folder: RunFolder, record: Mapping[str, Any]) -> Split:
    try:
        split = Split.load(folder.split_file, record["settings"]["protocol"])
    except (OSError, KeyError, ValueError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DermedgeError(f"{folder.split_file} cannot be read ({reason}). Train the run again.") from error
    if split.sha256 != record["split_sha256"]:
        raise DermedgeError(f"{folder.split_file} was changed after the training. Restore it, or train the run again.")
    return split


def _read_embeddings(folder: RunFolder, record: Any) -> GivenEmbeddings:
    try:
        path, recorded = Path(record["path"]), record["sha256"]
    except (KeyError, TypeError) as error:
        raise _damaged(folder, "it does not say which embeddings the run reads") from error
    try:
        sha256 = hash_file(path)
    except OSError as error:
        raise InputRejected(
            f"The run in {folder.path} reads the embeddings {path}, which cannot be read: {error.strerror or error}."
            " Put the file back."
        ) from error
    if sha256 != recorded:
        raise InputRejected(
            f"The embeddings {path} were changed since the run in {folder.path} began (SHA-256 {sha256[:12]}, not"
            f" {str(recorded)[:12]}). Put the earlier file back, or train again with --overwrite."
        )
    return read_embeddings(path)


def _damaged(folder: RunFolder, reason: str) -> DermedgeError:
    return DermedgeError(f"{folder.config_file} is damaged ({reason}). Train the run again.")
