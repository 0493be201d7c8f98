"""`dermedge card`: what a model file is, what it was trained on, how well it does for whom, and its limits.

Every figure is measured here, through the shipped runtime, on the run's test split; intervals are a bootstrap by
lesion. What no software can know (how the pictures were made, say) is added as notes. The words of the card are those
of its template.
"""

from __future__ import annotations

import datetime
import hashlib
import logging
import math
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dermedge.data.samples import Sample
from dermedge.recipes.training_settings import RECIPE
from dermedge.statistics.bootstrap import Interval
from dermedge.statistics.intervals import group_intervals, score_intervals
from dermedge.statistics.metrics import score
from dermedge.statistics.patient_groups import patient_groups
from dermedge.statistics.shares import share_interval
from dermedge.tables import unknown_values_rows
from dermedge.training.answers import Answers, labels_of, runtime_answers
from dermedge.training.made_pictures import SYNTHETIC
from dermedge.training.members import MEMBERS
from dermedge.training.predictions import runtime_probabilities
from dermedge.training.run import Run
from dermedge.training.shifted_weights import PRIOR_SHIFT, shift_line
from dermedge.training.teachers import TEACHERS
from dermedge_runtime import Classifier
from dermedge_runtime.errors import InputRejected
from dermedge_runtime.explanation import counted_as
from dermedge_runtime.inputs.clinical import CATEGORY
from dermedge_runtime.model.description import ModelSpec

from .card_decision import decision_parts
from .fill_template import fill
from .unknown_values import unknown_values

_PART = "test"
_NOTHING = "-"
_HASH = re.compile("[0-9a-f]{64}")
_LEFT_OUT = ("teachers", "synthetic", "temperature", "teacher_weight", "widths")
"""Settings that have a sentence of their own, where they mean anything, or that follow from others."""
_log = logging.getLogger(__name__)


def model_card(run: Run, path: Path, *, data: Path | None = None, notes: Sequence[str] = ()) -> str:
    """Measure a model file on the test split of its run and give its card, as Markdown.

    :param path: a file that was exported from the run.
    :param data: where the data lie by now; by default the run's own folder.
    :param notes: sentences about the data or the training, one paragraph each.
    :raises DermedgeError: the file was made from other weights.
    :raises InputRejected: the data lack pictures of the split.
    """
    classifier = Classifier(path, "cpu")
    run.require_made(path, classifier.spec.weights_sha256)
    samples = run.split.select(run.samples(data), _PART)
    if not samples:
        raise InputRejected(f"The run in {run.path} has no {_PART} images to measure the card's figures on.")
    _log.info("%s in the runtime on %s %s images", classifier.name, len(samples), _PART)
    answers = runtime_answers(classifier, samples)
    probabilities = answers.probabilities
    return fill(
        "card.md.jinja",
        name=classifier.name,
        notes=notes,
        part=_PART,
        **_of_file(classifier.spec, path),
        **_of_training(classifier.spec, run),
        **_figures(classifier.spec, samples, probabilities),
        groups=_groups(classifier.spec, run, samples, answers),
        **(decision_parts(classifier, samples, answers, _PART) if answers.sets is not None else {"decision": None}),
        unknown_values=_unknown_values(classifier, run, samples, probabilities),
    )


def _of_file(spec: ModelSpec, path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {
        "spec": spec,
        "size": spec.image.size if spec.image else None,
        "fields": spec.clinical.names,
        "unknown": _of_unknown(spec),
        "classes": [f"{code} ({spec.class_names.get(code, code)})" for code in spec.classes],
        "megabytes": f"{len(content) / 1e6:.1f}",
        "sha256": hashlib.sha256(content).hexdigest(),
        "versions": [f"{name} {version}" for name, version in sorted(spec.versions.items())],
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
    }


def _of_unknown(spec: ModelSpec) -> str:
    if not spec.clinical.names:
        return ""
    if spec.clinical.unknown == CATEGORY:
        return "What is unknown may be left out: unknown is a category of its own."
    named = [f"{field.name} {counted_as(field.imputed)}" for field in spec.clinical.fields]
    return f"What is unknown may be left out: {', '.join(named)}."


def _of_training(spec: ModelSpec, run: Run) -> dict[str, Any]:
    settings = sorted(spec.training["settings"].items())
    return {
        "schema": run.schema,
        "group": run.split.group_name,
        "images": spec.training["images"],
        "settings": [f"{key} {_plain(value)}" for key, value in settings if value and key not in _LEFT_OUT],
        "taught": _taught(spec),
        "synthetic": _synthetic(spec),
        "branch": _branch(spec),
        "recipe": _recipe(spec.training.get(RECIPE)),
        "members": _members(spec),
        "prior_shift": _prior_shift(spec.training.get(PRIOR_SHIFT)),
        "parity": _parity(spec.parity),
    }


def _branch(spec: ModelSpec) -> str:
    """Say which network reads the picture, and whose weights it started from; empty: none, or a file of before."""
    return _of_branch(spec.training.get("branch"))


def _of_branch(branch: Mapping[str, Any] | None) -> str:
    if not branch:
        return ""
    if "source" not in branch:
        return f"Image branch `{branch['name']}`, trained from random weights."
    begun = " and ".join(
        f"{each['source']} (SHA-256 `{each['sha256'][:16]}`, licence {each['licence']})"
        for each in branch.get("parts", [branch])
    )
    return f"Image branch `{branch['name']}`, started from {begun}."


def _recipe(recipe: Mapping[str, Any] | None) -> str:
    """Say whose idea the model follows; empty: nobody's."""
    if not recipe:
        return ""
    ended = f" ({recipe['link']})" if "link" in recipe else ""
    return f"Trained by the recipe `{recipe['name']}`, after {recipe['reference']}{ended}: not the authors' own model."


def _members(spec: ModelSpec) -> list[str]:
    """Say what each network of an ensemble is; empty for a single network."""
    said = []
    for each in spec.training.get(MEMBERS, []):
        settings = {**spec.training["settings"], **each["settings"]}
        what = f"{each['name']}: {settings['fusion']}, temperature {each['temperature']:.3g}"
        said.append(f"{what}, SHA-256 `{each['weights_sha256'][:16]}`. {_of_branch(each.get('branch'))}".rstrip())
    return said


def _taught(spec: ModelSpec) -> str:
    """Say which runs taught the one of the file; empty: none."""
    teachers, settings = spec.training.get(TEACHERS, []), spec.training["settings"]
    if not teachers:
        return ""
    names = [f"{each['name']} (`{each['image_branch']}`, SHA-256 `{each['sha256'][:16]}`)" for each in teachers]
    how = f"temperature {settings['temperature']:g}, {100 * settings['teacher_weight']:g} % of the loss"
    return f"Taught by the runs {', '.join(names)}; {how}."


def _synthetic(spec: ModelSpec) -> str:
    """Say which generated pictures were trained on beside the photographs; empty: none."""
    made = spec.training.get(SYNTHETIC)
    if not made:
        return ""
    counts = ", ".join(f"{count} of {code}" for code, count in made["pictures"].items())
    return f"Trained on generated pictures too: {counts}. Their generator saw photographs of the training split alone."


def _prior_shift(record: Mapping[str, Any] | None) -> str:
    if not record or not record["tau"]:
        return ""
    return (
        f"Rare classes are named more often than the training alone would: {shift_line(record)}. The probabilities are"
        " shifted with it."
    )


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{key} {_plain(entry)}" for key, entry in value.items() if entry) + ")"
    text = str(value)
    return text[:16] if _HASH.fullmatch(text) else text


def _parity(parity: Mapping[str, Any]) -> str:
    if not parity:
        return "not compared."
    return (
        f"{parity['agreement']:.2%} of {parity['images']} {parity['split']} images get the same class,"
        f" balanced accuracy {parity['balanced_accuracy_reference']:.4f} -> {parity['balanced_accuracy']:.4f},"
        f" largest probability change {parity['largest_probability_change']:.2g}."
        f"{f' Measured {arithmetic}.' if (arithmetic := parity.get('arithmetic')) else ''}"
    )


def _figures(spec: ModelSpec, samples: Sequence[Sample], probabilities: NDArray[np.float32]) -> dict[str, Any]:
    labels, lesions = labels_of(samples), _lesions(samples)
    scores = score(labels, probabilities, spec.classes)
    found = score_intervals(lesions, labels, probabilities.argmax(axis=1), len(spec.classes))
    per_class = pd.DataFrame.from_dict(scores["per_class"], orient="index")
    rows = {
        "class": per_class.index,
        "images": per_class["images"],
        **{name: [_interval(each) for each in found[name]] for name in ("recall", "precision")},
        "specificity": per_class["specificity"].map(_share),
        "AUC": per_class["auc"].map(_share),
    }
    return {
        "photographs": len(samples),
        "lesions": len(np.unique(lesions)),
        **{name: _interval(found[name][0]) for name in ("accuracy", "balanced_accuracy")},
        "auc": _share(scores["macro"]["auc"]),
        "per_class": pd.DataFrame(rows),
    }


def _groups(spec: ModelSpec, run: Run, samples: Sequence[Sample], answers: Answers) -> dict[str, pd.DataFrame]:
    """Give the figures of every group of patients, a table per clinical field."""
    labels, lesions, melanoma = labels_of(samples), _lesions(samples), run.schema.melanoma
    predicted = answers.probabilities.argmax(axis=1)
    covered = None if answers.sets is None else answers.sets[np.arange(len(labels)), labels]
    tables = {}
    for field, groups in patient_groups(samples, run.schema.clinical(run.config.protocol)).items():
        rows = []
        for name, entry in group_intervals(groups, lesions, labels, predicted, len(spec.classes)).items():
            figures = entry["intervals"]
            row = {"": name, "images": entry["images"]}
            row |= {"accuracy": _interval(figures["accuracy"][0])}
            row |= {"balanced accuracy": _interval(figures["balanced_accuracy"][0])}
            if melanoma in spec.classes:
                watched = spec.classes.index(melanoma)
                own = int((labels[groups[name]] == watched).sum())
                row[f"recall of {melanoma}"] = f"{_interval(figures['recall'][watched])} of {own}" if own else "none"
            if covered is not None:
                row["coverage of the sets"] = _interval(share_interval(covered, groups[name], lesions))
            rows.append(row)
        tables[field] = pd.DataFrame(rows)
    return tables


def _unknown_values(
    classifier: Classifier, run: Run, samples: Sequence[Sample], known: NDArray[np.float32]
) -> pd.DataFrame | None:
    """Give the figures where clinical values are unknown; None for a file that reads none."""
    spec, answer = classifier.spec, partial(runtime_probabilities, classifier)
    cases = unknown_values(answer, samples, known, spec.clinical.names, spec.classes, run.schema.melanoma)
    if not cases:
        return None
    header, rows = unknown_values_rows(cases)
    return pd.DataFrame(rows, columns=header)


def _lesions(samples: Sequence[Sample]) -> NDArray[np.str_]:
    return np.array([sample.lesion_id for sample in samples], dtype=np.str_)


def _interval(interval: Interval) -> str:
    if math.isnan(interval.value):
        return _NOTHING
    return f"{interval.value:.3f} [{interval.low:.2f}, {interval.high:.2f}]"


def _share(value: float | None) -> str:
    return _NOTHING if pd.isna(value) else f"{value:.3f}"
