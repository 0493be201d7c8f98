"""One answer as one flat row of a table: the same columns for every picture of a model, rejected ones included.

What a column holds is one of three kinds, so that every file format can be told before the first row comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from .model.description import ModelSpec
from .prediction import Prediction, Rejection

Cell: TypeAlias = str | float | list[str] | None
Row: TypeAlias = dict[str, Cell]
"""By the name of the column, in the order of `columns`; None where there is nothing to say."""

TEXT, NUMBER, TEXTS = "text", "number", "texts"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the results."""

    name: str
    kind: str = TEXT
    """TEXT, NUMBER or TEXTS, a list of texts."""


_BEFORE = (Column("file"), Column("sha256"), Column("label"))
_DECISION = (
    Column("decision"),
    Column("reasons", TEXTS),
    Column("prediction_set", TEXTS),
    Column("ood_score", NUMBER),
    Column("lesion_ood_score", NUMBER),
    Column("picture_faults", TEXTS),
)
_MADE_BY = tuple(
    map(Column, ("model", "model_sha256", "dermedge", "onnxruntime", "device", "provider", "hardware", "time"))
)
_ERROR = Column("error")


def columns(spec: ModelSpec, *, explain: bool = False) -> tuple[Column, ...]:
    """Give the columns of a model's results.

    :param explain: also the explanation in words, and the relevance of every clinical field.
    """
    probabilities = (Column(f"probability_{code}", NUMBER) for code in spec.classes)
    given = [Column(f"given_{field.name}", NUMBER) for field in spec.clinical.numeric]
    given += [Column(f"given_{field.name}") for field in spec.clinical.categorical]
    explanation: list[Column] = []
    if explain:
        explanation = [Column("explanation")]
        if "relevance" in spec.outputs:
            explanation += [Column(f"relevance_{name}", NUMBER) for name in spec.clinical.names]
    clinical = (*given, Column("unknown", TEXTS))
    return (*_BEFORE, *probabilities, *_DECISION, *clinical, *explanation, *_MADE_BY, _ERROR)


def to_row(answer: Prediction | Rejection, table: tuple[Column, ...], sha256: str | None = None) -> Row:
    """Give one answer as a row.

    :param table: the columns, as `columns` gives them for the model; others, such as a caller's own, stay None.
    :param sha256: of the picture's file, in hexadecimal.
    """
    row: Row = dict.fromkeys((column.name for column in table), None)
    if isinstance(answer, Rejection):
        row.update(file=answer.source, sha256=sha256, error=answer.reason, time=answer.time)
        return row
    row.update(
        file=answer.source,
        sha256=sha256,
        label=answer.label,
        decision=answer.decision,
        reasons=list(answer.reasons),
        prediction_set=None if answer.prediction_set is None else list(answer.prediction_set),
        ood_score=answer.ood_score,
        lesion_ood_score=answer.lesion_ood_score,
        picture_faults=list(answer.picture_faults),
        unknown=list(answer.unknown),
        model=answer.model,
        model_sha256=answer.model_sha256,
        device=answer.device,
        provider=answer.provider,
        hardware=answer.hardware,
        time=answer.time,
        **answer.versions,
    )
    row.update({f"probability_{code}": value for code, value in answer.probabilities.items()})
    row.update({f"given_{name}": value for name, value in answer.given.items()})
    if "explanation" in row:
        row["explanation"] = answer.explanation_text
        row.update(_relevance(answer.relevance_by_field or {}))
    return row


def _relevance(by_field: Mapping[str, float]) -> Row:
    return {f"relevance_{name}": value for name, value in by_field.items()}
