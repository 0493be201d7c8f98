"""Every fusion in turn, and its exported graph."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from export_networks import SIZE, random_classifier
from made_once import SharedFolder

from dermedge.data.ham10000 import HAM10000
from dermedge.models.fusion import FUSIONS
from dermedge_export.graph.to_onnx import to_onnx

Traced = Callable[[str], onnx.ModelProto]


@pytest.fixture(params=list(FUSIONS))
def fusion(request: pytest.FixtureRequest) -> str:
    """Every fusion of the project in turn."""
    return str(request.param)


@pytest.fixture(scope="session")
def traced(shared_folder: SharedFolder) -> Traced:
    """Give the exported graph of `random_classifier(fusion)`, with explanations; tracing one takes seconds."""

    def graph(fusion: str) -> onnx.ModelProto:
        def trace(path: Path) -> None:
            onnx.save(to_onnx(random_classifier(fusion), HAM10000.clinical("grouped"), SIZE), path)

        return onnx.load(shared_folder.once(f"{fusion}.onnx", trace))

    return graph
