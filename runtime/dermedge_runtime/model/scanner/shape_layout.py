"""The shape of what an operator lays out anew: reshaped, cut, repeated, filled, enlarged.

Here are the operators that make much of little (Expand, Tile, Pad, ConstantOfShape, Range, OneHot, Resize), so a size
that is not known before the graph runs is refused.
"""

from __future__ import annotations

from math import floor, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .graph import Node
from .shape_given import Given, Misfit, Rule, axes_of, axis_of, broadcast
from .tensors import Shape, Tensor


def _reshape(given: Given) -> list[Shape]:
    shape, wanted = given.shape(0), given.ints(1)
    count = prod(shape)
    if not given.integer("allowzero", 0):
        if any(size == 0 and place >= len(shape) for place, size in enumerate(wanted)):
            raise Misfit("the shapes do not fit together")
        wanted = [shape[place] if size == 0 else size for place, size in enumerate(wanted)]
    known = prod(size for size in wanted if size != -1)
    if wanted.count(-1) > 1 or min([0, *wanted]) < -1 or (-1 in wanted and (known == 0 or count % known)):
        raise Misfit("the shapes do not fit together")
    result = tuple(count // known if size == -1 else size for size in wanted)
    if prod(result) != count:
        raise Misfit("the shapes do not fit together")
    return [result]


def _flatten(given: Given) -> list[Shape]:
    shape, axis = given.shape(0), given.integer("axis", 1)
    axis = axis if axis == len(shape) else axis_of(axis, max(1, len(shape)))
    return [(prod(shape[:axis]), prod(shape[axis:]))]


def _squeeze(given: Given) -> list[Shape]:
    shape = given.shape(0)
    axes = axes_of(given.ints(1), len(shape)) if given.has(1) else [i for i, size in enumerate(shape) if size == 1]
    if any(shape[axis] != 1 for axis in axes):
        raise Misfit("the shapes do not fit together")
    return [tuple(size for place, size in enumerate(shape) if place not in axes)]


def _unsqueeze(given: Given) -> list[Shape]:
    shape, added = given.shape(0), given.ints(1)
    axes, rest = set(axes_of(added, len(shape) + len(added))), iter(shape)
    return [tuple(1 if place in axes else next(rest) for place in range(len(shape) + len(added)))]


def _transpose(given: Given) -> list[Shape]:
    shape = given.shape(0)
    order = given.integers("perm", range(len(shape))[::-1])
    if sorted(order) != list(range(len(shape))):
        raise Misfit("perm is no order of the axes")
    return [tuple(shape[axis] for axis in order)]


def _concat(given: Given) -> list[Shape]:
    shapes = [given.shape(index) for index in range(len(given))]
    if not shapes:
        raise Misfit("it takes nothing")
    axis = axis_of(given.integer("axis", 0), len(shapes[0]))
    rest = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    if len(rest) > 1 or len({len(shape) for shape in shapes}) > 1:
        raise Misfit("the shapes do not fit together")
    return [(*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])]


def _split(given: Given) -> list[Shape]:
    shape, count = given.shape(0), len(given.node.outputs)
    axis = axis_of(given.integer("axis", 0), len(shape))
    if given.has(1):
        sizes = given.ints(1)
    else:
        each = -(-shape[axis] // count)
        sizes = [each] * (count - 1) + [shape[axis] - each * (count - 1)]
    if len(sizes) != count or sum(sizes) != shape[axis] or min(sizes) < 0:
        raise Misfit("the shapes do not fit together")
    return [(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes]


def places(given: Given) -> list[range]:
    """Give what a Slice takes along each axis of its input, by ONNX's rules, which are not Python's for steps back."""
    shape, starts, ends = given.shape(0), given.ints(1), given.ints(2)
    axes = axes_of(given.ints(3) if given.has(3) else range(len(starts)), len(shape))
    steps = given.ints(4) if given.has(4) else [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise Misfit("starts, ends, axes and steps do not fit together")
    taken = [range(size) for size in shape]
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        size = shape[axis]
        first, last = (start + size if start < 0 else start), (end + size if end < 0 else end)
        if step > 0:
            first, last = min(max(first, 0), size), min(max(last, 0), size)
        else:
            first, last = min(max(first, 0), size - 1), min(max(last, -1), size - 1)
        taken[axis] = range(first, last, step)
    return taken


def _slice(given: Given) -> list[Shape]:
    return [tuple(len(taken) for taken in places(given))]


def _gather(given: Given) -> list[Shape]:
    shape, places = given.shape(0), given.shape(1)
    axis = axis_of(given.integer("axis", 0), len(shape))
    return [(*shape[:axis], *places, *shape[axis + 1 :])]


def _gather_elements(given: Given) -> list[Shape]:
    return [given.shape(1)]


def _expand(given: Given) -> list[Shape]:
    return [broadcast([given.shape(0), tuple(_sizes(given, 1))])]


def _sizes(given: Given, index: int) -> list[int]:
    sizes = given.ints(index)
    if min([0, *sizes]) < 0:
        raise Misfit("a size is negative")
    return sizes


def _tile(given: Given) -> list[Shape]:
    shape, repeats = given.shape(0), _sizes(given, 1)
    if len(repeats) != len(shape):
        raise Misfit("the shapes do not fit together")
    return [tuple(size * times for size, times in zip(shape, repeats, strict=True))]


def _pad(given: Given) -> list[Shape]:
    shape, pads = list(given.shape(0)), given.ints(1)
    axes = axes_of(given.ints(3) if given.has(3) else range(len(shape)), len(shape))
    if len(pads) != 2 * len(axes):
        raise Misfit("the shapes do not fit together")
    for place, axis in enumerate(axes):
        shape[axis] += pads[place] + pads[place + len(axes)]
    if min([0, *shape]) < 0:
        raise Misfit("it takes more away than there is")
    return [tuple(shape)]


def _shape_of(given: Given) -> list[Shape]:
    return [(len(given.shape(0)[shape_part(given)]),)]


def shape_part(given: Given) -> slice:
    """Give the axes that a Shape tells."""
    end = given.node.attributes.get("end")
    return slice(given.integer("start", 0), end if isinstance(end, int) else None)


def constant_value(node: Node) -> Tensor | NDArray[Any]:
    """Give what a Constant holds: a tensor of the file, or the numbers of an attribute."""
    for name, value in node.attributes.items():
        if name == "value" and isinstance(value, Tensor):
            return value
        if name in ("value_int", "value_ints") and isinstance(value, int | list):
            return np.array(value, np.int64)
        if name in ("value_float", "value_floats") and isinstance(value, float | list):
            return np.array(value, np.float32)
    raise Misfit("it holds no numbers")


def _constant(given: Given) -> list[Shape]:
    value = constant_value(given.node)
    return [value.dims if isinstance(value, Tensor) else value.shape]


def _filled(given: Given) -> list[Shape]:
    value = given.node.attributes.get("value")
    if value is not None and not (isinstance(value, Tensor) and prod(value.dims) == 1):
        raise Misfit("it is filled with more than one number")
    return [tuple(_sizes(given, 0))]


def _range(given: Given) -> list[Shape]:
    values = [given.array(index) for index in range(3)]
    if any(value.size != 1 for value in values):
        raise Misfit("it takes three numbers")
    start, limit, step = (float(value.ravel()[0]) for value in values)
    count = (limit - start) / step if step else np.nan
    if not np.isfinite(count):
        raise Misfit("it has no end")
    return [(max(0, -floor(-count)),)]


def _one_hot(given: Given) -> list[Shape]:
    shape, depth = list(given.shape(0)), given.array(1)
    if depth.size != 1:
        raise Misfit("its depth is no number")
    shape.insert(axis_of(given.integer("axis", -1), len(shape) + 1), int(depth.ravel()[0]))
    return [tuple(shape)]


def _top_k(given: Given) -> list[Shape]:
    shape, count = list(given.shape(0)), given.ints(1)
    axis = axis_of(given.integer("axis", -1), len(shape))
    if len(count) != 1 or not 0 <= count[0] <= shape[axis]:
        raise Misfit("the shapes do not fit together")
    shape[axis] = count[0]
    return [tuple(shape)] * 2


def _resize(given: Given) -> list[Shape]:
    shape = list(given.shape(0))
    axes = axes_of(given.integers("axes", range(len(shape))), len(shape))
    if given.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise Misfit("it keeps the ratio of the sides")
    if given.has(3) and given.shape(3) != (0,):
        sizes = _sizes(given, 3)
    else:
        scales = given.array(2).ravel()
        if len(scales) != len(axes) or not np.isfinite(scales).all() or (scales <= 0).any():
            raise Misfit("its scales make no sense")
        sizes = [floor(shape[axis] * float(scale)) for axis, scale in zip(axes, scales, strict=True)]
    if len(sizes) != len(axes):
        raise Misfit("the shapes do not fit together")
    for axis, size in zip(axes, sizes, strict=True):
        shape[axis] = size
    return [tuple(shape)]


def _space(deeper: bool) -> Rule:
    def rule(given: Given) -> list[Shape]:
        shape, block = given.shape(0), given.integer("blocksize", 0)
        if len(shape) != 4 or block < 1:
            raise Misfit("it takes pictures")
        batch, depth, height, width = shape
        if deeper:
            return [(batch, depth * block**2, height // block, width // block)]
        return [(batch, depth // block**2, height * block, width * block)]

    return rule


LAYING_OUT: dict[str, Rule] = {
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _filled,
    "DepthToSpace": _space(deeper=False),
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "OneHot": _one_hot,
    "Pad": _pad,
    "Range": _range,
    "Reshape": _reshape,
    "Resize": _resize,
    "Shape": _shape_of,
    "Slice": _slice,
    "SpaceToDepth": _space(deeper=True),
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "TopK": _top_k,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
