"""A model file that is broken, unsafe or not self-contained is refused before ONNX Runtime sees a byte of it."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from make_tiny_model import TINY, build, tiny_spec
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data

from dermedge_runtime import ModelFileError
from dermedge_runtime.model.description import ModelSpec
from dermedge_runtime.model.scanner.scan import scan


def outside() -> TensorProto:
    """Give a tensor whose values are in another file."""
    tensor = numpy_helper.from_array(np.ones(4, np.float32), "outside")
    set_external_data(tensor, "weights.bin")
    tensor.ClearField("raw_data")
    return tensor


def sparse() -> onnx.SparseTensorProto:
    values = numpy_helper.from_array(np.ones(1, np.float32), "sparse")
    return helper.make_sparse_tensor(values, numpy_helper.from_array(np.zeros(1, np.int64), "places"), [4])


def graph_with(tensor: TensorProto) -> onnx.GraphProto:
    return helper.make_graph([helper.make_node("Constant", [], ["inner"], value=tensor)], "inner", [], [])


def external_initializer(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(outside())


def external_marker_alone(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL


def external_entries_alone(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].external_data.add(key="location", value="weights.bin")


def external_constant(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["outside"], value=outside()))


def external_tensor_list(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["outside"], values=[outside()]))


def external_in_subgraph(model: onnx.ModelProto) -> None:
    safe = graph_with(numpy_helper.from_array(np.ones(4, np.float32)))
    node = helper.make_node("If", ["condition"], ["outside"], then_branch=safe, else_branch=graph_with(outside()))
    model.graph.node.append(node)


def external_in_subgraph_of_a_subgraph(model: onnx.ModelProto) -> None:
    inner = helper.make_node("Loop", ["a", "b"], ["c"], body=graph_with(outside()))
    model.graph.node.append(helper.make_node("Loop", ["d", "e"], ["f"], body=helper.make_graph([inner], "g", [], [])))


def external_in_graph_list(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Scan", [], ["outside"], bodies=[graph_with(outside())]))


def external_in_function(model: onnx.ModelProto) -> None:
    node = helper.make_node("Constant", [], ["y"], value=outside())
    model.functions.append(helper.make_function("", "Outside", [], ["y"], [node], model.opset_import))


def external_in_function_default(model: onnx.ModelProto) -> None:
    function = helper.make_function("", "F", ["x"], ["y"], [helper.make_node("Relu", ["x"], ["y"])], [])
    function.attribute_proto.append(helper.make_attribute("value", outside()))
    model.functions.append(function)


def external_in_training_graph(model: onnx.ModelProto) -> None:
    model.training_info.add().initialization.CopyFrom(graph_with(outside()))


def external_in_training_step(model: onnx.ModelProto) -> None:
    model.training_info.add().algorithm.CopyFrom(graph_with(outside()))


def sparse_initializer(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.append(sparse())


def sparse_constant(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["sparse"], sparse_value=sparse()))


def sparse_list(model: onnx.ModelProto) -> None:
    attribute = onnx.AttributeProto(name="s", type=onnx.AttributeProto.SPARSE_TENSORS, sparse_tensors=[sparse()])
    model.graph.node[0].attribute.append(attribute)


def foreign_domain(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Gelu", ["logits"], ["x"], domain="com.microsoft"))


def foreign_domain_in_subgraph(model: onnx.ModelProto) -> None:
    body = helper.make_graph([helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft")], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", ["a", "b"], ["c"], body=body))


def function_of_own_domain(model: onnx.ModelProto) -> None:
    relu = helper.make_node("Relu", ["x"], ["y"])
    model.functions.append(helper.make_function("my.own", "Mine", ["x"], ["y"], [relu], model.opset_import))
    model.graph.node.append(helper.make_node("Mine", ["logits"], ["z"], domain="my.own"))


def foreign_domain_in_function(model: onnx.ModelProto) -> None:
    node = helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft")
    model.functions.append(helper.make_function("", "Mine", ["x"], ["y"], [node], model.opset_import))


EXTERNAL = "keeps weights outside the file (external data), which dermedge refuses to load."
SPARSE = "holds sparse tensors, which dermedge refuses to load."
GELU = "uses operators of the unknown domain com.microsoft;"
INSIDE = "holds graphs inside an operator"
FUNCTIONS = "defines operators of its own (functions), which dermedge refuses to load."
TRAINING = "holds training graphs, which dermedge refuses to load."


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (external_initializer, EXTERNAL),
        (external_marker_alone, EXTERNAL),
        (external_entries_alone, EXTERNAL),
        (external_constant, EXTERNAL),
        (external_tensor_list, EXTERNAL),
        (external_in_subgraph, f"{INSIDE} (If;"),
        (external_in_subgraph_of_a_subgraph, f"{INSIDE} (Loop;"),
        (external_in_graph_list, f"{INSIDE} (Scan;"),
        (external_in_function, FUNCTIONS),
        (external_in_function_default, FUNCTIONS),
        (external_in_training_graph, TRAINING),
        (external_in_training_step, TRAINING),
        (sparse_initializer, SPARSE),
        (sparse_constant, SPARSE),
        (sparse_list, SPARSE),
        (foreign_domain, GELU),
        (foreign_domain_in_subgraph, f"{INSIDE} (Loop;"),
        (foreign_domain_in_function, FUNCTIONS),
        (function_of_own_domain, "uses operators of the unknown domain my.own;"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_an_unsafe_model_is_refused(damage: Callable[[onnx.ModelProto], None], message: str) -> None:
    model = build()
    damage(model)
    with pytest.raises(ModelFileError) as caught:
        scan(model.SerializeToString(), "x.onnx")
    assert str(caught.value).startswith(f"x.onnx {message}")
    assert caught.value.exit_code == 4


def test_the_tiny_model_is_safe() -> None:
    findings = scan(TINY.read_bytes(), "tiny.onnx")
    assert list(findings.metadata) == ["dermedge"]
    assert ModelSpec.from_json(findings.metadata["dermedge"], "tiny.onnx") == tiny_spec()
    assert findings.domains == {""}
    assert findings.nodes == len(build().graph.node)


def test_onnx_own_domain_may_be_named() -> None:
    model = build()
    model.graph.node[0].domain = "ai.onnx"
    assert scan(model.SerializeToString(), "x.onnx").domains == {"", "ai.onnx"}
