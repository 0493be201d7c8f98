"""Many pictures, printed as their answers come: the same text and JSON as of one patient's pictures."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import Any

from dermedge_runtime.classifier import Classifier
from dermedge_runtime.commands import command_line
from dermedge_runtime.commands.infer import Outputs, answer_all
from dermedge_runtime.prediction import Prediction, Rejection

from .answers import Answer, answers
from .census import Census, take_census
from .job import BatchJob
from .outputs import write_report
from .summary import Summary


def print_batch(
    job: BatchJob,
    classifier: Classifier,
    *,
    as_json: bool = False,
    show: Callable[[str], None] = command_line.show,
) -> int:
    """Answer all pictures of a job, and print each answer as it comes.

    :return: the exit code: 0, 3 where a picture was rejected, 1 where something beside the answers cannot be written.
    :raises UsageError: options that contradict each other.
    :raises InputRejected: no picture, or a table that cannot be used.
    """
    job.check(classifier)
    census = take_census(job, classifier)
    pictures = list(census.pictures()) if census.files == 1 else []
    alone = len(pictures) == 1
    outputs = _PrintedOutputs(classifier, job, alone)
    summary = Summary(classifier.spec)
    with closing(_results(job, classifier, census, outputs, summary)) as results:
        code = answer_all(
            classifier, results, outputs, explain=job.explain, as_json=as_json, show=show, more=outputs.more
        )
    if job.report is not None and not alone:
        from .summary_page import write_summary_page

        write_summary_page(job.report, summary, classifier)
    return code


def _results(
    job: BatchJob, classifier: Classifier, census: Census, outputs: _PrintedOutputs, summary: Summary
) -> Generator[Prediction | Rejection, None, None]:
    columns = job.result_columns(classifier)
    coming = answers(census.pictures(), classifier, target=job.target, explain=job.explain, workers=job.workers)
    for answer in coming:
        outputs.answer = answer
        if job.report is not None:
            summary.add(answer.row(columns))
        yield answer.result


class _PrintedOutputs(Outputs):
    """Overlays, reports and what else is said of the picture that is printed just now."""

    def __init__(self, classifier: Classifier, job: BatchJob, alone: bool) -> None:
        super().__init__(
            classifier,
            [name for name in job.inputs if not Path(name).is_dir()],
            job.explain,
            job.overlays,
            job.report if alone else None,
        )
        self._fhir, self._with_id = job.fhir, job.id is not None
        self.answer: Answer | None = None

    def more(self, _: Prediction | Rejection) -> dict[str, Any]:
        """Give what a record says beside the answer: the id, and of a file with several pictures which one."""
        assert self.answer is not None
        said: dict[str, Any] = {"id": self.answer.picture.id} if self._with_id else {}
        if self.answer.picture.frame is not None:
            said["frame"] = self.answer.picture.frame
        return said

    def place(self, result: Prediction) -> Path | None:
        """Find where a picture's overlay will go, below the folder as the picture lies below its own."""
        assert self.answer is not None
        return self.placed(result, self.answer.picture.mirrored)

    def write(self, result: Prediction, place: Path | None) -> None:
        """Write what belongs to an answer; what fails is counted."""
        super().write(result, place)
        if self._fhir is not None and self.answer is not None:
            with self.counted("FHIR report"):
                write_report(self._fhir, self.answer)
