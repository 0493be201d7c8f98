"""Compare the answers of a file for pictures of any size with the runtime's, which resizes with Pillow.

The file gets the whole photographs, upright and in RGB, one at a time, in plain ONNX Runtime on the CPU: what a client
in another language does. The runtime gets their files. What differs is the graph's own resizing, and that the runtime
decodes large JPEG files at a fraction of their size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from dermedge.data.samples import Sample
from dermedge.progress import progress
from dermedge.training.predictions import runtime_probabilities
from dermedge_export.int8.calibration import choose, model_inputs
from dermedge_runtime import Classifier
from dermedge_runtime.devices.usable_cpus import usable_cpus
from dermedge_runtime.inputs.image import upright_rgb
from dermedge_runtime.model.description import ModelSpec

_PHOTOGRAPHS = 200
"""How many are compared."""


@dataclass(frozen=True, slots=True)
class OwnResizing:
    """Comparison of the graph's own resizing with the runtime's, by the answers."""

    images: int
    agreement: float
    """Share of photographs with the same class."""
    largest_probability_change: float

    def summary(self) -> str:
        """Give the comparison in a few words."""
        return (
            f"resizing in the graph: {self.agreement:.2%} of {self.images} images get the same class, largest"
            f" probability change {self.largest_probability_change:.2g}"
        )


def compare_own_resizing(classifier: Classifier, path: Path, samples: Sequence[Sample], seed: int) -> OwnResizing:
    """Compare both ways for up to 200 of the photographs, the diagnoses in turn.

    :param classifier: the file, open on the CPU.
    :param path: the same file.
    :raises InputRejected: a picture that cannot be read.
    """
    chosen = choose(samples, _PHOTOGRAPHS, seed)
    found = whole_picture_probabilities(path, classifier.spec, chosen)
    expected = runtime_probabilities(classifier, chosen)
    return OwnResizing(
        images=len(chosen),
        agreement=float(np.mean(found.argmax(axis=1) == expected.argmax(axis=1))),
        largest_probability_change=float(np.abs(found - expected).max()),
    )


def whole_picture_probabilities(path: Path, spec: ModelSpec, samples: Sequence[Sample]) -> NDArray[np.float32]:
    """Give a file whole photographs, one at a time; float32 [N, classes].

    :param path: a file for pictures of any size.
    :raises InputRejected: a picture that cannot be read.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cpus()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    rows = []
    for sample in progress(samples, f"resize in {path.name}"):
        inputs = {**model_inputs([sample], spec), "image": np.asarray(upright_rgb(sample.path))[None]}
        rows.append(session.run(["probabilities"], inputs)[0][0])
    return np.array(rows, dtype=np.float32)
