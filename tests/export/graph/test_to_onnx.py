"""The exported graph keeps the contract of the model file and computes what torch computes."""

import numpy as np
import onnx
import pytest
from export_networks import SIZE, fusion_cases, open_session, random_classifier, random_inputs, torch_probabilities_of
from graph_shapes import shapes_by_rule, shapes_by_running

from dermedge.models.fusion import FUSIONS, fusion_class
from dermedge_export.fp16.to_float16 import compute_trunk_in_half, store_matrices_in_half
from dermedge_export.graph.layers import trunk_layers
from dermedge_runtime.model.scanner.scan import check_memory, scan

CONTRACT = {
    "image": ("tensor(uint8)", ["batch", SIZE, SIZE, 3]),
    "numeric": ("tensor(float)", ["batch", 1]),
    "categorical": ("tensor(int32)", ["batch", 2]),
    "target": ("tensor(int32)", ["batch"]),
}
RESULTS = {
    "probabilities": ("tensor(float)", ["batch", 7]),
    "heatmap": ("tensor(float)", ["batch", SIZE // 32, SIZE // 32]),
    "relevance": ("tensor(float)", ["batch", 20]),
    "attribution": ("tensor(float)", ["batch", 20]),
}


_IN_HALF = ("concat", "cross_attention", "clinical_only")
"""Fusions that are looked at in FP16 too; the others there are exhaustive."""
_CASES = [
    pytest.param(
        (name, half), marks=[*case.marks, *([pytest.mark.exhaustive] if half and name not in _IN_HALF else [])]
    )
    for name, case in zip(FUSIONS, fusion_cases(), strict=True)
    for half in (False, True)
]


@pytest.fixture(scope="module", params=_CASES, ids=str)
def graph(request: pytest.FixtureRequest, traced):
    fusion, half = request.param
    proto = traced(fusion)
    if half:
        compute_trunk_in_half(proto)
    return fusion, half, random_classifier(fusion), proto


def test_equals_torch_for_every_batch(graph) -> None:
    _, half, model, proto = graph
    session = open_session(proto)
    for batch in (1, 2, 5):
        inputs = random_inputs(batch, seed=batch)
        feed = {value.name: inputs[value.name].numpy() for value in session.get_inputs() if value.name != "target"}
        feed["target"] = np.full(batch, -1, dtype=np.int32)
        found = session.run(["probabilities"], feed)[0]
        expected = torch_probabilities_of(model, inputs).numpy()
        np.testing.assert_allclose(found, expected, atol=5e-3 if half else 1e-5)
        assert found.dtype == np.float32


def test_signature_is_the_contract(graph) -> None:
    fusion, _, _, proto = graph
    session = open_session(proto)
    kind = fusion_class(fusion)
    inputs, outputs = ["target"], ["probabilities"]
    if kind.uses_image:
        inputs, outputs = [*inputs, "image"], [*outputs, "heatmap"]
    if kind.uses_clinical:
        inputs, outputs = [*inputs, "numeric", "categorical"], [*outputs, "relevance", "attribution"]
    assert {v.name: (v.type, v.shape) for v in session.get_inputs()} == {name: CONTRACT[name] for name in inputs}
    assert {v.name: (v.type, v.shape) for v in session.get_outputs()} == {name: RESULTS[name] for name in outputs}


def test_graph_is_safe_for_every_runtime(graph) -> None:
    _, _, _, proto = graph
    onnx.checker.check_model(proto, full_check=True)
    findings = scan(proto.SerializeToString(), "exported")
    check_memory(findings, "exported", {})
    assert findings.domains == {""}
    assert not proto.functions


def test_how_much_memory_it_takes_is_known_beforehand(graph) -> None:
    _, _, _, proto = graph
    found = shapes_by_running(proto, 2)
    assert shapes_by_rule(proto, 2, list(found)) == found
    assert {node.op_type for node in proto.graph.node}.isdisjoint({"Loop", "Scan", "If", "SequenceMap"})


def test_first_node_on_the_image_is_the_cast(graph) -> None:
    fusion, _, _, proto = graph
    if fusion_class(fusion).uses_image:
        readers = {node.op_type for node in proto.graph.node if "image" in node.input}
        assert readers - {"Shape"} == {"Cast"}


def test_no_trace_of_the_exporting_machine(graph) -> None:
    described = onnx.ModelProto()
    described.CopyFrom(graph[3])
    for tensor in described.graph.initializer:
        tensor.ClearField("raw_data")  # among millions of random weights any three bytes occur
    assert b".py" not in described.SerializeToString()


def test_nodes_are_named_by_layer(traced) -> None:
    proto = traced("cross_attention")
    convolutions = [node.name for node in proto.graph.node if node.op_type == "Conv"]
    blocks = [f"stages.{index}.{conv}" for index in range(8) for conv in ("conv1", "conv2")]
    assert convolutions == ["conv1", *blocks]
    layers = {layer: [node.op_type for node in nodes] for layer, nodes in trunk_layers(proto).items()}
    assert layers["conv1"] == ["Conv", "LeakyRelu"]
    assert layers["stages.2.conv2"] == ["Conv"]
    assert layers["stages.3.conv2"] == ["Conv", "LeakyRelu", "Add"]
    names = [node.name for node in proto.graph.node]
    assert {"head.image.2", "head.clinical.0", "head.clinical.0/2", "head.classifier.3"} <= set(names)
    assert len(set(names)) == len(names)


def test_head_matrices_in_half_are_folded_back_by_the_runtime(traced) -> None:
    model, inputs = random_classifier("cross_attention"), random_inputs(3)
    proto = traced("cross_attention")
    plain_size = len(proto.SerializeToString())
    store_matrices_in_half(proto)
    onnx.checker.check_model(proto, full_check=True)
    assert len(proto.SerializeToString()) < plain_size - 1_000_000
    assert not [t for t in proto.graph.initializer if len(t.dims) == 2 and t.data_type == onnx.TensorProto.FLOAT]
    session = open_session(proto)
    feed = {name: value.numpy() for name, value in inputs.items()} | {"target": np.full(3, -1, np.int32)}
    found = session.run(["probabilities"], feed)[0]
    np.testing.assert_allclose(found, torch_probabilities_of(model, inputs).numpy(), atol=2e-3)
