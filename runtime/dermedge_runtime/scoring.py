"""Any number of pictures, each with its own patient's values -> one row each, as they come; memory stays flat."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from .classifier import Classifier
from .errors import UsageError
from .inputs.clinical import ClinicalValue
from .inputs.image import ImageSource
from .inputs.later_picture import HashedFile, LaterPicture
from .prediction import Prediction, Rejection
from .result_row import Column, Row, columns, to_row

Request: TypeAlias = tuple[ImageSource | LaterPicture | None, Mapping[str, ClinicalValue] | None]
"""A picture, None for a model that reads none, and the clinical values by field, None where nothing is known."""
_BATCHES_AHEAD = 4


@dataclass(frozen=True, slots=True)
class ScoredPicture:
    """The answer to one request."""

    answer: Prediction | Rejection
    sha256: str | None
    """Of the picture's file, in hexadecimal; None where there was none to read."""
    columns: tuple[Column, ...] = field(repr=False)

    def to_row(self) -> Row:
        """Give the answer as one flat row of `columns`."""
        return to_row(self.answer, self.columns, self.sha256)


def score(
    requests: Iterable[Request],
    model: Classifier | str | os.PathLike[str],
    *,
    target: str | None = None,
    explain: bool = False,
    batch_size: int = 8,
    workers: int | None = None,
) -> Iterator[ScoredPicture]:
    """Answer requests one after the other; what cannot be read or used becomes a `Rejection` and stops nothing.

    Pictures are read four batches ahead while the network runs, from a generator too. Files are hashed as they are
    read.

    :param requests: pairs of a picture and its patient's values, of any number; they are taken as they are needed.
    :param model: an open classifier, or the path of a model file.
    :param target: code of the class to explain; by default the predicted one.
    :param explain: also the columns of the explanation.
    :param batch_size: pictures of one run of the network, 1 to 1024.
    :param workers: threads that read; by default as many as the CPUs this process may use.
    :return: in the order of the requests. Whatever these raise comes through, after the answers to those before.
    :raises UsageError: an explanation asked of a file without one, or a request that is no pair.
    :raises ModelFileError: no such model, or a broken one.
    """
    classifier = model if isinstance(model, Classifier) else Classifier(model)
    if explain:
        classifier.require_explanations()
    table = columns(classifier.spec, explain=explain)
    waiting: deque[Any] = deque()  # pictures that carry the hash of their file, or will
    values: deque[Any] = deque()

    def pictures() -> Iterator[Any]:
        for request in requests:
            picture, clinical = _pair(request)
            if isinstance(picture, str | os.PathLike) and os.path.isfile(picture):
                picture = HashedFile(picture)
            waiting.append(picture)
            values.append(clinical)
            yield picture

    def patients() -> Iterator[Any]:
        while values:  # a picture is taken before its patient
            yield values.popleft()

    answers = classifier.predict_each(
        pictures(),
        patients(),
        target=target,
        batch_size=batch_size,
        read_ahead=_BATCHES_AHEAD * batch_size,
        workers=workers,
    )
    return _scored(answers, waiting, table)


def _scored(
    answers: Iterator[Prediction | Rejection], waiting: deque[Any], table: tuple[Column, ...]
) -> Iterator[ScoredPicture]:
    for answer in answers:
        yield ScoredPicture(answer, getattr(waiting.popleft(), "sha256", None), table)


def _pair(request: Any) -> Request:
    if isinstance(request, tuple | list) and len(request) == 2:
        return request[0], request[1]
    raise UsageError(f"A request is a pair of a picture and its clinical values, got {type(request).__name__}.")
