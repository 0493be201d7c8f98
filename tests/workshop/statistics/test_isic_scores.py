"""Our figures against those of the official scorer of the ISIC challenges, on a table that is made by a formula.

`isic_scores.json` holds what isic-challenge-scoring 5.6.0 gave for it (pandas 2.3.3, scikit-learn 1.9.1, Python 3.11);
`benchmarks/isic_scoring.py --scorer SCORER/bin/python --out FILE` wrote it.
"""

import json
from pathlib import Path

import pytest

from benchmarks.isic_scoring import CLASSES, our_figures, synthetic_answers

OFFICIAL = json.loads(Path(__file__).with_name("isic_scores.json").read_text(encoding="utf-8"))


def test_our_figures_are_those_of_the_official_scorer():
    ours = our_figures(*synthetic_answers())
    assert len(ours) == 1 + 7 * len(CLASSES)
    assert ours == pytest.approx(OFFICIAL, abs=1e-9)


def test_the_table_tells_a_threshold_from_the_largest_probability():
    truth, answers = synthetic_answers()
    labels, named = truth.to_numpy().argmax(axis=1), answers.to_numpy().argmax(axis=1)
    largest = [(named[labels == index] == index).mean() for index in range(len(CLASSES))]
    assert OFFICIAL["balanced_accuracy"] == pytest.approx(sum(largest) / len(CLASSES))
    assert all(OFFICIAL[f"{code}.sensitivity"] < recall for code, recall in zip(CLASSES, largest, strict=True))
