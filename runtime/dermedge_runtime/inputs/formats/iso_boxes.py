"""The boxes of AVIF and HEIC files: whether all of them are there, and which kinds of picture they say they hold.

Not covered: what the boxes mean; their decoders know.
"""

from __future__ import annotations

from collections.abc import Iterable

from dermedge_runtime.inputs.picture_memory import Damaged

_HOLE = 128
"""So many equal bytes, 0 or 255, no coder of these formats writes; of flat pictures it writes three in a row."""
_MOST_BOXES = 100_000


def brands(content: bytes) -> frozenset[bytes]:
    """Give the kinds of file, such as avif, that the first box names; none where it is no such file."""
    if content[4:8] != b"ftyp":
        return frozenset()
    end = min(int.from_bytes(content[:4], "big"), len(content), 1024)
    return frozenset(content[place : place + 4] for place in (8, *range(16, end - 3, 4)))


def check_boxes(content: bytes) -> list[tuple[int, int]]:
    """Walk from box to box.

    :return: where the boxes with the pixel data begin and end.
    :raises Damaged: one breaks off.
    """
    found = []
    place, count = 0, 0
    while place < len(content):
        size, head = int.from_bytes(content[place : place + 4], "big"), 8
        if size == 1:
            size, head = int.from_bytes(content[place + 8 : place + 16], "big"), 16
        is_data = content[place + 4 : place + 8] == b"mdat"
        end = len(content) if is_data and size == 0 else place + size
        count += 1
        if end > len(content) or end < place + head or count > _MOST_BOXES:
            raise Damaged("it breaks off before its end")
        if is_data:
            found.append((place + head, end))
        place = end
    return found


def check_holes(content: bytes, boxes: Iterable[tuple[int, int]], notes: Iterable[bytes | None]) -> None:
    """See that no stretch of the pixel data is empty.

    :param boxes: as `check_boxes` gives them.
    :param notes: blocks of EXIF and XMP, which lie in the same boxes and may be filled up with zeros.
    :raises Damaged: there is a hole in the pixel data.
    """
    passed = [(place, place + len(note)) for note in notes if note and (place := content.find(note)) >= 0]
    for start, end in boxes:
        for fill in (b"\0", b"\xff"):
            place = start
            while (place := content.find(fill * _HOLE, place, end)) >= 0:
                last = next((last for first, last in passed if first - _HOLE < place < last), None)
                if last is None:
                    raise Damaged("there is a hole in its pixel data")
                place = last
