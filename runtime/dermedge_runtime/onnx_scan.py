"""Look through an ONNX file's bytes without the onnx package, before any of it reaches ONNX Runtime.

Covered: whether the bytes are a complete protobuf message with a graph, its metadata_props, and what makes a file
unsafe or not self-contained: external data, sparse tensors (which can smuggle external data past ONNX Runtime), and
operator domains other than ONNX's own. Field numbers are those of onnx.proto (ONNX IR, ModelProto and below).
Not covered: whether the graph makes sense; ONNX Runtime finds that out when the session opens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from .errors import ModelFileError

ALLOWED_DOMAINS = frozenset({"", "ai.onnx"})

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_DEPTH = 32


@dataclass(slots=True)
class Findings:
    """What a scan saw."""

    metadata: dict[str, str] = field(default_factory=dict)
    domains: set[str] = field(default_factory=set)
    external_data: bool = False
    sparse_tensors: bool = False
    nodes: int = 0


def scan(content: bytes, source: str) -> Findings:
    """Scan a model file and refuse an unsafe one.

    :param source: name of the file, for messages.
    :raises ModelFileError: no ONNX, truncated, external data, sparse tensors, or an unknown operator domain.
    """
    findings = Findings()
    try:
        _model(memoryview(content), findings)
    except (_Malformed, UnicodeDecodeError) as error:
        raise ModelFileError(f"{source} is no complete ONNX file ({error}). Export or copy it again.") from error
    if not findings.nodes:
        raise ModelFileError(f"{source} is no ONNX model: it holds no graph with operators. Export or copy it again.")
    if findings.external_data:
        raise ModelFileError(
            f"{source} keeps weights outside the file (external data), which dermedge refuses to load."
            " Export it again as one file."
        )
    if findings.sparse_tensors:
        raise ModelFileError(f"{source} holds sparse tensors, which dermedge refuses to load. Export it again without.")
    unknown = sorted(findings.domains - ALLOWED_DOMAINS)
    if unknown:
        raise ModelFileError(
            f"{source} uses operators of the unknown domain {', '.join(unknown)};"
            " dermedge runs only ONNX's own operators."
        )
    return findings


class _Malformed(Exception):
    """The bytes are no protobuf message of the expected shape."""


def _model(message: memoryview, findings: Findings) -> None:
    for number, value in _fields(message):
        if number == 7:
            _graph(_submessage(value), findings, 0)
        elif number == 14:
            key, text = _string_pair(_submessage(value))
            findings.metadata[key] = text
        elif number == 20:  # TrainingInfoProto: two graphs
            _every_graph(_submessage(value), (1, 2), findings, 1)
        elif number == 25:  # FunctionProto: operators of the model's own
            _function(_submessage(value), findings)


def _graph(message: memoryview, findings: Findings, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise _Malformed("graphs are nested too deep")
    for number, value in _fields(message):
        if number == 1:
            _node(_submessage(value), findings, depth)
        elif number == 5:
            _tensor(_submessage(value), findings)
        elif number == 15:
            findings.sparse_tensors = True


def _function(message: memoryview, findings: Findings) -> None:
    for number, value in _fields(message):
        if number == 7:
            _node(_submessage(value), findings, 1)
        elif number == 11:
            _attribute(_submessage(value), findings, 1)


def _every_graph(message: memoryview, numbers: tuple[int, ...], findings: Findings, depth: int) -> None:
    for number, value in _fields(message):
        if number in numbers:
            _graph(_submessage(value), findings, depth)


def _node(message: memoryview, findings: Findings, depth: int) -> None:
    findings.nodes += 1
    domain = ""
    for number, value in _fields(message):
        if number == 5:
            _attribute(_submessage(value), findings, depth)
        elif number == 7:
            domain = bytes(_submessage(value)).decode()
    findings.domains.add(domain)


def _attribute(message: memoryview, findings: Findings, depth: int) -> None:
    for number, value in _fields(message):
        if number in (5, 10):
            _tensor(_submessage(value), findings)
        elif number in (6, 11):
            _graph(_submessage(value), findings, depth + 1)
        elif number in (22, 23):
            findings.sparse_tensors = True


def _tensor(message: memoryview, findings: Findings) -> None:
    for number, value in _fields(message):
        # 13 external_data, 14 data_location (1 = EXTERNAL)
        if number == 13 or (number == 14 and value != 0):
            findings.external_data = True


def _string_pair(message: memoryview) -> tuple[str, str]:
    pair = {1: "", 2: ""}
    for number, value in _fields(message):
        if number in pair:
            pair[number] = bytes(_submessage(value)).decode()
    return pair[1], pair[2]


def _submessage(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise _Malformed("a number stands where a message is expected")
    return value


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Give every field of a protobuf message: its number, and its integer or its bytes."""
    position, end = 0, len(message)
    while position < end:
        key, position = _varint(message, position)
        if key >> 32:  # protobuf drops the high bits, so the field would be another one for ONNX Runtime
            raise _Malformed("a field number is out of range")
        number, kind = key >> 3, key & 7
        if number == 0:
            raise _Malformed("field number 0")
        if kind == _VARINT:
            value, position = _varint(message, position)
            yield number, value
            continue
        if kind == _BYTES:
            length, position = _varint(message, position)
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise _Malformed(f"field type {kind}")
        if position + length > end:
            raise _Malformed(f"{position + length - end} bytes are missing")
        yield number, message[position : position + length]
        position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(message) or shift > 63:
            raise _Malformed("it ends in the middle of a number")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
