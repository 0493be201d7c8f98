"""Every fusion in turn, and its exported graph."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from export_networks import SIZE, fusion_cases, in_precision, random_classifier
from made_once import SharedFolder

from dermedge.data.ham10000 import HAM10000
from dermedge_export.graph.to_onnx import to_onnx

Traced = Callable[[str], onnx.ModelProto]
Converted = Callable[..., onnx.ModelProto]


@pytest.fixture(params=fusion_cases())
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


@pytest.fixture(scope="session")
def converted(traced: Traced, shared_folder: SharedFolder) -> Converted:
    """Give the graph of `traced` in a precision; INT8 takes seconds and is made once."""

    def graph(fusion: str, precision: str, flavour: str = "cpu") -> onnx.ModelProto:
        def quantise(path: Path) -> None:
            onnx.save(in_precision(traced(fusion), precision, flavour), path)

        if precision == "int8":
            return onnx.load(shared_folder.once(f"{fusion}-int8-{flavour}.onnx", quantise))
        return in_precision(traced(fusion), precision)

    return graph
