"""What the rules of `shape_compute` and `shape_layout` have in common: an operator's inputs and attributes, checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from .graph import Node
from .tensors import Shape


class Misfit(Exception):
    """Shapes or attributes that no operator of this kind can take, or a size that is not known before it runs."""


class Given:
    """What one operator takes: shapes, and values where they are few and known."""

    __slots__ = ("_shapes", "_values", "node")

    def __init__(self, node: Node, shapes: Sequence[Shape | None], values: Sequence[NDArray[Any] | None]) -> None:
        """Take one entry per input; None for one that is left out, or whose values are not known."""
        self.node, self._shapes, self._values = node, shapes, values

    def __len__(self) -> int:
        """Number of inputs."""
        return len(self._shapes)

    def has(self, index: int) -> bool:
        """Whether an optional input is there."""
        return index < len(self._shapes) and self._shapes[index] is not None

    def shape(self, index: int) -> Shape:
        """Shape of an input."""
        if not self.has(index):
            raise Misfit(f"input {index + 1} is missing")
        shape = self._shapes[index]
        assert shape is not None
        return shape

    def array(self, index: int) -> NDArray[Any]:
        """Values of an input that says how large the result is."""
        self.shape(index)
        value = self._values[index]
        if value is None:
            raise Misfit("its size is not known before it runs")
        return value

    def ints(self, index: int) -> list[int]:
        """Integers of an input."""
        value = self.array(index)
        if value.dtype.kind != "i":
            raise Misfit(f"input {index + 1} holds no integers")
        return [int(number) for number in value.ravel()]

    def integer(self, name: str, default: int) -> int:
        """An attribute."""
        value = self.node.attributes.get(name, default)
        if not isinstance(value, int):
            raise Misfit(f"{name} is no integer")
        return value

    def integers(self, name: str, default: Sequence[int]) -> list[int]:
        """An attribute that lists integers."""
        value = self.node.attributes.get(name)
        if value is None:
            return list(default)
        if not isinstance(value, list) or not all(isinstance(number, int) for number in value):
            raise Misfit(f"{name} lists no integers")
        return value

    def text(self, name: str, default: str) -> str:
        """An attribute."""
        value = self.node.attributes.get(name, default.encode())
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


Rule = Callable[[Given], "list[Shape]"]


def axis_of(axis: int, rank: int) -> int:
    """Give the number of an axis, which may be counted from the end."""
    if not -rank <= axis < rank:
        raise Misfit(f"there is no axis {axis}")
    return axis % rank


def axes_of(axes: Sequence[int], rank: int) -> list[int]:
    """Give the numbers of different axes."""
    found = [axis_of(axis, rank) for axis in axes]
    if len(set(found)) != len(found):
        raise Misfit("an axis is named twice")
    return found


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """Give the shape that arrays take together, as in numpy."""
    result: list[int] = []
    for shape in shapes:
        if len(shape) > len(result):
            result = [1] * (len(shape) - len(result)) + result
        for place in range(-1, -len(shape) - 1, -1):
            if result[place] == 1:
                result[place] = shape[place]
            elif shape[place] not in (1, result[place]):
                raise Misfit("the shapes do not fit together")
    return tuple(result)
