"""Do our figures equal those of the official scorer of the ISIC challenges, the package isic-challenge-scoring?

    python -m venv SCORER && SCORER/bin/pip install isic-challenge-scoring==5.6.0 'pandas<3'   # outside the repository
    python benchmarks/isic_scoring.py --scorer SCORER/bin/python [TRUTH.csv ANSWERS.csv] [--out FILE]

The package takes pandas below 3, dermedge takes pandas 3: so it runs in an environment of its own. Both tables are
laid out as the challenges have them: `image` and a column for each class, one-hot and probabilities. Without them the
table of `synthetic_answers` is scored. A line for each figure: ours, the official one, the difference; exits with 1
where any differs by more than 1e-9. What the official scorer gave for the synthetic table is in
tests/workshop/statistics/isic_scores.json, written by `--out`, and a test holds our figures to it.

The official figures of a class count a picture as named where its probability is over 0.5; ours, elsewhere, where it is
the largest. So `thresholded` below takes 0.5 as the official scorer does. Pictures without weight are left out of ours:
those with a `score_weight` of 0, and ISIC_0035068, to which that scorer gives none. Not covered: other weights than 0
and 1, and pictures of two equal largest probabilities, which it counts as wrong.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from dermedge.statistics.metrics import score

CLASSES = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
_WITHOUT_WEIGHT = "ISIC_0035068"
_OFFICIAL = """
import json, sys
from pathlib import Path
from isic_challenge_scoring.classification import ClassificationMetric, ClassificationScore
found = ClassificationScore.from_file(Path(sys.argv[1]), Path(sys.argv[2]), ClassificationMetric.BALANCED_ACCURACY)
print(json.dumps({"balanced_accuracy": found.overall, "per_class": found.per_category.T.to_dict()}))
"""


def synthetic_answers(images: int = 300, seed: int = 7) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make truth and answers that depend on nothing but the seed: rare and frequent classes, right more often than not.

    :return: one-hot float [N, C] and probabilities float [N, C], rounded to 6 digits as a file has them; by image.
    """
    rng = np.random.default_rng(seed)
    labels = rng.choice(len(CLASSES), images, p=(0.11, 0.6, 0.05, 0.04, 0.12, 0.03, 0.05))
    logits = rng.normal(0.0, 1.0, (images, len(CLASSES))) + 2.0 * np.eye(len(CLASSES))[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    names = pd.Index([f"ISIC_{number:07d}" for number in range(images)], name="image")
    truth = pd.DataFrame(np.eye(len(CLASSES))[labels], names, list(CLASSES))
    return truth, pd.DataFrame(probabilities.round(6), names, list(CLASSES))


def our_figures(truth: pd.DataFrame, answers: pd.DataFrame) -> dict[str, float]:
    """Give the figures that both have, by name: of all pictures, and of each class as CLASS.figure."""
    labels, probabilities = truth.to_numpy().argmax(axis=1).astype(np.int64), answers.to_numpy()
    scores = score(labels, probabilities, list(truth.columns))
    figures = {"balanced_accuracy": scores["balanced_accuracy"]}
    for index, code in enumerate(truth.columns):
        positive = labels == index
        figures[f"{code}.auc"] = scores["per_class"][code]["auc"]
        figures |= {f"{code}.{name}": value for name, value in thresholded(positive, probabilities[:, index]).items()}
    return figures


def thresholded(positive: np.ndarray, probability: np.ndarray, threshold: float = 0.5) -> dict[str, float]:
    """Give our figures of one class against the rest, named where its probability is over a threshold."""
    named = probability > threshold
    pair = score(positive.astype(np.int64), np.column_stack([~named, named]).astype(float), ("rest", "class"))
    figures = pair["per_class"]["class"]
    return {
        "accuracy": pair["accuracy"],
        "sensitivity": figures["recall"],
        "specificity": figures["specificity"],
        "ppv": figures["precision"],
        "npv": pair["per_class"]["rest"]["precision"],
        "dice": figures["f1"],
    }


def official_figures(scorer: Path, truth: Path, answers: Path) -> dict[str, float]:
    """Ask the official scorer, in its own environment; names as of `our_figures`, and more."""
    done = subprocess.run([scorer, "-c", _OFFICIAL, truth, answers], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    each = {f"{code}.{name}": value for code, row in found["per_class"].items() for name, value in row.items()}
    return {"balanced_accuracy": found["balanced_accuracy"], **each}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", type=Path, metavar="TABLE", help="TRUTH.csv ANSWERS.csv")
    parser.add_argument("--scorer", type=Path, required=True, help="python of an environment with the package")
    parser.add_argument("--out", type=Path, help="write the official figures there, as JSON")
    chosen = parser.parse_args()
    if len(chosen.tables) not in (0, 2):
        parser.error("give two tables, the truth and the answers, or none")
    with tempfile.TemporaryDirectory() as folder:
        paths = tuple(chosen.tables) or (Path(folder, "truth.csv"), Path(folder, "answers.csv"))
        if not chosen.tables:
            for table, path in zip(synthetic_answers(), paths, strict=True):
                table.to_csv(path)
        truth, answers = (pd.read_csv(path, index_col="image") for path in paths)
        official = official_figures(chosen.scorer, *paths)
    codes = [name for name in truth.columns if name not in ("score_weight", "validation_weight")]
    counted = truth.index[(truth.get("score_weight", 1.0) != 0.0) & (truth.index != _WITHOUT_WEIGHT)]
    ours = our_figures(truth.loc[counted, codes], answers.loc[counted, codes])
    print(f"{'figure':20} {'ours':>12} {'official':>12} {'difference':>12}")
    for name, value in ours.items():
        print(f"{name:20} {value:12.9f} {official[name]:12.9f} {value - official[name]:12.2e}")
    worst = max(abs(value - official[name]) for name, value in ours.items())
    print(f"{len(ours)} figures of {len(counted)} pictures, largest difference {worst:.1e}")
    if chosen.out:
        chosen.out.write_text(json.dumps({name: official[name] for name in ours}, indent=1) + "\n", encoding="utf-8")
    return int(worst > 1e-9)


if __name__ == "__main__":
    raise SystemExit(main())
