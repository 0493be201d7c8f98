"""A branch that ends in capsules: the exported graph computes what torch does, and all say why there is no heat map."""

from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from batch_reader import BatchReader
from export_networks import open_session
from PIL import Image
from torch.nn import functional

from dermedge.config import TrainConfig
from dermedge.data.ham10000 import CLASSES, HAM10000
from dermedge.models.classifier import FusedClassifier
from dermedge.models.ensemble import Ensemble
from dermedge_export.description import NO_HEATMAP, _without_heatmap, write_described
from dermedge_export.fp16.to_float16 import compute_trunk_in_half
from dermedge_export.fp16.value_ranges import measure_half_ranges
from dermedge_export.graph.explain_graph import ExplainedHead
from dermedge_export.graph.layers import trunk_layers
from dermedge_export.graph.to_onnx import output_names, to_onnx
from dermedge_export.int8.quantize import packed, quantize
from dermedge_runtime import Classifier
from dermedge_runtime.commands.infer import infer
from dermedge_runtime.errors import DermedgeError, ModelFileError, UsageError
from dermedge_runtime.inputs.clinical import ClinicalSchema
from dermedge_runtime.model.description import ImageSpec, ModelSpec

SIZE = 48
SCHEMA = HAM10000.clinical("grouped")
REASON = NO_HEATMAP.format(branch="fixcaps_ds")


@cache
def network(fusion: str = "concat") -> FusedClassifier:
    """A network whose statistics are those of the pictures, so that capsules are long enough to matter."""
    torch.manual_seed(0)
    model = FusedClassifier(fusion, SCHEMA, 7, image_branch="fixcaps_ds").train()
    with torch.no_grad():
        for seed in range(12):
            inputs = given(8, seed)
            model(scaled(inputs), torch.from_numpy(inputs["numeric"]), torch.from_numpy(inputs["categorical"]))
        model.eval().head.classifier[-1].weight.mul_(8)
    return model


@cache
def traced() -> bytes:
    """The one export of picture and patient that the tests share."""
    content: bytes = to_onnx(network(), SCHEMA, SIZE, ig_steps=4).SerializeToString()
    return content


def given(batch: int, seed: int = 0, target: int = -1) -> dict[str, np.ndarray]:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(batch, 3, 6, 6, generator=generator)
    pictures = functional.interpolate(coarse, (SIZE, SIZE), mode="bilinear").mul(255).to(torch.uint8)
    places = torch.randint(-1, 2, (batch, 2), generator=generator).to(torch.int32)
    return {
        "image": pictures.permute(0, 2, 3, 1).contiguous().numpy(),
        "numeric": torch.randint(0, 90, (batch, 1), generator=generator).float().numpy(),
        "categorical": places.numpy(),
        "target": np.full(batch, target, np.int32),
    }


def scaled(inputs: dict[str, np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(inputs["image"]).permute(0, 3, 1, 2).float() / 255


def answers(proto: onnx.ModelProto, batch: int = 3, target: int = -1) -> dict[str, np.ndarray]:
    session = open_session(proto)
    names = [value.name for value in session.get_outputs()]
    wanted = {value.name for value in session.get_inputs()}
    fed = {name: array for name, array in given(batch, 99, target).items() if name in wanted}
    return dict(zip(names, session.run(names, fed), strict=True))


def file_of(folder: Path, proto: onnx.ModelProto, fusion: str) -> Path:
    model = network(fusion)
    spec = ModelSpec(
        classes=CLASSES,
        class_names=HAM10000.class_names,
        fusion=fusion,
        precision="fp32",
        outputs=output_names(model.modalities, explain=True, heatmap=model.has_heatmap),
        image=ImageSpec(SIZE, "bilinear"),
        clinical=SCHEMA if model.modalities.clinical else ClinicalSchema(),
        no_heatmap=REASON,
    )
    path = folder / f"{fusion}.onnx"
    write_described(proto, spec, path)
    return path


def test_the_graph_computes_and_explains_as_torch_does() -> None:
    model, proto = network(), onnx.load_from_string(traced())
    onnx.checker.check_model(proto, full_check=True)
    assert [value.name for value in proto.graph.output] == ["probabilities", "relevance", "attribution"]
    for batch, target in ((1, -1), (3, 4)):
        inputs, found = given(batch, 99, target), answers(proto, batch, target)
        with torch.no_grad():
            pooled = model.see(scaled(inputs))
            values = model.encode(torch.from_numpy(inputs["numeric"]), torch.from_numpy(inputs["categorical"]))
        logits, _, attribution = ExplainedHead(model.head, 4)(pooled, values, torch.from_numpy(inputs["target"]))
        expected = torch.softmax(logits, 1).detach().numpy()
        np.testing.assert_allclose(found["probabilities"], expected, atol=1e-4)
        np.testing.assert_allclose(found["attribution"], attribution.detach().numpy(), atol=1e-4)
    assert np.ptp(answers(proto, 6)["probabilities"], axis=0).max() > 0.02, "the pictures matter"


def test_the_graph_holds_what_tensorrt_takes() -> None:
    proto = onnx.load_from_string(traced())
    kinds = {node.op_type for node in proto.graph.node}
    assert kinds.isdisjoint({"BatchNormalization", "GatherND", "ScatterND", "ScatterElements", "NonZero"})
    assert kinds.isdisjoint({"TopK", "Loop", "If", "Range", "Einsum", "MaxPool"})
    constant = {tensor.name for tensor in proto.graph.initializer}
    gathers = [node for node in proto.graph.node if node.op_type == "Gather" and "index_select" in node.output[0]]
    assert len(gathers) == 2 and all(node.input[1] in constant for node in gathers)
    assert "large.0" in trunk_layers(proto) and "primary" in trunk_layers(proto)


@pytest.mark.parametrize("precision", ["fp16", pytest.param("int8", marks=pytest.mark.exhaustive)])
def test_other_precisions_follow(precision: str) -> None:
    proto = onnx.load_from_string(traced())
    expected = answers(proto, 6)["probabilities"]
    if precision == "fp16":
        assert not measure_half_ranges(proto, [given(8)]).kept
        compute_trunk_in_half(proto)
    else:
        proto = packed(quantize(proto, BatchReader([given(8), given(8, 1)]), "cpu"), "cpu")
    changed = np.abs(answers(proto, 6)["probabilities"] - expected).max()
    assert changed < (0.005 if precision == "fp16" else 0.1)


def test_the_runtime_answers_and_says_why_there_is_no_heat_map(tmp_path: Path, caplog) -> None:
    classifier = Classifier(file_of(tmp_path, onnx.load_from_string(traced()), "concat"), "cpu")
    assert classifier.spec.no_heatmap == REASON
    picture = given(1)["image"][0]
    result = classifier.predict(picture, age=50, sex="male", target="mel")
    assert not result.has_heatmap and result.heatmap is None
    assert result.relevance is not None and sum(result.relevance.values()) > 0
    assert result.explanation_text is not None and result.explanation_text.startswith(REASON)
    with pytest.raises(DermedgeError, match=r"gave no heat map for .*ends in capsules"):
        result.overlay()


def test_a_model_that_can_explain_nothing_says_so_and_answers(tmp_path: Path, capsys) -> None:
    proto = to_onnx(network("image_only"), SCHEMA, SIZE)
    assert [value.name for value in proto.graph.input] == ["image"]
    classifier = Classifier(file_of(tmp_path, proto, "image_only"), "cpu")
    picture, page = tmp_path / "lesion.png", tmp_path / "page.html"
    Image.fromarray(given(1)["image"][0]).save(picture)
    wanted = {"target": None, "overlays": tmp_path / "overlays", "report": page, "as_json": False}
    assert infer(classifier, [str(picture)], {}, explain=True, **wanted) == 0
    assert REASON in capsys.readouterr().out and not (tmp_path / "overlays").exists()
    assert "ends in capsules" in page.read_text(encoding="utf-8")
    with pytest.raises(UsageError, match=r"explains no class\. There is no heat map"):
        classifier.predict(picture, target="mel")


def test_what_is_said_fits_what_the_file_gives() -> None:
    capsules = TrainConfig(data="/somewhere", fusion="image_only", image_branch="fixcaps_ds")
    other = TrainConfig(data="/somewhere", fusion="image_only")
    blind = TrainConfig(data="/somewhere", fusion="clinical_only", image_branch="fixcaps_ds")
    assert _without_heatmap([other, capsules, blind]) == ["fixcaps_ds"] and _without_heatmap([other, blind]) == []
    seen = FusedClassifier("image_only", SCHEMA, 7)
    both = Ensemble([seen, network("image_only")], [SIZE, SIZE])
    assert not both.has_heatmap and Ensemble([seen, seen], [SIZE, SIZE]).has_heatmap
    image = ImageSpec(SIZE, "bilinear")
    classes = {"classes": CLASSES, "class_names": HAM10000.class_names, "fusion": "image_only"}
    spec = ModelSpec(**classes, precision="fp32", image=image, clinical=ClinicalSchema(), no_heatmap=REASON)
    assert ModelSpec.from_json(spec.to_json(), "a file").no_heatmap == REASON
    with pytest.raises(ModelFileError, match="a reason why there is no heat map"):
        ModelSpec.from_json(spec.to_json().replace('["probabilities"]', '["heatmap","probabilities"]'), "a file")
