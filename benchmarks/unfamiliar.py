"""How well the two scores of a calibrated file tell unfamiliar pictures from the test split of its run.

None of these pictures was seen when the scores were made: other drawings than those that chose them, and real
photographs, such as those of PAD-UFES-20.

    python benchmarks/unfamiliar.py --run runs/box --data path/to/ham10000 --model box \
        --others path/to/pad_ufes_20 path/to/isic_2018_test
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.metrics import roc_auc_score

from dermedge.training.run import Run
from dermedge_export.decision.outliers import outliers
from dermedge_runtime import Classifier, Rejection
from dermedge_runtime.inputs.image import upright_rgb
from dermedge_runtime.model.shipped_model import model_in_the_box

_DRAWN, _OTHER_SEED = 200, 20_000
_ENDINGS = (".jpg", ".jpeg", ".png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--model", default="box", help="a path, or the name of a model in the box")
    parser.add_argument("--others", type=Path, nargs="*", default=[], help="folders of other pictures")
    asked = parser.parse_args()
    path = Path(asked.model)
    classifier = Classifier(path if path.is_file() else model_in_the_box(asked.model), "cpu")
    run = Run.open(asked.run)
    test = run.split.select(run.samples(asked.data), "test")
    usual = scores(classifier, [sample.path for sample in test])
    show("test split", usual, usual)
    photographs = [upright_rgb(sample.path, None) for sample in test[:: max(1, len(test) // _DRAWN)]]
    for kind, pictures in outliers(photographs, _DRAWN, _OTHER_SEED).items():
        show(f"drawn: {kind}", usual, scores(classifier, pictures))
    for folder in asked.others:
        show(folder.name, usual, scores(classifier, list(pictures_in(folder))))


def pictures_in(folder: Path) -> Iterator[Path]:
    """Give the pictures below a folder."""
    return (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in _ENDINGS)


def scores(classifier: Classifier, pictures: Sequence[Path | Image.Image]) -> dict[str, np.ndarray[Any, Any]]:
    """Give both scores of pictures without a patient, and whether each is unsure or referred."""
    answers = [each for each in classifier.predict_each(list(pictures)) if not isinstance(each, Rejection)]
    return {
        "ood_score": np.array([each.ood_score for each in answers]),
        "lesion_ood_score": np.array([each.lesion_ood_score for each in answers]),
        "routine": np.array([each.decision == "routine" for each in answers]),
    }


def show(name: str, usual: dict[str, Any], found: dict[str, Any]) -> None:
    """Print one line: how many pictures, the AUROC of each score, the shares above 1 and of routine answers."""
    told = []
    for score in ("ood_score", "lesion_ood_score"):
        truth = np.concatenate([np.zeros(len(usual[score])), np.ones(len(found[score]))])
        auroc = roc_auc_score(truth, np.concatenate([usual[score], found[score]]))
        told.append(f"{score} AUROC {auroc:.4f}, above 1: {np.mean(found[score] > 1):.1%}")
    print(f"{name:<24} {len(found['routine']):>5} pictures  {'  '.join(told)}  routine {found['routine'].mean():.1%}")


if __name__ == "__main__":
    main()
