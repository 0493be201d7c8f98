"""Pictures of a census -> their answers with everything that belongs in a row, in their order, as they come."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from dermedge_runtime.classifier import Classifier
from dermedge_runtime.prediction import Prediction, Rejection
from dermedge_runtime.result_row import Column, Row, to_row
from dermedge_runtime.scoring import score

from .census import BatchPicture


@dataclass(frozen=True, slots=True)
class Answer:
    """One picture and what came of it."""

    picture: BatchPicture
    result: Prediction | Rejection
    sha256: str | None

    def row(self, columns: tuple[Column, ...]) -> Row:
        """Give the row of the results."""
        row = to_row(self.result, columns, self.sha256)
        row.update(id=self.picture.id, file=self.picture.path, frame=self.picture.frame)
        return row


def answers(
    pictures: Iterable[BatchPicture],
    classifier: Classifier,
    *,
    target: str | None = None,
    explain: bool = False,
    workers: int | None = None,
) -> Generator[Answer, None, None]:
    """Answer pictures; they are read four batches ahead.

    :param target: class to explain; by default the predicted one.
    :param workers: threads that read; by default as many as CPUs.
    """
    waiting: deque[BatchPicture] = deque()

    def requests() -> Iterator[Any]:
        for picture in pictures:
            waiting.append(picture)
            yield picture.picture, picture.clinical

    for scored in score(requests(), classifier, target=target, explain=explain, workers=workers):
        yield Answer(waiting.popleft(), scored.answer, scored.sha256)
