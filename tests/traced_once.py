"""A network is traced once in a test run, however often, and by however many workers, it is exported.

Tracing takes seconds, and most tests of the export ask what becomes of the graph. Who tests the tracing itself calls
`to_onnx`, and does not come by here.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import pytest
from made_once import SharedFolder

from dermedge.models.classifier import FusedClassifier
from dermedge_export import pipeline
from dermedge_export.graph.ig_steps import DEFAULT_STEPS
from dermedge_export.graph.to_onnx import to_onnx
from dermedge_runtime.inputs.clinical import ClinicalSchema


class TracedOnce:
    """Stands in the place of `to_onnx`; gives a graph of one's own of the same network, weights and settings."""

    def __init__(self, shared: SharedFolder) -> None:
        self._shared = shared

    def __call__(
        self,
        model: FusedClassifier,
        schema: ClinicalSchema,
        image_size: int,
        *,
        explain: bool = True,
        ig_steps: int = DEFAULT_STEPS,
    ) -> onnx.ModelProto:
        told = hashlib.sha256(repr((model, schema, image_size, explain, ig_steps)).encode())
        for name, tensor in model.state_dict().items():
            told.update(name.encode() + tensor.detach().numpy().tobytes())

        def trace(path: Path) -> None:
            onnx.save(to_onnx(model, schema, image_size, explain=explain, ig_steps=ig_steps), path)

        return onnx.load(self._shared.once(f"traced-{told.hexdigest()[:32]}.onnx", trace))


@contextmanager
def tracing_once(shared: SharedFolder) -> Iterator[None]:
    """Make exports take the graph of a network that was traced before from there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "to_onnx", TracedOnce(shared))
        yield
