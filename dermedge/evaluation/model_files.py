"""The model files of a run, as evaluation and explanation need them: those that lie there, or a temporary one."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dermedge.training.run import Run
from dermedge.training.run_names import run_name
from dermedge_export.description import describe
from dermedge_export.pipeline import write_unmeasured
from dermedge_runtime.model.exported_models import models_of

_log = logging.getLogger(__name__)


@contextmanager
def model_files(run: Run, models: Path, *, precision: str | None = None) -> Iterator[list[Path]]:
    """Give the model files made from a run's weights; where there is none, a temporary FP32 file.

    :param models: folder that is searched.
    :param precision: only files of this precision, and only those with explanations.
    """
    found = models_of(run.weights_sha256, models, precision)
    if found:
        yield found
        return
    describe(run, "fp32", explain=precision is not None)  # refuses a run that no file can be made of
    kind = "model file" if precision is None else f"explained {precision.upper()} file"
    _log.info("no %s of this run in %s: a temporary FP32 file is made", kind, models)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{run_name(run.config.image_branch, run.config.fusion)}-fp32.onnx"
        # Figures are of probabilities, and tracing explanations takes longer than tracing the network.
        write_unmeasured(run, path, explain=precision is not None)
        yield [path]
