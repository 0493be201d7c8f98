"""`predictions.csv`: every answer of an evaluation, one row for each photograph and contender."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dermedge.data.groups import groups_of
from dermedge.data.samples import Sample
from dermedge.training.answers import Answers
from dermedge_runtime.files import write_text

FILE = "predictions.csv"


def write_predictions(
    path: Path,
    samples: Sequence[Sample],
    contenders: Mapping[str, Answers],
    classes: Sequence[str],
) -> None:
    """Write the table in UTF-8, whole or not at all.

    Its columns: model, the contender's name as in `metrics.json`; image, as the metadata table names it; group, what
    is drawn for the intervals; truth and predicted, codes of classes; `probability_CODE` of every class, with all
    digits of a float32; set, the codes of the prediction set with | between them, decision, and ood, empty where the
    contender has none.

    :param contenders: answers about the samples, by name.
    :raises OSError: it cannot be written.
    """
    given = {
        "image": [sample.image_id for sample in samples],
        "group": groups_of(samples),
        "truth": [classes[sample.label] for sample in samples],
    }
    parts = [pd.DataFrame({"model": name, **given, **_columns(each, classes)}) for name, each in contenders.items()]
    write_text(path, pd.concat(parts).to_csv(index=False, lineterminator="\n"))


def _columns(answers: Answers, classes: Sequence[str]) -> dict[str, object]:
    codes = np.array(classes, dtype=object)
    columns: dict[str, object] = {"predicted": codes[answers.probabilities.argmax(axis=1)]}
    # As texts: the shortest that is this float32 again.
    columns |= {f"probability_{code}": list(map(str, answers.probabilities[:, i])) for i, code in enumerate(classes)}
    sets = None if answers.sets is None else ["|".join(codes[row]) for row in answers.sets]
    return {**columns, "set": sets, "decision": answers.decisions, "ood": answers.ood}
