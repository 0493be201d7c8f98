"""Bytes that only look like an ONNX file are refused, and a field cannot be hidden from the scan by its encoding."""

import numpy as np
import onnx
import pytest
from make_tiny_model import build
from onnx import TensorProto

from dermedge_runtime import ModelFileError
from dermedge_runtime.onnx_scan import scan

GRAPH, INITIALIZER, EXTERNAL_DATA, DATA_LOCATION = 7, 5, 13, 14


def varint(value: int) -> bytes:
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def message_field(number: int, content: bytes, high_bits: int = 0) -> bytes:
    """Encode a submessage; `high_bits` are added above the 32 bits of the key, which protobuf's readers drop."""
    return varint(number << 3 | 2 | high_bits << 32) + varint(len(content)) + content


def with_initializer(tensor: bytes) -> bytes:
    """Give the tiny model with one more initializer, from its bytes."""
    model = build()
    graph = model.graph.SerializeToString() + message_field(INITIALIZER, tensor)
    model.ClearField("graph")
    return model.SerializeToString() + message_field(GRAPH, graph)


TENSOR = TensorProto(name="extra", dims=[4], data_type=TensorProto.FLOAT)
LOCATION = onnx.StringStringEntryProto(key="location", value="weights.bin").SerializeToString()


def test_an_initializer_put_together_from_bytes_is_read() -> None:
    whole = TENSOR.SerializeToString() + message_field(9, np.ones(4, np.float32).tobytes())
    content = with_initializer(whole)
    assert not scan(content, "x.onnx").external_data
    assert onnx.load_from_string(content).graph.initializer[-1].name == "extra"


@pytest.mark.parametrize("high_bits", [0, 1, 7])
def test_external_data_cannot_hide_behind_a_long_key(high_bits: int) -> None:
    entry = message_field(EXTERNAL_DATA, LOCATION, high_bits)
    marker = varint(DATA_LOCATION << 3 | high_bits << 32) + varint(TensorProto.EXTERNAL)
    with pytest.raises(ModelFileError, match=r"^x\.onnx "):
        scan(with_initializer(TENSOR.SerializeToString() + entry + marker), "x.onnx")


@pytest.mark.parametrize("high_bits", [0, 1])
def test_a_sparse_initializer_cannot_hide_behind_a_long_key(high_bits: int) -> None:
    model = build()
    graph = model.graph.SerializeToString() + message_field(15, b"", high_bits)
    model.ClearField("graph")
    with pytest.raises(ModelFileError, match=r"^x\.onnx "):
        scan(model.SerializeToString() + message_field(GRAPH, graph), "x.onnx")


def test_a_second_graph_is_merged_by_protobuf_and_scanned_too() -> None:
    external = TENSOR.SerializeToString() + message_field(EXTERNAL_DATA, LOCATION)
    content = build().SerializeToString() + message_field(GRAPH, message_field(INITIALIZER, external))
    with pytest.raises(ModelFileError, match="external data"):
        scan(content, "x.onnx")


@pytest.mark.parametrize("value", [1, 2, 1 << 32, (1 << 64) - 1])
def test_any_data_location_but_the_default_counts_as_external(value: int) -> None:
    marker = varint(DATA_LOCATION << 3) + varint(value)
    with pytest.raises(ModelFileError, match="external data"):
        scan(with_initializer(TENSOR.SerializeToString() + marker), "x.onnx")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no ONNX model: it holds no graph with operators."),
        (b"\x08\x0a", "is no ONNX model: it holds no graph with operators."),
        (message_field(GRAPH, b""), "is no ONNX model: it holds no graph with operators."),
        (b"PK\x03\x04 a zip archive", "is no complete ONNX file ("),
        (b"\x89PNG\r\n\x1a\n", "is no complete ONNX file ("),
        (b"<html>Not Found</html>", "is no complete ONNX file ("),
        (b"\x80\x04\x95 a pickle", "is no complete ONNX file ("),
        (b"\x00\x01", "is no complete ONNX file (field number 0)"),
        (b"\x0b\x01", "is no complete ONNX file (field type 3)"),
        (b"\x3a", "is no complete ONNX file (it ends in the middle of a number)"),
        (b"\x3a\xff", "is no complete ONNX file (it ends in the middle of a number)"),
        (b"\x3a\x05abc", "is no complete ONNX file (2 bytes are missing)"),
        (b"\x39\x00\x00", "is no complete ONNX file (6 bytes are missing)"),
        (b"\x38\x05", "is no complete ONNX file (a number stands where a message is expected)"),
        (b"\x38" + b"\xff" * 10 + b"\x01", "is no complete ONNX file (it ends in the middle of a number)"),
        (message_field(14, b"\x0a\x02\xff\xfe"), "is no complete ONNX file ('utf-8' codec"),
    ],
)
def test_what_is_no_onnx_file(content: bytes, message: str) -> None:
    with pytest.raises(ModelFileError) as caught:
        scan(content, "x.onnx")
    assert str(caught.value).startswith(f"x.onnx {message}")
    assert str(caught.value).endswith("Export or copy it again.")


def nested(depth: int) -> bytes:
    """Give a model whose only node holds a graph, whose only node holds a graph, and so on."""
    graph = message_field(1, b"")
    for _ in range(depth):
        graph = message_field(1, message_field(5, message_field(6, graph)))
    return message_field(GRAPH, graph)


def test_subgraphs_are_followed() -> None:
    assert scan(nested(20), "x.onnx").nodes == 21


@pytest.mark.parametrize("depth", [40, 2000])
def test_subgraphs_without_end_are_refused(depth: int) -> None:
    with pytest.raises(ModelFileError, match="graphs are nested too deep"):
        scan(nested(depth), "x.onnx")
