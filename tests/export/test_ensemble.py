"""The one file of an ensemble: mean probabilities, explanations as documented, INT8, calibration."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from ensembles import random_run
from needs_tensorrt import needs_tensorrt

import dermedge
from dermedge.data.ham10000 import read_samples
from dermedge.data.synthetic import write_dataset
from dermedge.evaluation.card import model_card
from dermedge.evaluation.evaluate import evaluate_run
from dermedge.models.resizing import resizing_matrix
from dermedge.training.members import recorded_members
from dermedge.training.predictions import TRAINED_WEIGHTS, runtime_probabilities, torch_logits, trained_networks
from dermedge.training.run import Run
from dermedge_export.check.parity import Limits
from dermedge_export.decision.asked import Asked
from dermedge_export.decision.last_layer import rescale
from dermedge_export.description import write_described
from dermedge_export.graph.layers import feature_maps, trunk_layers
from dermedge_export.int8.calibration import model_inputs
from dermedge_export.pipeline import export_model, write_unmeasured
from dermedge_runtime import Classifier
from dermedge_runtime.model.model_file import read_model_file

pytestmark = pytest.mark.usefixtures("traced_once")

LOOSE = Limits(agreement=0, balanced_accuracy_drop=1)
MODEST = Asked(sensitivity=0.8, coverage=0.7)
FUSIONS = {"a": ("concat", 96), "b": ("image_only", 64), "c": ("clinical_only", 32)}


@pytest.fixture(scope="module")
def many(shared_folder) -> Path:
    """280 lesions, 40 of each class."""
    return shared_folder.once("many lesions", lambda folder: write_dataset(folder, lesions_per_class=40))


@pytest.fixture(scope="module")
def run(many: Path, shared_folder) -> Run:
    """An ensemble of three runs: both modalities at 96 px, the picture alone at 64 px, the values alone."""

    def make(folder: Path) -> None:
        samples = read_samples(many)
        runs = [
            random_run(folder / name, many, samples, fusion, image_size=size, seed=seed)
            for seed, (name, (fusion, size)) in enumerate(FUSIONS.items())
        ]
        dermedge.ensemble(runs, run=folder / "e")

    return Run.open(shared_folder.once("ensemble", make) / "e")


@pytest.fixture(scope="module")
def plain(traced_once, run: Run, tmp_path_factory) -> Path:
    """FP32, neither calibrated nor compared."""
    target: Path = tmp_path_factory.mktemp("ensemble") / "e-fp32.onnx"
    write_unmeasured(run, target)
    return target


def own_logits(run: Run, samples) -> list[np.ndarray]:
    """Scores of the runs that the ensemble was made of, over their temperatures; b's own pictures are smaller."""
    folders = [run.path.parent / name for name in FUSIONS]
    return [
        torch_logits(Run.open(folder), samples) / member.record["temperature"]
        for folder, member in zip(folders, recorded_members(run), strict=True)
    ]


def test_its_probabilities_are_the_mean_of_its_members(run: Run, plain: Path, many: Path):
    samples = read_samples(many)[:9]
    found = runtime_probabilities(Classifier(plain, "cpu"), samples)
    networks = trained_networks(run)
    inputs = {name: torch.from_numpy(each) for name, each in model_inputs(samples, read_model_file(plain).spec).items()}
    image = inputs["image"].permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        each = [torch.softmax(part(image, inputs["numeric"], inputs["categorical"]), 1) for part in networks.parts]
    assert found == pytest.approx(torch.stack(each).mean(dim=0).numpy(), abs=1e-5)
    for index in (0, 2):  # those whose pictures are not shrunk
        own = torch.softmax(torch.from_numpy(own_logits(run, samples)[index]), dim=1)
        assert each[index].numpy() == pytest.approx(own.numpy(), abs=1e-5)


def answers(path: Path, inputs: dict, target: int) -> dict[str, np.ndarray]:
    """All outputs of a file."""
    return Classifier(path, "cpu").run(inputs["image"], inputs["numeric"], inputs["categorical"], target)


def test_its_explanations_are_what_the_documentation_says(run: Run, plain: Path, many: Path):
    inputs = model_inputs(read_samples(many)[:3], read_model_file(plain).spec)
    networks, given = trained_networks(run), {name: torch.from_numpy(each) for name, each in inputs.items()}
    image = given["image"].permute(0, 3, 1, 2).float() / 255
    encoded = networks.encoder(given["numeric"], given["categorical"]).detach()

    def own_maps(part, target: int) -> tuple[np.ndarray, np.ndarray]:
        network = part.network
        seen = network.feature_map(part.shrinking(image)).detach().requires_grad_()
        logits = network.head(seen.mean(dim=(2, 3)), None if network.encoder is None else encoded)
        (gradient,) = torch.autograd.grad(logits[:, target].sum(), seen)
        cam = torch.relu((gradient.mean(dim=(2, 3), keepdim=True) * seen).sum(dim=1)).detach().numpy()
        weights = torch.softmax(logits, dim=1)[:, target].detach().numpy()
        return cam / np.maximum(cam.max(axis=(1, 2), keepdims=True), 1e-12), weights[:, None, None]

    maps = {target: [own_maps(part, target) for part in networks.parts[:2]] for target in range(7)}
    # A class that something speaks for in both members; random weights have some without.
    target = next(target for target, two in maps.items() if all(each.max() == 1 for each, _ in two))
    (one, its), (other, others) = maps[target]
    larger = resizing_matrix(other.shape[1], one.shape[1]).numpy()
    mean = its * one + others * (larger @ other @ larger.T)
    found = answers(plain, inputs, target)
    assert found["heatmap"].shape == (3, 3, 3) and found["heatmap"].std() > 0.1
    assert found["heatmap"] == pytest.approx(mean / mean.max(axis=(1, 2), keepdims=True), abs=1e-4)

    def score(values: torch.Tensor) -> torch.Tensor:
        each = []
        for part in networks.parts:
            network = part.network
            pooled = None if network.trunk is None else network.feature_map(part.shrinking(image)).mean(dim=(2, 3))
            each.append(torch.softmax(network.head(pooled, None if network.encoder is None else values), dim=1))
        return torch.log(torch.stack(each).mean(dim=0))[:, target]

    steps, slopes = 20, torch.zeros_like(encoded)
    for step in range(steps):
        point = (encoded * (step + 0.5) / steps).requires_grad_()
        slopes += torch.autograd.grad(score(point).sum(), point)[0] / steps
    expected = (encoded * slopes).numpy()
    assert found["attribution"] == pytest.approx(expected, abs=1e-4 * float(np.abs(expected).max()))
    with torch.no_grad():
        gained = (score(encoded) - score(torch.zeros_like(encoded))).numpy()
    assert found["attribution"].sum(axis=1) == pytest.approx(gained, abs=0.05 * float(np.abs(gained).max()))
    largest = np.abs(expected).max(axis=1, keepdims=True)
    assert found["relevance"] == pytest.approx(np.abs(expected) / largest, abs=1e-4)


def test_a_calibration_changes_its_scores_and_what_is_explained_of_them(plain: Path, many: Path, tmp_path: Path):
    proto, spec = onnx.load(plain), read_model_file(plain).spec
    inputs = model_inputs(read_samples(many)[:3], spec)
    scale, offset = np.linspace(0.5, 1.5, 7), np.linspace(-1, 1, 7)
    before = answers(plain, inputs, 2)
    rescale(proto, scale, offset)
    rescale(proto, scale, offset * 0)  # a file may be calibrated again
    write_described(proto, spec, tmp_path / "m.onnx")
    after = answers(tmp_path / "m.onnx", inputs, 2)
    scores = (np.log(before["probabilities"].astype(float)) * scale + offset) * scale
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    assert after["probabilities"] == pytest.approx(raised / raised.sum(axis=1, keepdims=True), abs=1e-5)
    assert after["attribution"] == pytest.approx(before["attribution"] * scale[2] ** 2, rel=1e-3, abs=1e-6)
    assert after["heatmap"] == pytest.approx(before["heatmap"], abs=1e-5)


@pytest.mark.exhaustive
def test_in_int8_every_branch_is_quantised_and_the_file_is_calibrated(run: Run, many: Path, tmp_path: Path):
    samples = read_samples(many)
    made = export_model(run, samples, "int8", tmp_path / "e-int8.onnx", limits=LOOSE, asked=MODEST)
    proto, spec = onnx.load(made.path), read_model_file(made.path).spec
    assert feature_maps(proto) == ["feature_map_0", "feature_map_1"]
    quantised = {node.name for node in proto.graph.node if node.op_type == "Conv"}
    layers = trunk_layers(proto)
    assert {name.partition(".stages")[0] for name in layers if ".stages" in name} == {"members.0", "members.1"}
    assert {"members.0.conv1", "members.1.conv1"} <= quantised
    dequantised = {node.output[0] for node in proto.graph.node if node.op_type == "DequantizeLinear"}
    convolutions = [node for node in proto.graph.node if node.op_type == "Conv"]
    assert all(dequantised.issuperset(node.input[:2]) for node in convolutions)
    assert {"ood_score", "lesion_ood_score"} <= set(spec.outputs) and spec.decision is not None
    assert spec.fusion == "ensemble" and [each["name"] for each in spec.training["members"]] == list(FUSIONS)
    shared = spec.training["settings"]
    assert "fusion" not in shared and "seed" not in shared and shared["split_seed"] == 0
    assert [each["settings"]["fusion"] for each in spec.training["members"]] == [f for f, _ in FUSIONS.values()]
    assert made.parity.agreement > 0.8 and made.parity.heatmap_correlation > 0.8
    assert str(many).encode() not in made.path.read_bytes()
    evaluation = evaluate_run(run, tmp_path, "test", "cpu")
    assert list(evaluation.results) == [TRAINED_WEIGHTS, "e-int8 (cpu)"]
    card = model_card(run, made.path)
    assert "An ensemble" in card and "- a: concat, temperature" in card


@pytest.mark.exhaustive
def test_in_float_it_keeps_within_the_limits_of_every_export(run: Run, many: Path, tmp_path: Path):
    for precision in ("fp32", "fp16"):
        made = export_model(run, read_samples(many), precision, tmp_path / f"e-{precision}.onnx", asked=None)
        assert made.parity.heatmap_correlation > 0.99


@needs_tensorrt
@pytest.mark.exhaustive
def test_tensorrt_takes_it(plain: Path):
    from dermedge_export.engine.build import build_engine
    from dermedge_export.engine.target import EngineTarget
    from dermedge_export.engine.tensorrt_library import load_tensorrt

    file = read_model_file(plain)
    content, record = build_engine(file, EngineTarget(), load_tensorrt(EngineTarget()))
    assert len(content) > 0.8 * len(file.content)
    assert [tensor.name for tensor in record.tensors if tensor.side == "output"] == list(file.spec.outputs)
