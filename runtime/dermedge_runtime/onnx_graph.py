"""An ONNX file's bytes -> the parts that the checks look at, without the onnx package and without copying weights.

Field numbers are those of onnx.proto (ONNX IR, ModelProto and below). Refused at once, because nothing that dermedge
exports has it: external data, sparse tensors (which can smuggle external data past ONNX Runtime), graphs inside
operators, functions, training graphs, tensors of strings or whose data are not as long as their shape says, names
that are given twice, and operator domains other than ONNX's own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .onnx_wire import BYTES, FIXED32, FIXED64, VARINT, Malformed, Once, Span, Wire, signed

ALLOWED_DOMAINS = frozenset({"", "ai.onnx"})
MOST_AXES = 32
OLDEST_OPSET = 13
"""Before it, some operators took as attributes what they take as inputs now."""
_FEW = 64
"""Tensors of up to so many numbers may be shapes, axes and the like, so their values are read."""

_BITS = {1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 16: 16}
_BITS |= dict.fromkeys((17, 18, 19, 20), 8) | dict.fromkeys((21, 22, 23), 4)
"""Bits of one number by TensorProto.DataType; strings (8) and complex numbers (14, 15) are not among them."""
WIDE = frozenset({7, 11, 13})
"""Types of eight bytes."""
_FLOAT, _INT32, _INT64, _DOUBLE, _UINT64 = 4, 5, 7, 10, 11
_DATA_FIELD = {1: _FLOAT, 7: _INT64, 11: _DOUBLE, 12: _UINT64, 13: _UINT64}
"""Which field holds the data that are not raw; all other types of at least eight bits are in int32_data."""
_NUMPY = {1: "<f4", 6: "<i4", 7: "<i8"}
_VALUE_OF_TYPE = {1: 2, 2: 3, 3: 4, 4: 5, 6: 7, 7: 8, 8: 9}
"""AttributeProto.AttributeType -> number of the field with the value."""
_ATTRIBUTE_KIND = {2: FIXED32, 3: VARINT, 4: BYTES, 5: BYTES}

Shape = tuple[int, ...]


class Unsafe(Exception):
    """Something that dermedge refuses to load; the text follows the name of the file."""


@dataclass(slots=True)
class Tensor:
    """A tensor whose values are in the file."""

    name: str
    dims: Shape
    type: int
    values: NDArray[Any] | None
    """Of float32 and integers, where they are few."""


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
    if kind != BYTES:
        raise Malformed("a number stands where a message is expected")
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
    if kind != BYTES:
        raise Malformed("a number stands where a message is expected")
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
    named: set[str] = set()

    def name_once(name: str) -> None:
        if name in named:
            raise Malformed(f"the tensor '{name}' is given twice")
        named.add(name)

    for number, kind, start, stop in wire.fields(span):
        if number not in (1, 5, 11, 12, 15):
            continue
        if kind != BYTES:
            raise Malformed("a number stands where a message is expected")
        if number == 1:
            node = _node(wire, (start, stop), graph)
            graph.nodes.append(node)
            for name in node.outputs:
                if name:
                    name_once(name)
        elif number == 5:
            tensor = _tensor(wire, (start, stop))
            name_once(tensor.name)
            graph.initializers[tensor.name] = tensor
        elif number == 11:
            name, kind_and_shape = _value_info(wire, (start, stop))
            name_once(name)
            graph.inputs[name] = kind_and_shape
        elif number == 12:
            graph.outputs.append(_value_info(wire, (start, stop))[0])
        else:
            raise Unsafe("holds sparse tensors, which dermedge refuses to load. Export it again without.")


def _node(wire: Wire, span: Span, graph: Graph) -> Node:
    node, once, domain = Node(""), Once(), ""
    for number, kind, start, stop in wire.fields(span):
        if number not in (1, 2, 4, 5, 7):
            continue
        if kind != BYTES:
            raise Malformed("a number stands where a message is expected")
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
    once, name, stated, found = Once(), "", 0, {}
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
        elif number in (6, 11):
            raise Unsafe(
                f"holds graphs inside an operator ({operator or 'unnamed'}; Loop, Scan and If are such), which dermedge"
                " refuses to load."
            )
        elif number in (22, 23):
            raise Unsafe("holds sparse tensors, which dermedge refuses to load. Export it again without.")
        elif number == 21:
            raise Malformed("an attribute refers to a function")
    value_field = _VALUE_OF_TYPE.get(stated)
    if value_field is None or set(found) - {value_field}:
        raise Malformed(f"the attribute '{name}' is not of the type that it states")
    # protobuf leaves out nothing here: proto2 writes every value that was set, so an absent one is an empty list.
    empty: Any = [] if stated >= 6 else None
    value = found.get(value_field, empty)
    if value is None:
        value = {1: 0.0, 2: 0, 3: b""}.get(stated)
    return name, value


def _attribute_value(wire: Wire, number: int, kind: int, span: Span) -> list[Any]:
    if number in (5, 10):
        if kind != BYTES:
            raise Malformed("a number stands where a message is expected")
        return [_tensor(wire, span)]
    if number in (4, 9):
        if kind != BYTES:
            raise Malformed("a number stands where a message is expected")
        return [bytes(wire.view[slice(*span)])]
    if number in (2, 7):  # float, floats
        if kind not in (FIXED32, BYTES) or (span[1] - span[0]) % 4:
            raise Malformed("something else stands where a number is expected")
        return np.frombuffer(wire.view[slice(*span)], "<f4").tolist()
    if kind == VARINT:  # i, ints
        return [signed(span[0])]
    if kind != BYTES:
        raise Malformed("something else stands where a number is expected")
    return wire.varints(span)


def _tensor(wire: Wire, span: Span) -> Tensor:
    once, name, dims, kind_of, raw = Once(), "", list[int](), 0, None
    typed: dict[int, list[tuple[int, int, int]]] = {}
    for number, kind, start, stop in wire.fields(span):
        if number == 1:
            dims += _attribute_value(wire, 8, kind, (start, stop))
        elif number == 2:
            once(number, kind, VARINT)
            kind_of = start
        elif number == 8:
            once(number, kind, BYTES)
            name = wire.text((start, stop))
        elif number == 9:
            once(number, kind, BYTES)
            raw = (start, stop)
        elif number in (_FLOAT, _INT32, _INT64, _DOUBLE, _UINT64):
            typed.setdefault(number, []).append((kind, start, stop))
        elif number == 13 or (number == 14 and (kind != VARINT or start != 0)):  # 14 data_location, 1 = EXTERNAL
            raise Unsafe(
                "keeps weights outside the file (external data), which dermedge refuses to load."
                " Export it again as one file."
            )
        elif number in (3, 6):  # segment, string_data
            raise Unsafe("holds tensors of strings or in segments, which dermedge refuses to load.")
    if kind_of not in _BITS:
        raise Unsafe(f"holds a tensor '{name}' of the type {kind_of}, which dermedge refuses to load.")
    if len(dims) > MOST_AXES or any(size < 0 for size in dims):
        raise Malformed(f"the tensor '{name}' has no possible shape")
    count = prod(dims)
    values = _values(wire, kind_of, count, raw, typed)
    return Tensor(name, tuple(dims), kind_of, None if values is None else values.reshape(dims))


def _values(
    wire: Wire, kind_of: int, count: int, raw: Span | None, typed: dict[int, list[tuple[int, int, int]]]
) -> NDArray[Any] | None:
    """Compare the length of a tensor's data with its shape, and read few numbers.

    :raises Malformed: the file does not hold as many numbers as the shape says.
    """
    if raw is not None:
        # A tensor without numbers may carry an empty field of the other kind; one with numbers may not.
        if any(stop > start or kind != BYTES for found in typed.values() for kind, start, stop in found):
            raise Malformed("a tensor has its data twice")
        if raw[1] - raw[0] != (count * _BITS[kind_of] + 7) // 8:
            raise Malformed("a tensor's data are not as long as its shape says")
        if count > _FEW or kind_of not in _NUMPY:
            return None
        return np.frombuffer(wire.view[slice(*raw)], _NUMPY[kind_of])
    wanted = _DATA_FIELD.get(kind_of, _INT32)
    pieces = typed.get(wanted, [])
    if set(typed) - {wanted} or _count(wire, wanted, pieces) != count or (_BITS[kind_of] < 8 and count):
        raise Malformed("a tensor's data are not as long as its shape says")
    if count > _FEW or kind_of not in _NUMPY:
        return None
    numbers: list[Any] = []
    for kind, start, stop in pieces:
        numbers += _attribute_value(wire, 7 if wanted == _FLOAT else 8, kind, (start, stop))
    try:
        return np.array(numbers, _NUMPY[kind_of])
    except OverflowError as error:
        raise Malformed("a number is out of range") from error


def _count(wire: Wire, number: int, pieces: list[tuple[int, int, int]]) -> int:
    """Count the numbers of a field, packed or not."""
    size = {_FLOAT: 4, _DOUBLE: 8}.get(number)
    total = 0
    for kind, start, stop in pieces:
        if kind != BYTES:
            if kind != {_FLOAT: FIXED32, _DOUBLE: FIXED64}.get(number, VARINT):
                raise Malformed("something else stands where a number is expected")
            total += 1
        elif size is not None:
            if (stop - start) % size:
                raise Malformed("a tensor ends in the middle of a number")
            total += (stop - start) // size
        else:
            total += int(np.count_nonzero(np.frombuffer(wire.view[start:stop], np.uint8) < 0x80))
    return total


def _value_info(wire: Wire, span: Span) -> tuple[str, tuple[int, list[int | None]]]:
    """Read an input or output of the graph: name, element type and axes.

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
    if kind_of not in _BITS or len(axes) > MOST_AXES:
        raise Unsafe(f"has an input or output '{name}' that is no tensor of numbers, which dermedge refuses to load.")
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
    if kind != BYTES:
        raise Malformed("a number stands where a message is expected")
    for number, inner, start, _ in wire.fields((span[0], span[1])):
        if number == 1:
            once(number, inner, VARINT)
            size = signed(start)
    return size
