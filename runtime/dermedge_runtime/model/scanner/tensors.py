"""The tensors in an ONNX file: their shapes, whether their data are there in full, and the values of small ones.

Refused: external data, data that are not as long as the shape says, strings and complex numbers. Weights are neither
copied nor looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .wire_format import BYTES, FIXED32, FIXED64, VARINT, Malformed, Once, Span, Wire, signed

MOST_AXES = 32
_FEW = 64
"""Tensors of up to so many numbers may be shapes, axes and the like, so their values are read."""

BITS = {1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 16: 16}
BITS |= dict.fromkeys((17, 18, 19, 20), 8) | dict.fromkeys((21, 22, 23), 4)
"""Bits of one number by TensorProto.DataType; strings (8) and complex numbers (14, 15) are not among them."""
WIDE = frozenset({7, 11, 13})
"""Types of eight bytes."""
_FLOAT, _INT32, _INT64, _DOUBLE, _UINT64 = 4, 5, 7, 10, 11
_DATA_FIELD = {1: _FLOAT, 7: _INT64, 11: _DOUBLE, 12: _UINT64, 13: _UINT64}
"""Which field holds the data that are not raw; all other types of at least eight bits are in int32_data."""
_NUMPY = {1: "<f4", 6: "<i4", 7: "<i8"}

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


def read_tensor(wire: Wire, span: Span) -> Tensor:
    """Read a TensorProto, without its weights.

    :raises Malformed: its data are not as long as its shape says, or stand there twice.
    :raises Unsafe: its data are elsewhere, or no numbers.
    """
    once, name, dims, kind_of, raw = Once(), "", list[int](), 0, None
    typed: dict[int, list[tuple[int, int, int]]] = {}
    for number, kind, start, stop in wire.fields(span):
        if number == 1:
            dims += integers(wire, kind, (start, stop))
        elif number == 2:
            once(number, kind, VARINT)
            kind_of = start
        elif number in (8, 9):
            once(number, kind, BYTES)
            if number == 8:
                name = wire.text((start, stop))
            else:
                raw = (start, stop)
        elif number in (_FLOAT, _INT32, _INT64, _DOUBLE, _UINT64):
            typed.setdefault(number, []).append((kind, start, stop))
        else:
            _refuse_elsewhere(number, kind, start)
    if kind_of not in BITS:
        raise Unsafe(f"holds a tensor '{name}' of the type {kind_of}, which dermedge refuses to load.")
    if len(dims) > MOST_AXES or any(size < 0 for size in dims):
        raise Malformed(f"the tensor '{name}' has no possible shape")
    values = _values(wire, kind_of, prod(dims), raw, typed)
    return Tensor(name, tuple(dims), kind_of, None if values is None else values.reshape(dims))


def _refuse_elsewhere(number: int, kind: int, value: int) -> None:
    """Refuse what says that a tensor's data are not in their usual place."""
    if number == 13 or (number == 14 and (kind != VARINT or value != 0)):  # 14 data_location, 1 = EXTERNAL
        raise Unsafe(
            "keeps weights outside the file (external data), which dermedge refuses to load. Export it again as one"
            " file."
        )
    if number in (3, 6):  # segment, string_data
        raise Unsafe("holds tensors of strings or in segments, which dermedge refuses to load.")


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
        if raw[1] - raw[0] != (count * BITS[kind_of] + 7) // 8:
            raise Malformed("a tensor's data are not as long as its shape says")
        if count > _FEW or kind_of not in _NUMPY:
            return None
        return np.frombuffer(wire.view[slice(*raw)], _NUMPY[kind_of])
    wanted = _DATA_FIELD.get(kind_of, _INT32)
    pieces = typed.get(wanted, [])
    if set(typed) - {wanted} or _count(wire, wanted, pieces) != count or (BITS[kind_of] < 8 and count):
        raise Malformed("a tensor's data are not as long as its shape says")
    if count > _FEW or kind_of not in _NUMPY:
        return None
    numbers: list[Any] = []
    for kind, start, stop in pieces:
        numbers += (floats if wanted == _FLOAT else integers)(wire, kind, (start, stop))
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


def floats(wire: Wire, kind: int, span: Span) -> list[float]:
    """Read a float32, or several one behind the other."""
    if kind not in (FIXED32, BYTES) or (span[1] - span[0]) % 4:
        raise Malformed("something else stands where a number is expected")
    return [float(value) for value in np.frombuffer(wire.view[slice(*span)], "<f4")]


def integers(wire: Wire, kind: int, span: Span) -> list[int]:
    """Read an integer, or several one behind the other."""
    if kind == VARINT:
        return [signed(span[0])]
    if kind != BYTES:
        raise Malformed("something else stands where a number is expected")
    return wire.varints(span)
