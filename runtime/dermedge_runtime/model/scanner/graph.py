"""An ONNX file's bytes -> the parts that the checks look at, without the onnx package and without copying weights.

Field numbers are those of onnx.proto (ONNX IR, ModelProto and below). Refused at once, because nothing that dermedge
exports has it: external data, sparse tensors (which can smuggle external data past ONNX Runtime), graphs inside
operators, functions, training graphs, tensors of strings or whose data are not as long as their shape says, names
that are given twice, and operator domains other than ONNX's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .tensors import BITS, MOST_AXES, Tensor, Unsafe, floats, integers, read_tensor
from .wire_format import BYTES, FIXED32, VARINT, Malformed, Once, Span, Wire, require, signed

ALLOWED_DOMAINS = frozenset({"", "ai.onnx"})
OLDEST_OPSET = 13
"""Before it, some operators took as attributes what they take as inputs now."""
_VALUE_OF_TYPE = {1: 2, 2: 3, 3: 4, 4: 5, 6: 7, 7: 8, 8: 9}
"""AttributeProto.AttributeType -> number of the field with the value."""
_FLOATS = 6
_ATTRIBUTE_KIND = {2: FIXED32, 3: VARINT, 4: BYTES, 5: BYTES}


@dataclass(slots=True)
class Node:
    """One operator of the graph."""

    operator: str
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)
    """int, float, bytes, `Tensor`, or a list of them."""


@dataclass(slots=True)
class Graph:
    """What the checks need of a model."""

    nodes: list[Node] = field(default_factory=list)
    initializers: dict[str, Tensor] = field(default_factory=dict)
    inputs: dict[str, tuple[int, list[int | None]]] = field(default_factory=dict)
    """Element type and axes by name; None is an axis without a number."""
    outputs: list[str] = field(default_factory=list)
    domains: set[str] = field(default_factory=set)
    metadata: dict[str, str] = field(default_factory=dict)
    """metadata_props of the model."""
    names: set[str] = field(default_factory=set)
    """Of all tensors."""

    def name(self, name: str) -> None:
        """Note the name of a tensor.

        :raises Malformed: it is taken; ONNX Runtime would use one of the two.
        """
        if name in self.names:
            raise Malformed(f"the tensor '{name}' is given twice")
        self.names.add(name)


def read_graph(content: bytes | memoryview) -> Graph:
    """Read a model.

    :raises Malformed: no complete protobuf message of this shape.
    :raises Unsafe: something that the header of this file names.
    """
    wire, once, graph = Wire(content), Once(), Graph()
    for number, kind, start, stop in wire.fields(wire.whole):
        if number == 7:
            once(number, kind, BYTES)
            _graph(wire, (start, stop), graph)
        elif number == 8:
            if _is_own_opset(wire, kind, (start, stop)):
                once(number, kind, BYTES)
        elif number == 14:
            key, value = string_pair(wire, kind, (start, stop))
            if key in graph.metadata:
                raise Malformed(f"its entry '{key}' stands there twice")
            graph.metadata[key] = wire.text(value)
        elif number == 20:
            raise Unsafe("holds training graphs, which dermedge refuses to load.")
        elif number == 25:
            raise Unsafe("defines operators of its own (functions), which dermedge refuses to load.")
    return graph


def string_pair(wire: Wire, kind: int, span: Span) -> tuple[str, Span]:
    """Read an entry of metadata_props: its key, and where its value stands."""
    once, key, value = Once(), "", (span[0], span[0])
    require(kind, BYTES)
    for number, inner, start, stop in wire.fields(span):
        if number in (1, 2):
            once(number, inner, BYTES)
            if number == 1:
                key = wire.text((start, stop))
            else:
                value = (start, stop)
    return key, value


def _is_own_opset(wire: Wire, kind: int, span: Span) -> bool:
    """Read an entry of opset_import; say whether it is about ONNX's own operators."""
    once, domain, version = Once(), "", 0
    require(kind, BYTES)
    for number, inner, start, stop in wire.fields(span):
        if number == 1:
            once(number, inner, BYTES)
            domain = wire.text((start, stop))
        elif number == 2:
            once(number, inner, VARINT)
            version = start
    if domain not in ALLOWED_DOMAINS:
        return False
    if version < OLDEST_OPSET:
        raise Unsafe(
            f"uses version {version} of ONNX's operators; dermedge runs version {OLDEST_OPSET} and later ones."
        )
    return True


def _graph(wire: Wire, span: Span, graph: Graph) -> None:
    for number, kind, start, stop in wire.fields(span):
        if number not in _PARTS:
            continue
        require(kind, BYTES)
        _PARTS[number](wire, (start, stop), graph)


def _add_node(wire: Wire, span: Span, graph: Graph) -> None:
    node = _node(wire, span, graph)
    graph.nodes.append(node)
    for name in node.outputs:
        if name:
            graph.name(name)


def _add_initializer(wire: Wire, span: Span, graph: Graph) -> None:
    tensor = read_tensor(wire, span)
    graph.name(tensor.name)
    graph.initializers[tensor.name] = tensor


def _add_input(wire: Wire, span: Span, graph: Graph) -> None:
    name, described = _value_info(wire, span)
    graph.name(name)
    graph.inputs[name] = described


def _add_output(wire: Wire, span: Span, graph: Graph) -> None:
    graph.outputs.append(_value_info(wire, span, typed=False)[0])


def _refuse_sparse(*_: object) -> None:
    raise Unsafe("holds sparse tensors, which dermedge refuses to load. Export it again without.")


_PARTS: dict[int, Callable[[Wire, Span, Graph], None]] = {
    1: _add_node,
    5: _add_initializer,
    11: _add_input,
    12: _add_output,
    15: _refuse_sparse,
}


def _node(wire: Wire, span: Span, graph: Graph) -> Node:
    node, once, domain = Node(""), Once(), ""
    for number, kind, start, stop in wire.fields(span):
        if number not in (1, 2, 4, 5, 7):
            continue
        require(kind, BYTES)
        if number == 1:
            node.inputs.append(wire.text((start, stop)))
        elif number == 2:
            node.outputs.append(wire.text((start, stop)))
        elif number == 5:
            name, value = _attribute(wire, (start, stop), node.operator)
            if name in node.attributes:
                raise Malformed(f"the attribute '{name}' stands there twice")
            node.attributes[name] = value
        else:
            once(number, kind, BYTES)
            text = wire.text((start, stop))
            if number == 4:
                node.operator = text
            else:
                domain = text
    if domain not in ALLOWED_DOMAINS:
        raise Unsafe(f"uses operators of the unknown domain {domain}; dermedge runs only ONNX's own operators.")
    graph.domains.add(domain)
    return node


def _attribute(wire: Wire, span: Span, operator: str) -> tuple[str, Any]:
    once, name, stated, found = Once(), "", 0, dict[int, Any]()
    for number, kind, start, stop in wire.fields(span):
        if number == 1:
            once(number, kind, BYTES)
            name = wire.text((start, stop))
        elif number == 20:
            once(number, kind, VARINT)
            stated = start
        elif number in _ATTRIBUTE_KIND:
            once(number, kind, _ATTRIBUTE_KIND[number])
            found[number] = _attribute_value(wire, number, kind, (start, stop))[0]
        elif number in (7, 8, 9, 10):
            found.setdefault(number, []).extend(_attribute_value(wire, number, kind, (start, stop)))
        elif number in (6, 11, 21, 22, 23):
            _refuse_attribute(number, operator)
    value_field = _VALUE_OF_TYPE.get(stated)
    if value_field is None or set(found) - {value_field}:
        raise Malformed(f"the attribute '{name}' is not of the type that it states")
    default: Any = [] if stated >= _FLOATS else {1: 0.0, 2: 0, 3: b""}.get(stated)
    return name, found.get(value_field, default)


def _refuse_attribute(number: int, operator: str) -> None:
    if number in (6, 11):
        raise Unsafe(
            f"holds graphs inside an operator ({operator or 'unnamed'}; Loop, Scan and If are such), which dermedge"
            " refuses to load."
        )
    if number == 21:
        raise Malformed("an attribute refers to a function")
    _refuse_sparse()


def _attribute_value(wire: Wire, number: int, kind: int, span: Span) -> list[Any]:
    if number in (5, 10):
        require(kind, BYTES)
        return [read_tensor(wire, span)]
    if number in (4, 9):
        require(kind, BYTES)
        return [bytes(wire.view[slice(*span)])]
    return floats(wire, kind, span) if number in (2, 7) else integers(wire, kind, span)


def _value_info(wire: Wire, span: Span, *, typed: bool = True) -> tuple[str, tuple[int, list[int | None]]]:
    """Read an input or output of the graph: name, element type and axes.

    :param typed: the type matters; that of an output follows from the graph.
    :raises Unsafe: it is no tensor.
    """
    once, name, described = Once(), "", None
    for number, kind, start, stop in wire.fields(span):
        if number in (1, 2):
            once(number, kind, BYTES)
            if number == 1:
                name = wire.text((start, stop))
            else:
                described = (start, stop)
    tensor = _only(wire, described, 1)
    kind_of, axes = 0, list[int | None]()
    once = Once()
    for number, kind, start, stop in wire.fields(tensor or (0, 0)):
        if number == 1:
            once(number, kind, VARINT)
            kind_of = start
        elif number == 2:
            once(number, kind, BYTES)
            axes = [_axis(wire, kind, axis) for number, kind, *axis in wire.fields((start, stop)) if number == 1]
    if typed and (kind_of not in BITS or len(axes) > MOST_AXES):
        raise Unsafe(f"has an input '{name}' that is no tensor of numbers, which dermedge refuses to load.")
    return name, (kind_of, axes)


def _only(wire: Wire, span: Span | None, wanted: int) -> Span | None:
    """Give the span of one submessage, where the message holds it."""
    once, found = Once(), None
    for number, kind, start, stop in wire.fields(span or (0, 0)):
        if number == wanted:
            once(number, kind, BYTES)
            found = (start, stop)
    return found


def _axis(wire: Wire, kind: int, span: list[int]) -> int | None:
    once, size = Once(), None
    require(kind, BYTES)
    for number, inner, start, _ in wire.fields((span[0], span[1])):
        if number == 1:
            once(number, inner, VARINT)
            size = signed(start)
    return size
