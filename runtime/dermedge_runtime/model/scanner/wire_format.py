"""Read protobuf's wire format with the standard library: every field of a message, by its place in the file.

Stricter than protobuf's own readers, so that nothing can mean one thing here and another to ONNX Runtime: groups,
field number 0, keys of more than 32 and numbers of more than 64 bits are refused. The number of fields is limited, so
that a file of nothing but tiny fields takes a second and not minutes.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MOST_FIELDS = 400_000
"""Of all messages together; the model in the box has about 6,000."""

Span = tuple[int, int]
"""Offsets of a value in the file: its first byte, and the one behind its last."""


class Malformed(Exception):
    """The bytes are no protobuf message of the expected shape."""


class Wire:
    """The bytes of one file."""

    def __init__(self, content: bytes | bytearray | memoryview) -> None:
        """Take the content without copying it."""
        self.view = memoryview(content)
        self._left = MOST_FIELDS

    @property
    def whole(self) -> Span:
        """The span of the outermost message."""
        return 0, len(self.view)

    def fields(self, span: Span) -> Iterator[tuple[int, int, int, int]]:
        """Give every field of a message: number, kind, and its span; of a VARINT the value stands in the span's place.

        :raises Malformed: no message, or more fields than `MOST_FIELDS`.
        """
        view = self.view
        position, end = span
        while position < end:
            self._left -= 1
            if self._left < 0:
                raise Malformed(f"it has more than {MOST_FIELDS:,} fields")
            key = view[position]
            if key < 0x80:
                position += 1
            else:
                key, position = self.varint(position, end)
                if key >> 32:  # protobuf drops the high bits, so the field would be another one for ONNX Runtime
                    raise Malformed("a field number is out of range")
            number, kind = key >> 3, key & 7
            if number == 0:
                raise Malformed("field number 0")
            if kind == VARINT:
                value, position = self.varint(position, end)
                yield number, kind, value, 0
                continue
            if kind == BYTES:
                length, position = self.varint(position, end)
            elif kind in (FIXED32, FIXED64):
                length = 4 if kind == FIXED32 else 8
            else:
                raise Malformed(f"field type {kind}")
            stop = position + length
            if stop > end:
                raise Malformed(f"{stop - end} bytes are missing")
            yield number, kind, position, stop
            position = stop

    def varint(self, position: int, end: int) -> tuple[int, int]:
        """Read one number; give it and the offset behind it."""
        value = shift = 0
        while True:
            if position >= end or shift > 63:
                raise Malformed("it ends in the middle of a number")
            byte = self.view[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value >> 64:
                    raise Malformed("a number is out of range")
                return value, position
            shift += 7

    def varints(self, span: Span) -> list[int]:
        """Read numbers that stand one behind the other (a packed field), as signed 64 bits."""
        position, end = span
        found = []
        while position < end:
            value, position = self.varint(position, end)
            found.append(signed(value))
        return found

    def text(self, span: Span) -> str:
        """Read a string.

        :raises Malformed: no UTF-8.
        """
        try:
            return str(self.view[slice(*span)], "utf-8")
        except UnicodeDecodeError as error:
            raise Malformed(str(error)) from error


def signed(value: int) -> int:
    """Read 64 bits as a number with a sign."""
    return value - (1 << 64) if value >> 63 else value


def require(kind: int, wanted: int) -> None:
    """Refuse a field of another kind than the format's: protobuf would pass over it as unknown.

    :raises Malformed: it is of another kind.
    """
    if kind != wanted:
        raise Malformed(
            "a number stands where a message is expected"
            if wanted == BYTES
            else "something else stands where a number is expected"
        )


class Once:
    """Refuse a second value of a field that has one: protobuf would merge the two, or keep the last."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._seen: set[int] = set()

    def __call__(self, number: int, kind: int, wanted: int) -> None:
        """Note a field.

        :raises Malformed: it stood there before, or is of another kind.
        """
        require(kind, wanted)
        if number in self._seen:
            raise Malformed(f"field {number} stands there twice")
        self._seen.add(number)
