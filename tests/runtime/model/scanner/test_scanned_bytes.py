"""Bytes that only look like an ONNX file are refused, and a field cannot be hidden from the scan by its encoding."""

import numpy as np
import onnx
import pytest
from make_tiny_model import build
from onnx import TensorProto

from dermedge_runtime import ModelFileError
from dermedge_runtime.model.scanner.scan import scan

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
    assert scan(content, "x.onnx").nodes == len(build().graph.node)
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


def test_a_second_graph_which_protobuf_would_merge_is_refused() -> None:
    external = TENSOR.SerializeToString() + message_field(EXTERNAL_DATA, LOCATION)
    content = build().SerializeToString() + message_field(GRAPH, message_field(INITIALIZER, external))
    assert len(onnx.load_from_string(content).graph.initializer) == len(build().graph.initializer) + 1
    with pytest.raises(ModelFileError, match="field 7 stands there twice"):
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


@pytest.mark.parametrize("depth", [1, 40, 2000])
def test_subgraphs_are_refused(depth: int) -> None:
    with pytest.raises(ModelFileError, match="holds graphs inside an operator"):
        scan(nested(depth), "x.onnx")


def with_tensor(**parts: bytes | int) -> bytes:
    """Give the tiny model with one more tensor, put together field by field in the order that is given."""
    numbers = {"dims": 1, "type": 2, "floats": 4, "ints": 5, "strings": 6, "name": 8, "raw": 9}
    tensor = b""
    for key, value in parts.items():
        number = numbers[key.rstrip("_")]
        tensor += varint(number << 3) + varint(value) if isinstance(value, int) else message_field(number, value)
    return with_initializer(tensor)


FOUR = np.ones(4, np.float32).tobytes()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"dims": 4, "type": 1, "raw": FOUR[:12]}, "not as long as its shape says"),
        ({"dims": 4, "type": 1, "raw": FOUR + FOUR}, "not as long as its shape says"),
        ({"dims": 1 << 40, "type": 1}, "not as long as its shape says"),
        ({"dims": 1 << 40, "type": 1, "raw": FOUR}, "not as long as its shape says"),
        ({"dims": 4, "dims_": 1 << 62, "type": 1, "raw": FOUR}, "not as long as its shape says"),
        ({"dims": (1 << 64) - 4, "type": 1, "raw": FOUR}, "no possible shape"),
        ({"dims": 4, "type": 1, "raw": FOUR, "raw_": FOUR}, "field 9 stands there twice"),
        ({"dims": 4, "type": 1, "type_": 11, "raw": FOUR}, "field 2 stands there twice"),
        ({"dims": 4, "type": 1, "raw": FOUR, "floats": FOUR}, "has its data twice"),
        ({"dims": 4, "type": 1, "ints": b"\1\1\1\1"}, "not as long as its shape says"),
        ({"dims": 4, "type": 6, "ints": b"\1\1\1"}, "not as long as its shape says"),
        ({"dims": 1, "type": 6, "ints": varint(1 << 40)}, "out of range"),
        ({"dims": 1, "type": 8, "strings": b"text"}, "tensors of strings"),
        ({"dims": 0, "type": 8}, "of the type 8"),
        ({"dims": 0, "type": 1 + (1 << 32)}, "of the type"),
        ({"dims": 4, "type": FOUR[:1], "raw": FOUR}, "where a number is expected"),
        ({"dims": 4, "type": 1, "raw": 4}, "where a message is expected"),
        ({"dims": 4, "type": 1, "name": b"weights", "raw": FOUR}, "'weights' is given twice"),
        ({"dims": 4, "type": 1, "name": b"\xff", "raw": FOUR}, "utf-8"),
    ],
)
def test_tensors_that_are_not_what_they_say(parts: dict[str, bytes | int], message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        scan(with_tensor(**parts), "x.onnx")


@pytest.mark.parametrize(
    "parts",
    [
        {"dims": 4, "type": 1, "floats": FOUR},
        {"dims": 4, "type": 1, "floats": FOUR[:8], "floats_": FOUR[8:]},
        {"dims": 2, "dims_": 2, "type": 1, "raw": FOUR},
        {"dims": varint(2) + varint(2), "type": 1, "raw": FOUR},
        {"dims": 3, "type": 6, "ints": b"\1\1", "ints_": 7},
        {"dims": 0, "type": 1},
    ],
)
def test_packed_and_unpacked_numbers_are_the_same(parts: dict[str, bytes | int]) -> None:
    """Protobuf reads both forms of a repeated number, whatever the format prefers."""
    content = with_tensor(**parts)
    assert scan(content, "x.onnx").nodes == len(build().graph.node)
    assert onnx.numpy_helper.to_array(onnx.load_from_string(content).graph.initializer[-1]).size in (0, 3, 4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (message_field(14, message_field(1, b"a") + message_field(1, b"b")), "field 1 stands there twice"),
        (message_field(14, message_field(1, b"a")) * 2, "its entry 'a' stands there twice"),
        (message_field(8, b"\x10\x14") * 2, "field 8 stands there twice"),
        (message_field(8, b"\x10\x07"), "uses version 7 of ONNX's operators"),
        (b"\x3d\0\0\0\0", "where a message is expected"),
        (b"\x38" + b"\xff" * 9 + b"\x02", "a number is out of range"),
    ],
)
def test_what_would_mean_two_things(content: bytes, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        scan(content, "x.onnx")


@pytest.mark.parametrize(
    "content", [b"\x08\x00" * 1_000_000, message_field(GRAPH, b"\x0a\x00" * 1_000_000)], ids=["model", "graph"]
)
def test_a_file_of_tiny_fields_is_refused_soon(content: bytes) -> None:
    with pytest.raises(ModelFileError, match="has more than 400,000 fields"):
        scan(content, "x.onnx")
