"""Every fusion in turn, and the model files of one tiny trained run."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from export_networks import SIZE, random_classifier
from made_once import SharedFolder

from dermedge.data.ham10000 import read_samples, schema_of
from dermedge.models.fusion import FUSIONS
from dermedge_export.check.parity import Limits
from dermedge_export.graph.to_onnx import to_onnx
from dermedge_export.pipeline import PRECISIONS, export_model

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
            onnx.save(to_onnx(random_classifier(fusion), schema_of("grouped"), SIZE), path)

        return onnx.load(shared_folder.once(f"{fusion}.onnx", trace))

    return graph


@pytest.fixture(scope="session")
def exported(trained_run, synthetic_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """Reports of the three precisions of the tiny run, by precision."""
    folder = tmp_path_factory.mktemp("models")
    samples = read_samples(synthetic_data)
    loose = Limits(agreement=0, balanced_accuracy_drop=1)  # two epochs on a handful of pictures decide by a hair
    return {
        precision: export_model(
            trained_run, samples, precision, folder / f"cross_attention-{precision}.onnx", limits=loose
        )
        for precision in PRECISIONS
    }
