"""`dermedge infer`: predictions of one patient's pictures, printed, with overlays and a report where asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dermedge_runtime.classifier import Classifier
from dermedge_runtime.errors import InputRejected, UsageError
from dermedge_runtime.files import atomic_path, write_text
from dermedge_runtime.prediction import Prediction, Rejection

from .tables import explanation_text, prediction_text


def infer(
    classifier: Classifier,
    images: Sequence[str],
    clinical: Mapping[str, Any],
    *,
    explain: bool,
    target: str | None,
    report: Path | None,
    as_json: bool,
    show: Callable[[str], None],
    log: Callable[[str], None],
) -> int:
    """Predict, print, and write what was asked for.

    :param explain: print the relevance too, and write an overlay beside every picture.
    :param report: where to write one self-contained page.
    :return: the exit code: 0, or 3 where a picture of several was rejected.
    :raises UsageError: an explanation asked of a file without one, or a report of several pictures.
    :raises InputRejected: the only picture, or a clinical value, cannot be used.
    """
    _check(classifier, images, explain=explain or target is not None, report=report)
    results = _predict(classifier, images, clinical, target)
    if report is not None and isinstance(results[0], Prediction):
        from .report import html_report

        write_text(report, html_report(results[0], classifier.spec, clinical))
        log(f"report written to {report}")
    written = {r.source: str(_write_overlay(r)) for r in results if explain and _has_heatmap(r)}
    for source, path in written.items():
        log(f"heat map of {source} written to {path}")
    if as_json:
        records = [result.to_record(explain=explain) for result in results]
        show(json.dumps(records if len(images) > 1 else records[0], indent=2))
    for result in results:
        if isinstance(result, Rejection):
            log(f"dermedge: {result.reason}")
        elif not as_json:
            show(prediction_text(result, classifier.spec))
            if explain and result.explanation is not None:
                show(explanation_text(result.explanation))
    if not as_json:
        show(f"{classifier.name} on {classifier.device} ({classifier.provider}). {classifier.spec.intended_use}")
    return InputRejected.exit_code if any(isinstance(result, Rejection) for result in results) else 0


def _check(classifier: Classifier, images: Sequence[str], *, explain: bool, report: Path | None) -> None:
    if (explain or report is not None) and not classifier.spec.explains:
        raise UsageError(
            f"{classifier.name} was exported without explanations. Export it again without --no-explanations."
        )
    if report is not None and len(images) > 1:
        raise UsageError(f"--report makes the page of one picture, got {len(images)}. Call it once for each.")


def _predict(
    classifier: Classifier, images: Sequence[str], clinical: Mapping[str, Any], target: str | None
) -> list[Prediction | Rejection]:
    if len(images) <= 1:
        return [classifier.predict(*images, target=target, **clinical)]
    classifier.spec.clinical.encode([clinical])  # a wrong value concerns every picture: say it once
    return classifier.predict_many(images, clinical, target=target)


def _has_heatmap(result: Prediction | Rejection) -> bool:
    return isinstance(result, Prediction) and result.heatmap is not None


def _write_overlay(result: Prediction | Rejection) -> Path:
    assert isinstance(result, Prediction)
    source = Path(result.source)
    target = source.with_name(f"{source.stem}-heatmap.png")
    with atomic_path(target) as temporary:
        result.overlay().save(temporary, format="PNG")
    return target
