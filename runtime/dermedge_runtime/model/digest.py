"""The SHA-256 of a whole model file, kept inside the file: one changed bit anywhere, and the file says so.

The value is an entry of the description (`file_sha256`, 64 hexadecimal digits). It is the hash of the file with those
digits as zeros. Its place follows from the format, never from a search: the first entry `dermedge` of metadata_props,
and in its JSON the entry of that name at the outermost level. This finds damage, not forgery: whoever changes a file on
purpose can renew the value too, with `renew_digest`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from dermedge_runtime.errors import ModelFileError
from dermedge_runtime.files.regular_file import read_model_bytes

from .description import DIGEST_KEY, METADATA_KEY
from .scanner.graph import string_pair
from .scanner.wire_format import BYTES, Malformed, Span, Wire

BLANK = "0" * 64
"""What stands in the place of the digest while it is computed."""
_BLANK = BLANK.encode()
_SPACE = re.compile(r"[ \t\n\r]*")
_EXACT = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
_METADATA_FIELD, _KEY_FIELD, _VALUE_FIELD = 14, 1, 2


def description_span(content: bytes | memoryview, source: str) -> Span | None:
    """Find where the description stands in a file, or None where it has none.

    :param source: name of the file, for messages.
    :raises ModelFileError: no ONNX, or truncated.
    """
    places = _description(content, source)
    return None if places is None else places[1]


def check_digest(content: bytes | memoryview, description: Span, source: str) -> str | None:
    """Compare a file with the digest that it carries.

    :param description: where its JSON stands.
    :return: the SHA-256 of the file as it is, which costs nothing more here; None where the file carries no digest: an
        earlier dermedge wrote it.
    :raises ModelFileError: the file is not what was exported, or the digest is none.
    """
    return _check(memoryview(content), description, source, "Copy it again, or export again.")


def check_text(text: bytes, source: str, mend: str) -> bool:
    """Compare a JSON object with the digest of itself that it carries, as `seal_text` wrote it.

    :param mend: last sentence of the message.
    :return: False where it carries none.
    :raises ModelFileError: it is not what was written, or the digest is none.
    """
    return _check(memoryview(text), (0, len(text)), source, mend) is not None


def _check(view: memoryview, description: Span, source: str, mend: str) -> str | None:
    place = digest_span(view[slice(*description)])
    if place is None:
        return None
    start, stop = description[0] + place[0], description[0] + place[1]
    found = bytes(view[start:stop])
    if not re.fullmatch(rb'"[0-9a-f]{64}"', found):
        raise ModelFileError(f"{source} is damaged: its {DIGEST_KEY} is no SHA-256. {mend}")
    # Both hashes begin alike, and the description stands near the end.
    before = hashlib.sha256(view[: start + 1])
    if _hash(view, start + 1, stop - 1, before.copy()) != found[1:-1]:
        raise ModelFileError(f"{source} is damaged: its content is not what was exported (SHA-256). {mend}")
    before.update(view[start + 1 :])
    return before.hexdigest()


def sealed(content: bytes, source: str) -> bytes:
    """Give a model file's content with the right digest; one that lacks it gets it.

    :param source: name of the file, for messages.
    :raises ModelFileError: no ONNX file with a description.
    """
    places = _description(content, source)
    if places is None:
        raise ModelFileError(f"{source} has no description of dermedge, so it has no place for a digest.")
    entry, (start, stop) = places
    text = _with_blank(content[start:stop], source)
    before = len(_field(_METADATA_FIELD, content[slice(*entry)])) - (entry[1] - entry[0])
    head = entry[0] - before
    if head < 0 or content[head : entry[1]] != _field(_METADATA_FIELD, content[slice(*entry)]):
        raise ModelFileError(f"{source} is no complete ONNX file (a length is written oddly). Export or copy it again.")
    pair = _field(_KEY_FIELD, METADATA_KEY.encode()) + _field(_VALUE_FIELD, text)
    whole = bytearray(content[:head] + _field(_METADATA_FIELD, pair) + content[entry[1] :])
    renewed = _description(whole, source)
    assert renewed is not None
    description = renewed[1]
    place = digest_span(memoryview(whole)[slice(*description)])
    assert place is not None
    first, last = description[0] + place[0] + 1, description[0] + place[1] - 1
    whole[first:last] = _hash(memoryview(whole), first, last)
    return bytes(whole)


def renew_digest(path: str | os.PathLike[str]) -> None:
    """Make a model file's digest right for what the file is now, atomically; one that lacks it gets it.

    Nothing else is judged or changed: whether the file may be used is found out when it is opened.

    :raises ModelFileError: the file cannot be read, or is no ONNX file with a description.
    """
    from dermedge_runtime.files import atomic_path

    path = Path(path)
    content = sealed(read_model_bytes(path), path.name)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def seal_text(text: bytes, source: str) -> bytes:
    """Give a JSON object with the right digest of itself; one that lacks it gets it as its first entry.

    :param source: name of the file, for messages.
    :raises ModelFileError: no JSON object.
    """
    result = _with_blank(text, source)
    place = digest_span(memoryview(result))
    assert place is not None
    first, last = place[0] + 1, place[1] - 1
    return result[:first] + _hash(memoryview(result), first, last) + result[last:]


def _with_blank(text: bytes, source: str) -> bytes:
    """Give a JSON object with zeros as its digest; what else is in it stays as it is, right or wrong."""
    place, quoted = digest_span(memoryview(text)), b'"' + _BLANK + b'"'
    if place is not None:
        return text[: place[0]] + quoted + text[place[1] :]
    head = re.match(rb"[ \t\n\r]*\{([ \t\n\r]*)", text)
    if head is None:
        raise ModelFileError(f"{source}: its description is no JSON object, so it has no place for a digest.")
    comma = b"" if text[head.end() : head.end() + 1] == b"}" else b","
    entry = b'"' + DIGEST_KEY.encode() + b'":' + (b" " if head[1] else b"") + quoted
    return text[: head.end()] + entry + comma + head[1] + text[head.end() :]


def digest_span(text: memoryview) -> Span | None:
    """Find the digest's value in a JSON object, with its quotation marks; None where it has none, or is no object."""
    try:
        # One character a byte: the places are those of the bytes, and whether the text is UTF-8 is asked elsewhere.
        for name, start, stop in _members(str(text, "latin-1")):
            if name == DIGEST_KEY:
                return start, stop
    except (ValueError, RecursionError):  # what is no JSON is refused where the description is read
        return None
    return None


def _members(text: str) -> Iterator[tuple[str, int, int]]:
    """Give each entry of the outermost object: its name, and where its value stands."""
    position = _after(text, _skip(text, 0), "{")
    while True:
        name, position = _EXACT.raw_decode(text, _skip(text, position))
        start = _skip(text, _after(text, _skip(text, position), ":"))
        _, stop = _EXACT.raw_decode(text, start)
        yield str(name), start, stop
        position = _skip(text, stop)
        if text[position : position + 1] != ",":
            return
        position += 1


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return position if match is None else match.end()


def _after(text: str, position: int, mark: str) -> int:
    if text[position : position + 1] != mark:
        raise ValueError(f"there is no {mark}")
    return position + 1


def _hash(view: memoryview, start: int, stop: int, before: hashlib._Hash | None = None) -> bytes:
    hashed = before or hashlib.sha256(view[:start])
    hashed.update(_BLANK)
    hashed.update(view[stop:])
    return hashed.hexdigest().encode()


def _description(content: bytes | bytearray | memoryview, source: str) -> tuple[Span, Span] | None:
    """Find the first entry `dermedge` of metadata_props: the entry, and its value."""
    wire = Wire(content)
    try:
        for number, kind, start, stop in wire.fields(wire.whole):
            if number == _METADATA_FIELD:
                key, value = string_pair(wire, kind, (start, stop))
                if key == METADATA_KEY:
                    return (start, stop), value
    except Malformed as error:
        raise ModelFileError(f"{source} is no complete ONNX file ({error}). Export or copy it again.") from error
    return None


def _field(number: int, content: bytes) -> bytes:
    """Encode a field of bytes."""
    head = bytearray([number << 3 | BYTES])
    length = len(content)
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + content
