"""One worker of a cluster: the model opened once, blocks of files in, their rows out.

A block is one row of a table for Ray, with the files in one cell, and so is what comes back: what is in them is
dermedge's own, so that names of any bytes and columns without a value pass unchanged.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dermedge.batch.answers import answers
from dermedge.batch.census import BatchPicture, KnownFile
from dermedge.batch.job import BatchJob
from dermedge.batch.results.finished_table import parquet_schema, plain_row
from dermedge_runtime import __version__
from dermedge_runtime.classifier import Classifier
from dermedge_runtime.commands.shown_names import shown
from dermedge_runtime.errors import DermedgeError, ModelFileError
from dermedge_runtime.prediction import Rejection
from dermedge_runtime.result_row import Row

from .fetched_files import FetchedFiles
from .messages import BlockAnswer, answer_table, files_of
from .ray_errors import one_line

_MOST_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class Task:
    """What all workers do."""

    job: BatchJob
    model: str
    """File name."""
    sha256: str
    """Of the model file."""
    device: str
    threads: int
    """Of the network on CPUs, and of reading unless the job says otherwise."""
    folders: tuple[str, ...]
    """On disks: every machine must see them under the same name."""
    here: str | None
    """Folder that relative paths are seen from; None: there are none."""
    version: str = __version__


@dataclass(frozen=True, slots=True)
class MadeOn:
    """What a model was opened on."""

    device: str
    provider: str
    provider_version: str
    hardware: str


class Attempts:
    """Counts how often each block was begun: Ray would do one again for ever whose pictures end every process."""

    def __init__(self) -> None:
        self._begun: Counter[str] = Counter()

    def begin(self, block: str) -> int:
        """Count one more.

        :return: how many there are now.
        """
        self._begun[block] += 1
        return self._begun[block]


class Worker:
    """Answers blocks of files; one lives in a process of its own."""

    def __init__(self, task: Task, model: Any, attempts: Any) -> None:
        """Open the model.

        :param model: Ray's reference to the bytes of its file.
        :param attempts: Ray's handle of the one `Attempts`.
        """
        import ray

        self._task, self._attempts, self._refusal = task, attempts, None
        self._said = _Said()
        try:
            self._require_same_place()
            self._classifier = opened(task, ray.get(model))
        except DermedgeError as error:
            self._refusal = error  # Ray would start this worker again and again

    def __call__(self, block: Any) -> Any:
        """Answer the files of a block; what keeps that from being done is an answer too."""
        who = f"{platform.node()}:{os.getpid()}"
        try:
            answer = self._answer(block, who)
        except DermedgeError as error:
            answer = BlockAnswer(b"", 0, 0, who, failure=error)
        except Exception as error:
            failure = DermedgeError(f"The worker {who} failed: {type(error).__name__}: {one_line(error)}.")
            answer = BlockAnswer(b"", 0, 0, who, failure=failure)
        return answer_table(answer)

    def _answer(self, block: Any, who: str) -> BlockAnswer:
        import pyarrow

        if self._refusal is not None:
            raise self._refusal
        begun = time.monotonic()
        self._require_few_attempts(block)
        files = files_of(block)
        columns = self._task.job.result_columns(self._classifier)
        rows = pyarrow.Table.from_pylist(
            [plain_row(row, columns) for row in self._rows(files)], parquet_schema(columns)
        )
        return BlockAnswer(stream_of(rows), len(files), time.monotonic() - begun, who, self._said.taken())

    def _rows(self, files: Sequence[KnownFile]) -> Iterator[Row]:
        job, spec = self._task.job, self._classifier.spec
        columns = job.result_columns(self._classifier)
        with tempfile.TemporaryDirectory(prefix="dermedge-") as folder:
            fetched = FetchedFiles(Path(folder), spec.clinical)

            def pictures() -> Iterator[BatchPicture]:
                for file, found in fetched.pictures(files):
                    yield file.with_all(found, job.clinical)

            last = ""
            for answer in answers(
                pictures(),
                self._classifier,
                target=job.target,
                explain=job.explain,
                workers=job.workers or self._task.threads,
            ):
                if isinstance(answer.result, Rejection):
                    self._require_same_place()
                if answer.picture.path != last:
                    fetched.drop(last)
                    last = answer.picture.path
                yield answer.row(columns)

    def _require_few_attempts(self, block: Any) -> None:
        """See that a block did not end the process of one worker after the other.

        :raises DermedgeError: it did.
        """
        import ray

        files: list[KnownFile] = files_of(block)
        name = f"{files[0].path} to {files[-1].path}"
        if ray.get(self._attempts.begin.remote(name)) > _MOST_ATTEMPTS:
            raise DermedgeError(
                f"The process that reads the pictures from {shown(files[0].path)} to {shown(files[-1].path)} has ended"
                f" {_MOST_ATTEMPTS} times: one of them may take too much memory. Move it elsewhere, or give Ray fewer"
                " CPUs."
            )

    def _require_same_place(self) -> None:
        """See that this machine has what the one has on which the command was given.

        :raises DermedgeError: another version, or a folder that is not there.
        """
        if self._task.version != __version__:
            raise DermedgeError(
                f"{platform.node()} has dermedge {__version__}, and the command was given to {self._task.version}:"
                " install one version on all machines."
            )
        try:
            if self._task.here is not None:
                os.chdir(self._task.here)
            for folder in self._task.folders:
                os.stat(folder)
        except OSError as error:
            raise DermedgeError(
                f"{platform.node()} does not have {shown(str(error.filename))}: every machine must see the folder under"
                " the same name, or the pictures must lie at an address, such as s3://bucket/folder."
            ) from error


def opened(task: Task, content: bytes) -> Classifier:
    """Open a model file that came as bytes.

    :raises ModelFileError: they are others than those that were sent, or the file cannot be opened.
    :raises DeviceUnavailable: the device cannot be had here.
    """
    if hashlib.sha256(content).hexdigest() != task.sha256:
        raise ModelFileError(f"{task.model} did not reach {platform.node()} as it was sent; call the command again.")
    with tempfile.TemporaryDirectory(prefix="dermedge-") as folder:
        path = Path(folder, task.model)
        path.write_bytes(content)
        return Classifier(path, task.device, threads=task.threads)


def tried(task: Task, content: bytes) -> MadeOn | DermedgeError:
    """Open a model and say what it was opened on, or why it cannot be; runs on a machine of the cluster."""
    try:
        classifier = opened(task, content)
    except DermedgeError as error:
        return error
    return MadeOn(classifier.device, classifier.provider, classifier.provider_version, classifier.hardware)


def stream_of(table: Any) -> bytes:
    """Give an Arrow table as the bytes of a stream."""
    import pyarrow

    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def table_of(stream: bytes) -> Any:
    """Give the Arrow table again."""
    import pyarrow

    return pyarrow.ipc.open_stream(stream).read_all()


class _Said(logging.Handler):
    """Keeps warnings, whose own way to a person ends in a worker's log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._lines: dict[str, None] = {}
        for name in ("dermedge", "dermedge_runtime"):
            logging.getLogger(name).addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self._lines[record.getMessage()] = None

    def taken(self) -> tuple[str, ...]:
        lines, self._lines = tuple(self._lines), {}
        return lines
