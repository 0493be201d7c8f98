"""`dermedge explain`: what a run's explanations look like and whether they mean something, on its test split.

Pictures are drawn at random with the run's seed, never picked. Everything comes from a model file through the shipped
runtime, as users get it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dermedge.data.files.lesion_masks import mask_files, read_mask
from dermedge.data.samples import Sample
from dermedge.data.schema import DataSchema
from dermedge.progress import progress
from dermedge.statistics.explain_plots import gallery, relevance_bars
from dermedge.statistics.mask_agreement import Judged, judge, summarise
from dermedge.training.run import Run
from dermedge_runtime import Classifier, Prediction
from dermedge_runtime.errors import UsageError
from dermedge_runtime.files import write_json, write_text
from dermedge_runtime.inputs.image import load_image

from .model_files import model_files

_log = logging.getLogger(__name__)


def explain_run(
    run: Run,
    models: Path,
    *,
    data: Path | None,
    per_class: int,
    limit: int,
    masks: bool,
) -> dict[str, Any]:
    """Explain test photographs; write `explain/` into the run's folder.

    :param per_class: photographs per diagnosis in the gallery.
    :param limit: photographs per diagnosis in the tables.
    :param masks: also compare the heat maps with the lesion masks of the data folder.
    :return: the record that was written.
    :raises UsageError: a network that has neither heat map nor clinical values; masks for one without heat map.
    :raises InputRejected: no data, or masks that are absent.
    """
    config, schema = run.config, run.schema
    samples = _draw(run.split.select(run.samples(data), "test"), limit, config.seed, schema)
    files = mask_files(samples, data or Path(config.data), schema, "--masks") if masks else []
    with model_files(run, models, precision="fp32") as paths:
        classifier = Classifier(paths[0], "cpu")
    seen = _has_heatmap(classifier, masks=masks)
    _log.info("explain %s test images with %s", len(samples), classifier.name)
    results = _explain(classifier, samples)
    out = run.path / "explain"
    record: dict[str, Any] = {"model": classifier.name, "split": "test", "images": len(samples)}
    if seen:
        gallery(_by_class(samples, results, per_class, schema), classifier.spec.class_names, out / "gallery.png")
    if classifier.spec.clinical.names:
        record["relevance"] = _mean_relevance(samples, results, schema, classifier.spec.clinical.features)
        by_feature = pd.DataFrame(record["relevance"]).rename_axis("feature")
        write_text(out / "relevance.csv", by_feature.to_csv(float_format="%.4f", lineterminator="\n"))
        relevance_bars(record["relevance"], classifier.spec.class_names, out / "relevance.png")
    if masks and seen:
        _log.info("compare the heat maps with the lesion masks")
        record["masks"] = summarise(_judge(classifier, samples, results, files, config.seed), schema.classes)
    write_json(out / "explain.json", record)
    _log.info("written to %s", out)
    return record


def _has_heatmap(classifier: Classifier, *, masks: bool) -> bool:
    """Whether there are heat maps to show; where there could be and are none, say why.

    :raises UsageError: nothing else was asked for, or there is nothing else.
    """
    spec = classifier.spec
    if not spec.no_heatmap:
        return spec.image is not None
    if masks:
        raise UsageError(f"{spec.no_heatmap} Leave --masks out.")
    if not spec.explains:
        raise UsageError(
            f"{spec.no_heatmap} {spec.fusion} reads no clinical value either, so nothing can be explained."
        )
    _log.info("%s", spec.no_heatmap)
    return False


def _draw(samples: Sequence[Sample], limit: int, seed: int, schema: DataSchema) -> list[Sample]:
    rng = np.random.default_rng(seed)
    drawn: list[Sample] = []
    for label in range(len(schema.classes)):
        own = [sample for sample in samples if sample.label == label]
        drawn += [own[index] for index in rng.permutation(len(own))[:limit]]
    return drawn


def _explain(classifier: Classifier, samples: Sequence[Sample]) -> list[Prediction]:
    results = []
    for sample in progress(samples, "explain", total=len(samples)):
        patient: dict[str, Any] = {name: sample.clinical.get(name) for name in classifier.spec.clinical.names}
        results.append(classifier.predict(sample.path if classifier.spec.image is not None else None, **patient))
    return results


def _by_class(
    samples: Sequence[Sample], results: Sequence[Prediction], per_class: int, schema: DataSchema
) -> dict[str, list[Prediction]]:
    groups: dict[str, list[Prediction]] = {code: [] for code in schema.classes}
    for sample, result in zip(samples, results, strict=True):
        group = groups[schema.classes[sample.label]]
        if len(group) < per_class:
            group.append(result)
    return {code: group for code, group in groups.items() if group}


def _mean_relevance(
    samples: Sequence[Sample], results: Sequence[Prediction], schema: DataSchema, features: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Mean relevance of every encoded feature, by diagnosis; that of an imputed value has a name of its own."""
    # A patient whose sex is unknown has `sex=unknown (counted as male)` in the place of all words.
    known = [(schema.classes[s.label], r.relevance) for s, r in zip(samples, results, strict=True) if r.relevance]
    table = pd.DataFrame([dict(relevance) for _, relevance in known], index=[code for code, _ in known])
    names = [*features, *(name for name in table.columns if name not in features)]
    means = table.reindex(columns=names).fillna(0.0).groupby(level=0).mean().T
    return {code: dict(zip(names, means[code].tolist(), strict=True)) for code in schema.classes if code in means}


def _judge(
    classifier: Classifier, samples: Sequence[Sample], results: Sequence[Prediction], files: Sequence[Path], seed: int
) -> list[Judged]:
    spec = classifier.spec
    assert spec.image is not None
    rng = np.random.default_rng(seed)
    judged = []
    for sample, result, file in progress(list(zip(samples, results, files, strict=True)), "masks", total=len(samples)):
        assert result.explanation is not None and result.explanation.grid is not None
        patient = {name: sample.clinical.get(name) for name in spec.clinical.names}
        column = spec.classes.index(result.label)

        def probability(
            pictures: np.ndarray[Any, np.dtype[np.uint8]],
            patient: dict[str, Any] = patient,
            column: int = column,
        ) -> np.ndarray[Any, np.dtype[np.float32]]:
            arrays = spec.clinical.encode([patient] * len(pictures))
            return classifier.run(pictures, *arrays)["probabilities"][:, column]

        pixels = load_image(sample.path, spec.image.size, spec.image.resample, spec.image.detail)
        mask = read_mask(file, spec.image.size)
        figures = judge(pixels, result.explanation.grid, mask, probability, rng)
        judged.append(Judged(sample.label, result.label == spec.classes[sample.label], figures))
    return judged
