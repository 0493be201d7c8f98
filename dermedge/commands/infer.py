"""`dermedge infer`: predictions of one patient's pictures, printed, with overlays and a report where asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dermedge.picture_files import OVERLAY_SUFFIX, picture_files
from dermedge.tables import explanation_text, prediction_text
from dermedge_runtime.classifier import Classifier
from dermedge_runtime.errors import InputRejected, UsageError
from dermedge_runtime.files import atomic_path, write_text
from dermedge_runtime.prediction import Prediction, Rejection


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
    """Predict, print as the answers come, and write what was asked for.

    :param images: picture files, and folders of them.
    :param explain: print the relevance too, and write an overlay beside every picture.
    :param target: code of the class to explain.
    :param report: where to write one self-contained page.
    :return: the exit code: 0, or 3 where a picture of several was rejected.
    :raises UsageError: an explanation asked of a file without one, or a report that cannot be.
    :raises InputRejected: the only picture, or a clinical value, cannot be used.
    """
    as_list = len(images) > 1 or any(Path(image).is_dir() for image in images)
    images = picture_files(images)
    _check(classifier, images, explain, target, report)
    results = []
    for result in _predict(classifier, images, clinical, target, as_list):
        results.append(result)
        if isinstance(result, Rejection):
            log(f"dermedge: {result.reason}")
        elif not as_json:
            show(prediction_text(result, classifier.spec))
            if explain and result.explanation is not None:
                show(explanation_text(result.explanation))
    if as_json:
        records = [result.to_record(explain=explain) for result in results]
        show(json.dumps(records if as_list else records[0], indent=2, allow_nan=False))
    else:
        where = f"{classifier.provider}, {classifier.provider_version}; {classifier.hardware}"
        show(f"{classifier.name} on {classifier.device} ({where}). {classifier.spec.intended_use}")
    # Only now: a picture or page that cannot be written must not cost the answer.
    _write(classifier, results, clinical, explain, report, log)
    return InputRejected.exit_code if any(isinstance(result, Rejection) for result in results) else 0


def _check(
    classifier: Classifier, images: Sequence[str], explain: bool, target: str | None, report: Path | None
) -> None:
    if explain or target is not None or report is not None:
        classifier.require_explanations()
    if target is not None and not explain and report is None:
        raise UsageError("--target chooses the class to explain; ask for --explain or --report too.")
    if report is None:
        return
    if len(images) > 1:
        raise UsageError(f"--report makes the page of one picture, got {len(images)}. Call it once for each.")
    if report.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--report writes an HTML page; give it a name that ends in .html, got {report}.")


def _predict(
    classifier: Classifier, images: Sequence[str], clinical: Mapping[str, Any], target: str | None, many: bool
) -> Iterator[Prediction | Rejection]:
    if not many:
        yield classifier.predict(*images, target=target, **clinical)
        return
    classifier.spec.clinical.encode([clinical])  # a wrong value concerns every picture: say it once
    yield from classifier.predict_each(images, clinical, target=target)


def _write(
    classifier: Classifier,
    results: Sequence[Prediction | Rejection],
    clinical: Mapping[str, Any],
    explain: bool,
    report: Path | None,
    log: Callable[[str], None],
) -> None:
    for result in results:
        if not isinstance(result, Prediction):
            continue
        if explain and result.has_heatmap:
            log(f"heat map of {result.source} written to {_write_overlay(result)}")
        if report is not None:
            from .infer_report import html_report

            write_text(report, html_report(result, classifier.spec, clinical))
            log(f"report written to {report}")


def _write_overlay(result: Prediction) -> Path:
    source = Path(result.source)
    target = source.with_name(f"{source.name}{OVERLAY_SUFFIX}")
    with atomic_path(target) as temporary:
        result.overlay().save(temporary, format="PNG")
    return target
