"""Overlays and FHIR reports of a batch: made by threads while the network goes on, and there before their row is."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from dermedge_runtime.classifier import Classifier
from dermedge_runtime.commands.overlay_files import OverlayFiles
from dermedge_runtime.devices.usable_cpus import usable_cpus
from dermedge_runtime.errors import UsageError
from dermedge_runtime.files import refuse_overwriting
from dermedge_runtime.prediction import Prediction

from .answers import Answer
from .job import BatchJob

_PIECES_AT_WORK = 2

Piece = list[tuple[Answer, Path | None]]
"""Answers, each with its overlay."""


class BatchOutputs:
    """What is written beside the rows of one run."""

    def __init__(self, job: BatchJob, classifier: Classifier) -> None:
        """Check where everything goes, before anything is computed.

        :raises UsageError: a folder that is a file, or an input.
        """
        self._fhir, self._overlays = job.fhir, None
        for option, folder in (("--overlays", job.overlays), ("--fhir", job.fhir)):
            if folder is not None and folder.exists() and not folder.is_dir():
                raise UsageError(f"{option} names a folder, and {folder} is none; name another.")
        if job.report is not None:
            refuse_overwriting(job.report, job.inputs)
        if job.overlays is not None:
            self._overlays = OverlayFiles(job.overlays, [name for name in job.inputs if Path(name).is_file()])
        self._pool: ThreadPoolExecutor | None = None
        if self._overlays is not None or self._fhir is not None:
            self._pool = ThreadPoolExecutor(usable_cpus(), thread_name_prefix="outputs")

    def written(self, pieces: Iterable[list[Answer]]) -> Iterator[Piece]:
        """Write what belongs to each answer, and give the pieces in their order once everything of them is written.

        :raises OSError: something cannot be written.
        :raises DermedgeError: a picture has changed since it was classified.
        """
        if self._pool is None:
            for piece in pieces:
                yield [(answer, None) for answer in piece]
            return
        waiting: deque[list[tuple[Answer, Path | None, Future[None]]]] = deque()
        for piece in pieces:
            waiting.append([self._begin(answer) for answer in piece])
            while len(waiting) > _PIECES_AT_WORK:
                yield _ended(waiting.popleft())
        while waiting:
            yield _ended(waiting.popleft())

    def close(self) -> None:
        """Drop what has not begun, and wait for what has."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _begin(self, answer: Answer) -> tuple[Answer, Path | None, Future[None]]:
        assert self._pool is not None
        place = None
        result = answer.result
        if self._overlays is not None and isinstance(result, Prediction) and result.has_heatmap:
            place = self._overlays.place(result.source, answer.picture.mirrored)
        return answer, place, self._pool.submit(self._write, answer, place)

    def _write(self, answer: Answer, place: Path | None) -> None:
        result = answer.result
        if not isinstance(result, Prediction):
            return
        if place is not None and self._overlays is not None:
            self._overlays.write(result, place)
        if self._fhir is not None:
            write_report(self._fhir, answer)


def write_report(folder: Path, answer: Answer) -> None:
    """Write the FHIR report of an answer.

    :raises OSError: it cannot be written.
    """
    from .fhir import fhir_report, write_fhir  # here: few ask for it

    assert isinstance(answer.result, Prediction)
    picture = answer.picture
    report = fhir_report(
        answer.result,
        picture=picture.relative,
        subject=picture.id,
        picture_sha256=answer.sha256,
        frame=picture.frame,
    )
    write_fhir(folder, picture.mirrored, report)


def _ended(piece: list[tuple[Answer, Path | None, Future[None]]]) -> Piece:
    for _, _, work in piece:
        work.result()
    return [(answer, place) for answer, place, _ in piece]
