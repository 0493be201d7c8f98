"""`dermedge infer`: predictions of one patient's pictures, printed, with overlays and a report where asked.

Every answer is printed as it comes, before anything else is made of it: what cannot be written then costs no answer,
neither this one nor a later one. It is counted, said at the end, and the exit code is 1.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dermedge_runtime.classifier import Classifier
from dermedge_runtime.commands import command_line
from dermedge_runtime.commands.picture_files import STANDARD_INPUT, PictureFiles, StandardInput, picture_files
from dermedge_runtime.commands.prediction_text import explanation_text, prediction_text, words_text
from dermedge_runtime.commands.shown_names import shown
from dermedge_runtime.errors import DermedgeError, InputRejected, UsageError
from dermedge_runtime.files import refuse_overwriting, write_text
from dermedge_runtime.prediction import Prediction, Rejection

_log = logging.getLogger(__name__)
OVERLAYS = Path("overlays")
"""Where overlays go, in the current folder, unless --overlays says otherwise."""


def infer(
    classifier: Classifier,
    images: Sequence[str],
    clinical: Mapping[str, Any],
    *,
    explain: bool,
    target: str | None,
    overlays: Path | None,
    report: Path | None,
    as_json: bool,
    show: Callable[[str], None] = command_line.show,
) -> int:
    """Predict, print as the answers come, and write what was asked for.

    :param images: picture files, folders of them, and `-` for standard input.
    :param explain: print the explanation in words and the relevance too, and write an overlay of every picture.
    :param target: code of the class to explain.
    :param overlays: folder of the overlays; by default `OVERLAYS`.
    :param report: where to write one self-contained page.
    :param as_json: print one JSON object a line and a picture.
    :param show: prints an answer; raises OSError where it cannot.
    :return: the exit code: 0, 3 where a picture was rejected, 1 where an overlay or the report could not be written.
    :raises UsageError: an explanation asked of a file without one, or an output that cannot be.
    :raises InputRejected: no picture for a model that reads one, or a clinical value that cannot be used.
    """
    files = picture_files(images)
    inputs = [image for image in (*images, *files.found) if image != STANDARD_INPUT]
    _check(classifier, files, explain, target, report)
    outputs = Outputs(classifier, inputs, explain, overlays, report)
    classifier.spec.clinical.encode([clinical])  # a wrong value concerns every picture: say it once
    for sentence in files.left_out:
        _log.warning("%s", sentence)
    results = _results(classifier, images, files, clinical, target)
    return answer_all(classifier, results, outputs, explain=explain, as_json=as_json, show=show)


def answer_all(
    classifier: Classifier,
    results: Iterable[Prediction | Rejection],
    outputs: Outputs,
    *,
    explain: bool,
    as_json: bool,
    show: Callable[[str], None] = command_line.show,
    more: Callable[[Prediction | Rejection], Mapping[str, Any]] = lambda _: {},
) -> int:
    """Print results as they come, and write what was asked for beside them.

    :param more: what the record of a result says besides, in JSON.
    :return: the exit code, as `infer` gives it.
    """
    answered = rejected = False
    for result in results:
        if isinstance(result, Rejection):
            rejected = True
            _log.warning("%s", shown(result.reason))
            if as_json:
                outputs.say(show, _json({**more(result), **result.to_record()}))
            continue
        answered = True
        place = outputs.place(result)
        outputs.say(show, _answer(result, classifier, place, explain, more(result) if as_json else None))
        outputs.write(result, place)
    if answered and not as_json and not outputs.mute:
        where = f"{classifier.provider}, {classifier.provider_version}; {classifier.hardware}"
        outputs.say(show, f"{classifier.name} on {classifier.device} ({where}). {classifier.spec.intended_use}")
    if outputs.failed():
        return DermedgeError.exit_code
    return InputRejected.exit_code if rejected else 0


def _check(classifier: Classifier, files: PictureFiles, explain: bool, target: str | None, report: Path | None) -> None:
    if explain or target is not None or report is not None:
        classifier.require_explanations()
    if target is not None and not explain and report is None:
        raise UsageError("--target chooses the class to explain; ask for --explain or --report too.")
    if report is None:
        return
    if len(files.found) > 1:
        raise UsageError(f"--report makes the page of one picture, got {len(files.found)}. Call it once for each.")
    if report.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--report writes an HTML page; give it a name that ends in .html, got {report}.")


def _answer(
    result: Prediction, classifier: Classifier, place: Path | None, explain: bool, more: Mapping[str, Any] | None
) -> str:
    if more is not None:
        overlay = {"overlay": None if place is None else str(place)} if explain else {}
        return _json({**more, **result.to_record(explain=explain), **overlay})
    text = prediction_text(result, classifier.spec)
    if explain and result.explanation is not None:
        text = "\n".join((text, words_text(result), explanation_text(result.explanation)))
    elif explain and result.no_heatmap:
        text = "\n".join((text, words_text(result)))
    return text


def _json(record: Mapping[str, Any]) -> str:
    return json.dumps(record, allow_nan=False)


def _results(
    classifier: Classifier,
    images: Sequence[str],
    files: PictureFiles,
    clinical: Mapping[str, Any],
    target: str | None,
) -> Iterator[Prediction | Rejection]:
    for folder, reason in files.without:
        yield Rejection(folder, reason)
    sources: list[Any] = [StandardInput() if name == STANDARD_INPUT else name for name in files.found]
    if len(sources) > 1:
        yield from classifier.predict_each(sources, clinical, target=target)
    elif not sources and not images:
        yield classifier.predict(target=target, **clinical)
    elif sources:  # alone it needs no threads, whose import takes 5 ms
        try:
            yield classifier.predict(sources[0], target=target, **clinical)
        except InputRejected as error:
            yield Rejection(files.found[0], str(error))


class Outputs:
    """What is written beside the answers, and what of it could not be."""

    def __init__(
        self,
        classifier: Classifier,
        inputs: Sequence[str],
        explain: bool,
        overlays: Path | None,
        report: Path | None,
    ) -> None:
        """Check where everything goes, before anything is computed.

        :raises UsageError: an output that is an input, or a folder of overlays that is a file.
        """
        self._spec, self._report = classifier.spec, report
        self._failures: dict[str, list[str]] = {}
        self.mute = False
        self._overlays = None
        if overlays is not None and not explain:
            raise UsageError("--overlays says where --explain writes; ask for --explain too.")
        if report is not None:
            refuse_overwriting(report, inputs)
        if explain:
            from .overlay_files import OverlayFiles

            folder = overlays or OVERLAYS
            if folder.exists() and not folder.is_dir():
                raise UsageError(f"Overlays go into a folder, and {folder} is none; name another with --overlays.")
            refuse_overwriting(folder, inputs)
            self._overlays = OverlayFiles(folder, inputs)

    def say(self, show: Callable[[str], None], text: str) -> None:
        """Print; what cannot be printed ends everything, unless a picture or page was asked for too.

        :raises OSError: standard output is closed or full, and nothing else was asked for.
        """
        try:
            show(text)
        except OSError as error:
            if self._overlays is None and self._report is None:
                raise
            self.mute = True
            if isinstance(error, BrokenPipeError):  # the reader has seen enough, but the pictures are still wanted
                command_line.print_into_nothing()
            else:
                self._fail("answer", error)

    def place(self, result: Prediction) -> Path | None:
        """Find where a picture's overlay will go; None for nowhere."""
        return self.placed(result, None)

    def placed(self, result: Prediction, relative: str | None) -> Path | None:
        """Find where an overlay will go.

        :param relative: its path below the folder, where it is not the picture's name that it is made from.
        """
        if self._overlays is None or not result.has_heatmap:
            return None
        with self.counted("heat map"):  # whatever goes wrong, the answer comes first
            return self._overlays.place(result.source, relative)
        return None

    def write(self, result: Prediction, place: Path | None) -> None:
        """Write one picture's overlay and report; what fails is counted."""
        if self._overlays is not None and place is not None:
            with self.counted("heat map"):
                self._overlays.write(result, place)
                _log.info("heat map of %s written to %s", shown(result.source), shown(str(place)))
        if self._report is not None:
            with self.counted("report"):
                from .infer_report import html_report

                write_text(self._report, html_report(result, self._spec))
                _log.info("report written to %s", shown(str(self._report)))

    @contextmanager
    def counted(self, what: str) -> Iterator[None]:
        """Count whatever the body raises as something that could not be written: the next answers come first."""
        try:
            yield
        except Exception as error:
            self._fail(what, error)

    def _fail(self, what: str, error: Exception) -> None:
        reason = f"{error.strerror or error}" if isinstance(error, OSError) else str(error) or type(error).__name__
        if isinstance(error, OSError) and error.filename:
            reason = f"{error.filename}: {reason}"
        self._failures.setdefault(what, []).append(shown(reason.rstrip(".")))

    def failed(self) -> bool:
        """Say what could not be written, and whether there was any such thing."""
        for what, reasons in self._failures.items():
            if len(reasons) == 1:
                _log.error("the %s could not be written: %s.", what, reasons[0])
            else:
                _log.error("%d %ss could not be written, the first: %s.", len(reasons), what, reasons[0])
        return bool(self._failures)
