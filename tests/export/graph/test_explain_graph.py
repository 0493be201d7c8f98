"""The explanations of an exported file are the gradients that torch and captum compute."""

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients, LayerGradCam
from export_networks import fusion_cases, open_session, random_classifier, random_inputs
from torch import Tensor, nn

from dermedge.models.classifier import FusedClassifier, pool
from dermedge.models.fusion import FUSIONS
from dermedge_export.graph.explain_graph import ExplainedHead, TracedHead
from dermedge_export.graph.ig_steps import DEFAULT_STEPS, MOST_STEPS, checked_steps
from dermedge_export.graph.merged_layers import with_merged_layers
from dermedge_runtime.errors import UsageError

IMAGE_FUSIONS = fusion_cases([name for name, kind in FUSIONS.items() if kind.uses_image])
CLINICAL_FUSIONS = fusion_cases([name for name, kind in FUSIONS.items() if kind.uses_clinical])


class Encoded(nn.Module):
    """The network as captum wants it: from image and encoded clinical vector to scores."""

    def __init__(self, model: FusedClassifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, clinical: Tensor | None) -> Tensor:
        pooled = None if self.model.trunk is None else pool(self.model.trunk(image))
        return self.model.head(pooled, clinical)


@pytest.fixture(scope="module", params=fusion_cases())
def case(request: pytest.FixtureRequest, traced):
    session = open_session(traced(request.param))
    return random_classifier(request.param), session


def _prepare(model: FusedClassifier, batch: int) -> tuple[dict, Tensor, Tensor | None]:
    inputs = random_inputs(batch, seed=batch)
    image = inputs["image"].permute(0, 3, 1, 2).float() / 255
    clinical = None if model.encoder is None else model.encoder(inputs["numeric"], inputs["categorical"])
    return inputs, image, clinical


def _run(session, inputs: dict, target: list[int]) -> dict[str, np.ndarray]:
    feed = {v.name: inputs[v.name].numpy() for v in session.get_inputs() if v.name != "target"}
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, {**feed, "target": np.array(target, dtype=np.int32)}), strict=True))


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("case", CLINICAL_FUSIONS, indirect=True)
def test_integrated_gradients_equal_captum(case, batch: int) -> None:
    model, session = case
    inputs, image, clinical = _prepare(model, batch)
    with torch.no_grad():
        pooled = None if model.trunk is None else pool(model.trunk(image))  # the same at every step of the path
        predicted = model.head(pooled, clinical).argmax(1)

    def scores(encoded: Tensor) -> Tensor:
        return model.head(None if pooled is None else pooled.repeat(len(encoded) // batch, 1), encoded)

    reference = IntegratedGradients(scores).attribute(
        clinical, baselines=torch.zeros_like(clinical), target=predicted, n_steps=DEFAULT_STEPS, method="riemann_middle"
    )
    expected = reference.detach().numpy()
    found = _run(session, inputs, [-1] * batch)
    np.testing.assert_allclose(found["attribution"], expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    scaled = np.abs(expected) / np.abs(expected).max(axis=1, keepdims=True)
    np.testing.assert_allclose(found["relevance"], scaled, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("case", IMAGE_FUSIONS, indirect=True)
def test_grad_cam_equals_captum(case, batch: int) -> None:
    model, session = case
    inputs, image, clinical = _prepare(model, batch)
    network = Encoded(model)
    for target in (None, 3):
        chosen = network(image, clinical).argmax(1) if target is None else torch.full((batch,), target)
        cam = LayerGradCam(network, model.trunk).attribute(
            image, target=chosen, additional_forward_args=(clinical,), relu_attributions=True
        )
        expected = cam[:, 0].detach().numpy()
        expected = expected / np.maximum(expected.max(axis=(1, 2), keepdims=True), 1e-12)
        found = _run(session, inputs, [-1 if target is None else target] * batch)["heatmap"]
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("case", CLINICAL_FUSIONS, indirect=True)
def test_attributions_add_up_to_the_score(case) -> None:
    model, session = case
    inputs, image, clinical = _prepare(model, 16)
    network = Encoded(model)
    with torch.no_grad():
        moved = (network(image, clinical) - network(image, torch.zeros_like(clinical))).numpy()
    found = np.stack([_run(session, inputs, [c] * 16)["attribution"].sum(axis=1) for c in range(7)], axis=1)
    remainder, largest = np.abs(found - moved), np.abs(moved).max()
    assert remainder.max() < 0.1 * largest
    # A score that hardly moves has a large relative remainder of nothing.
    counts = np.abs(moved) > 0.1 * largest
    assert counts.mean() > 0.5
    assert np.median(remainder[counts] / np.abs(moved[counts])) < 0.05


def _differ(one: np.ndarray, other: np.ndarray) -> bool:
    """By more than a thousandth of the largest value: the attributions of random weights are small numbers."""
    return not np.allclose(one, other, atol=1e-3 * np.abs(one).max())


def test_explanations_change_with_the_input(case) -> None:
    model, session = case
    first, second = _prepare(model, 5)[0], _prepare(model, 6)[0]
    second = {name: value[:5] for name, value in second.items()}
    explanations = {value.name for value in session.get_outputs()} - {"probabilities"}
    assert explanations
    for name in explanations:
        # A class that nothing speaks for has an empty map, so all classes are asked.
        pairs = [(_run(session, first, [c] * 5)[name], _run(session, second, [c] * 5)[name]) for c in range(7)]
        assert any(_differ(one, other) for one, other in pairs), name


def test_explanations_change_with_the_class(case) -> None:
    model, session = case
    inputs = _prepare(model, 3)[0]
    one, *others = (_run(session, inputs, [c] * 3) for c in range(7))
    for other in others:
        np.testing.assert_array_equal(one["probabilities"], other["probabilities"])
    explanations = set(one) - {"probabilities"}
    assert explanations
    for name in explanations:
        # A class that nothing speaks for has an empty map, so all classes are asked.
        assert any(_differ(one[name], other[name]) for other in others), name


def test_rows_of_a_batch_do_not_mix(case) -> None:
    model, session = case
    inputs = _prepare(model, 4)[0]
    together = _run(session, inputs, [-1, 2, 0, -1])
    for row, target in enumerate([-1, 2, 0, -1]):
        alone = _run(session, {name: value[row : row + 1] for name, value in inputs.items()}, [target])
        for name, values in together.items():
            np.testing.assert_allclose(values[row], alone[name][0], atol=2e-5, err_msg=name)


# Those whose graphs are exhaustive too: what is traced of them is tried here.
@pytest.mark.parametrize(
    ("fusion", "steps"),
    [("concat", 50), ("cross_attention", 2), ("weighted_concat", 2), ("hadamard", 2), ("bilinear", 2)],
)
def test_another_number_of_steps_equals_captum(fusion: str, steps: int) -> None:
    model = random_classifier(fusion)
    _, image, clinical = _prepare(model, 3)
    pooled = pool(model.trunk(image)).detach()
    target = torch.tensor([2, 0, 5], dtype=torch.int32)
    head = with_merged_layers(model).head
    found = TracedHead(head, clinical.shape[1], steps)(pooled, clinical, target)[2].detach()
    reference = IntegratedGradients(lambda e: model.head(pooled.repeat(len(e) // 3, 1), e)).attribute(
        clinical, baselines=torch.zeros_like(clinical), target=target.long(), n_steps=steps, method="riemann_middle"
    )
    torch.testing.assert_close(found, reference.float(), rtol=1e-4, atol=1e-4 * float(reference.abs().max()))
    other = ExplainedHead(head)(pooled.requires_grad_(), clinical, target)[2].detach()
    assert float((other - found).abs().max()) > 1e-4 * float(reference.abs().max()), "the number of steps matters"


@pytest.mark.parametrize("wanted", [0, -1, MOST_STEPS + 1, 2.0, "16", True])
def test_steps_that_make_no_sense(wanted: object) -> None:
    with pytest.raises(UsageError, match=r"^ig_steps must be a whole number from 1 to 1000, got "):
        checked_steps(wanted, explains=True, integrates=True)


def test_steps_are_of_files_with_integrated_gradients() -> None:
    assert checked_steps(None, explains=True, integrates=True) == DEFAULT_STEPS
    assert checked_steps(None, explains=True, integrates=False) is None
    assert [checked_steps(n, explains=True, integrates=True) for n in (1, MOST_STEPS)] == [1, MOST_STEPS]
    for explains, why in ((True, "reads no clinical value"), (False, "a file without explanations")):
        with pytest.raises(UsageError, match=rf"no integrated gradients .*{why}.* Leave --ig-steps out\."):
            checked_steps(50, explains=explains, integrates=False)
