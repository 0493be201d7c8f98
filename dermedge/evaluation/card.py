"""Write the card of a model file: what it is, what it was trained on, how well it does for whom, and its limits.

Every figure is measured here, through the shipped runtime, on the run's test split; intervals are a bootstrap by
lesion. What no software can know (how the pictures were made, say) is added as notes.
"""

from __future__ import annotations

import datetime
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermedge.data.samples import Sample
from dermedge.statistics.bootstrap import Interval
from dermedge.statistics.intervals import group_intervals, score_intervals
from dermedge.statistics.metrics import score
from dermedge.statistics.patient_groups import patient_groups
from dermedge.training.predictions import labels_of, runtime_probabilities
from dermedge.training.run import Run
from dermedge_runtime import Classifier
from dermedge_runtime.errors import DermedgeError, InputRejected
from dermedge_runtime.explanation import counted_as
from dermedge_runtime.inputs.clinical import CATEGORY
from dermedge_runtime.model.description import ModelSpec

_PART = "test"
_Ints = NDArray[np.int64]


def model_card(
    run: Run,
    path: Path,
    *,
    data: Path | None = None,
    notes: Sequence[str] = (),
    log: Callable[[str], None] = lambda line: None,
) -> str:
    """Measure a model file on the test split of its run and give its card, as Markdown.

    :param path: a file that was exported from the run.
    :param notes: sentences about the data or the training, one paragraph each.
    :raises DermedgeError: the file was made from other weights.
    :raises InputRejected: the data lack pictures of the split.
    """
    classifier = Classifier(path, "cpu")
    spec = classifier.spec
    if spec.weights_sha256 != run.weights_sha256:
        raise DermedgeError(f"{path} was not exported from the run in {run.path}. Name the run with --run.")
    samples = run.split.select(run.samples(data), _PART)
    if not samples:
        raise InputRejected(f"The run in {run.path} has no {_PART} images to measure the card's figures on.")
    log(f"{classifier.name} in the runtime on {len(samples)} {_PART} images")
    probabilities = runtime_probabilities(classifier, samples)
    sections = [
        f"# {classifier.name}",
        _summary(spec, path),
        "## Data and training",
        _training(spec, run, notes),
        f"## Figures on the {_PART} split",
        _figures(spec, run, samples, probabilities),
        "## For whom",
        _groups(spec, run, samples, probabilities.argmax(axis=1)),
        "## Limits",
        _limits(spec),
    ]
    return "\n\n".join(sections) + "\n"


def _summary(spec: ModelSpec, path: Path) -> str:
    content = path.read_bytes()
    image = f"{spec.image.size} x {spec.image.size} pixels" if spec.image else "no picture"
    fields = ", ".join(spec.clinical.names) or "no clinical field"
    lines = [
        f"**{spec.intended_use}**",
        "",
        f"- Reads {image}; {fields}.{_of_unknown(spec)}",
        f"- Classes: {'; '.join(f'{code} ({spec.class_names.get(code, code)})' for code in spec.classes)}.",
        f"- Fusion `{spec.fusion}`, precision {spec.precision}, {len(content) / 1e6:.1f} MB,"
        f" {'with' if spec.explains else 'without'} explanations.",
        f"- SHA-256 `{hashlib.sha256(content).hexdigest()}`",
        f"- Licence of the weights: {spec.licence}",
        f"- Made with {', '.join(f'{name} {version}' for name, version in sorted(spec.versions.items()))};"
        f" card written {datetime.datetime.now(datetime.UTC):%Y-%m-%d}.",
    ]
    return "\n".join(lines)


def _of_unknown(spec: ModelSpec) -> str:
    if not spec.clinical.names:
        return ""
    if spec.clinical.unknown == CATEGORY:
        return " What is unknown may be left out: unknown is a category of its own."
    named = [f"{field.name} {counted_as(field.imputed)}" for field in spec.clinical.fields]
    return f" What is unknown may be left out: {', '.join(named)}."


def _training(spec: ModelSpec, run: Run, notes: Sequence[str]) -> str:
    training, schema = spec.training, run.schema
    images = training["images"]
    settings = ", ".join(f"{key} {_plain(value)}" for key, value in sorted(training["settings"].items()) if value)
    parts = [
        f"{schema.name} ({schema.published}), {images['train']} training, {images['validation']} validation and"
        f" {images['test']} test images; protocol `{training['protocol']}`, split `{training['split_sha256'][:16]}`.",
        *notes,
        f"Settings: {settings}.",
        f"The file against the trained weights: {_parity(spec.parity)}",
    ]
    return "\n\n".join(parts)


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{key} {_plain(entry)}" for key, entry in value.items() if entry) + ")"
    return str(value)[:16]


def _parity(parity: Mapping[str, Any]) -> str:
    if not parity:
        return "not compared."
    return (
        f"{parity['agreement']:.2%} of {parity['images']} {parity['split']} images get the same class,"
        f" balanced accuracy {parity['balanced_accuracy_reference']:.4f} -> {parity['balanced_accuracy']:.4f},"
        f" largest probability change {parity['largest_probability_change']:.2g}."
        f"{f' Measured {arithmetic}.' if (arithmetic := parity.get('arithmetic')) else ''}"
    )


def _figures(spec: ModelSpec, run: Run, samples: Sequence[Sample], probabilities: NDArray[np.float32]) -> str:
    labels, lesions = labels_of(samples), _lesions(samples)
    scores = score(labels, probabilities, spec.classes)
    found = score_intervals(lesions, labels, probabilities.argmax(axis=1), len(spec.classes))
    group = run.split.group_name
    head = (
        f"{len(samples)} images of {len(np.unique(lesions))} {group}s; 95 % intervals by resampling {group}s."
        f" Accuracy {_interval(found['accuracy'][0])}, balanced accuracy {_interval(found['balanced_accuracy'][0])},"
        f" macro AUC {scores['macro']['auc']:.3f}."
    )
    rows = [
        [
            code,
            row["images"],
            _interval(found["recall"][index]),
            _interval(found["precision"][index]),
            row["specificity"],
            row["auc"],
        ]
        for index, (code, row) in enumerate(scores["per_class"].items())
    ]
    return f"{head}\n\n{_table(('class', 'images', 'recall', 'precision', 'specificity', 'AUC'), rows)}"


def _groups(spec: ModelSpec, run: Run, samples: Sequence[Sample], predicted: _Ints) -> str:
    labels, lesions, melanoma = labels_of(samples), _lesions(samples), run.schema.melanoma
    watched = spec.classes.index(melanoma) if melanoma in spec.classes else None
    columns = ["", "images", "accuracy", "balanced accuracy"] + (
        [f"recall of {melanoma}"] if watched is not None else []
    )
    tables = []
    for field, groups in patient_groups(samples, run.schema.clinical(run.config.protocol)).items():
        rows = []
        for name, entry in group_intervals(groups, lesions, labels, predicted, len(spec.classes)).items():
            found = entry["intervals"]
            row = [name, entry["images"], _interval(found["accuracy"][0]), _interval(found["balanced_accuracy"][0])]
            if watched is not None:
                own = int((labels[groups[name]] == watched).sum())
                row.append(f"{_interval(found['recall'][watched])} of {own}" if own else "none")
            rows.append(row)
        tables.append(f"**{field}**\n\n{_table(columns, rows)}")
    explained = "Balanced accuracy is the mean over the classes that a group has; small groups have wide intervals."
    return "\n\n".join([explained, *tables])


def _limits(spec: ModelSpec) -> str:
    lines = [
        "Trained and measured on one data set; on pictures of other cameras, clinics or skin types it will do worse,"
        " by an amount that nobody has measured.",
        f"It knows {len(spec.classes)} diagnoses. Anything else, healthy skin among it, is given one of them.",
        "The probabilities are not calibrated, and no threshold for a decision was chosen.",
    ]
    if spec.clinical.names:
        lines.append(
            "Clinical values act as prior knowledge: in groups where a disease is rare, it is found less often."
        )
    if spec.explains:
        lines.append("An explanation shows what moved the score, not why a lesion is what it is.")
    return "\n".join(f"- {line}" for line in lines)


def _lesions(samples: Sequence[Sample]) -> NDArray[np.str_]:
    return np.array([sample.lesion_id for sample in samples], dtype=np.str_)


def _interval(interval: Interval) -> str:
    if math.isnan(interval.value):
        return "-"
    return f"{interval.value:.3f} [{interval.low:.2f}, {interval.high:.2f}]"


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    cells = [
        [f"{cell:.3f}" if isinstance(cell, float) else "-" if cell is None else str(cell) for cell in row]
        for row in rows
    ]
    lines = [f"| {' | '.join(row)} |" for row in (list(header), ["---"] * len(header), *cells)]
    return "\n".join(lines)
