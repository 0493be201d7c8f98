"""How much memory a graph can take, found out before ONNX Runtime sees it: a file of 5 kB must not take 4 GB.

The shape of every tensor is computed for a batch of one picture and for the largest batch. Refused are operators
without a rule (`shape_compute`, `shape_layout`), sizes that depend on the data, one tensor or all together over the
limits below, and tensors that grow faster than the batch. ONNX Runtime computes constants when it opens a file, so
they count as everything else. Not covered: the time that a graph takes, what a provider needs beside the tensors and
the windows of its convolutions, and pictures of another size than the runtime feeds, where a graph takes any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .graph import Graph, Node
from .shape_compute import COMPUTING, work_space
from .shape_given import Given, Misfit
from .shape_layout import LAYING_OUT, constant_value, places, shape_part
from .tensors import MOST_AXES, WIDE, Shape, Tensor, Unsafe

LARGEST_BATCH = 1024
ONE_TENSOR, ALL_TENSORS = 1 << 25, 1 << 27
"""Bytes of one tensor, and of all of them together, that any graph may take for one picture: 32 and 128 MiB."""
ONE_PER_INPUT, ALL_PER_INPUT = 128, 1024
"""Beyond, for every byte of the network's inputs as float32: large pictures make large tensors. dermedge's own graphs,
with explanations and the removal of hair, take at most 50 for one tensor and 460 in all."""
ONE_PER_WEIGHT, ALL_PER_WEIGHT = 8, 32
"""Beyond, for every byte of the file: eight-bit weights become float32, and may be turned and cut. dermedge's own take
3 and 9."""

_RULES = {**COMPUTING, **LAYING_OUT}
_FEW = 64
_EIGHT_BYTES = frozenset({"ArgMax", "ArgMin", "Shape", "TopK"})
_FIRST_ALONE = {name for name in _RULES if name.startswith("Reduce")} | set(LAYING_OUT) - {"Concat", "OneHot", "Range"}
"""Their result is of the type of their first input; the others say axes, places or sizes."""
_Values = dict[str, NDArray[Any]]
Rows = Mapping[str, Shape]
"""By input: the shape of the rows that it is fed with, where the graph leaves that open."""


def check_sizes(graph: Graph, file_bytes: int, rows: Rows) -> None:
    """Refuse a graph that could take more memory than its file and its inputs explain.

    :param file_bytes: length of the file.
    :param rows: what an input without a size is fed with; no other input may be without.
    :raises Unsafe: see the header; the text follows the name of the file.
    """
    one, many = _Walk(graph, 1, rows), _Walk(graph, LARGEST_BATCH, rows)
    inputs = sum(4 * prod(one.shapes[name]) for name in graph.inputs)
    largest = ONE_TENSOR + ONE_PER_INPUT * inputs + ONE_PER_WEIGHT * file_bytes
    total = ALL_TENSORS + ALL_PER_INPUT * inputs + ALL_PER_WEIGHT * file_bytes
    spent = 0
    for node in graph.nodes:
        taken = one.step(node)
        spent += taken
        if taken > largest or spent > total:
            raise Unsafe(
                f"would take more memory than its size explains: operator {node.operator} for"
                f" '{node.outputs[0] if node.outputs else ''}' {taken / 1e6:,.0f} MB, all so far {spent / 1e6:,.0f} MB"
                f" for one picture; the limits are {largest / 1e6:,.0f} and {total / 1e6:,.0f} MB."
            )
        if many.step(node) > LARGEST_BATCH * taken:
            raise Unsafe(f"holds an operator, {node.operator}, whose result grows faster than the batch.")
    for name in graph.outputs:
        shape = many.shapes.get(name)
        if shape is not None and shape[:1] != (LARGEST_BATCH,):
            raise Unsafe(f"gives in '{name}' not one row for each picture. Export it again.")


class _Walk:
    """The shapes of a graph for one size of the batch, node by node."""

    def __init__(self, graph: Graph, batch: int, rows: Rows) -> None:
        self._batch = batch
        self.shapes: dict[str, Shape] = {}
        self._wide: set[str] = set()
        self._values: _Values = {}
        for tensor in graph.initializers.values():
            self._store(tensor.name, tensor)
        for name, (kind, axes) in graph.inputs.items():
            row = _row(axes[1:], rows.get(name, ()))
            if axes[:1] != [None] or row is None:
                raise Unsafe(f"has an input '{name}' that is not a batch of any size of rows of one size.")
            self.shapes[name] = (batch, *row)
            if kind in WIDE:
                self._wide.add(name)

    def step(self, node: Node) -> int:
        """Compute the shapes of what a node gives; give the bytes that it takes."""
        rule = _RULES.get(node.operator)
        if rule is None:
            raise Unsafe(f"uses the operator {node.operator or 'without a name'}, which dermedge does not run.")
        for name in node.inputs:
            if name and name not in self.shapes:
                raise Unsafe(f"has an operator {node.operator} that reads '{name}', which nothing before it gives.")
        given = Given(
            node,
            [self.shapes[name] if name else None for name in node.inputs],
            [self._values.get(name) for name in node.inputs],
        )
        try:
            results = rule(given)
            if len(results) < len(node.outputs):
                raise Misfit(f"it gives no more than {len(results)} results here")
            return self._keep(given, results)
        except (Misfit, ArithmeticError, LookupError, TypeError, ValueError) as error:
            where = f" on a batch of {self._batch}" if self._batch > 1 else ""
            output = node.outputs[0] if node.outputs else ""
            raise Unsafe(
                f"holds an operator that cannot run{where}: {node.operator} for '{output}': {error}. Export it again."
            ) from error

    def _keep(self, given: Given, results: list[Shape]) -> int:
        node, numbers = given.node, 0
        wide = self._is_wide(node)
        for name, shape in zip(node.outputs, results, strict=False):
            if len(shape) > MOST_AXES:
                raise Misfit("its result has too many axes")
            if name:
                numbers += prod(shape)
                self.shapes[name] = shape
                if wide:
                    self._wide.add(name)
        if node.operator == "Constant":
            self._store(node.outputs[0], constant_value(node))
        elif node.outputs and prod(results[0]) <= _FEW:
            value = _value(given, [self._values.get(name) for name in node.inputs])
            if value is not None and value.shape == results[0]:
                self._values[node.outputs[0]] = value
        return (8 if wide else 4) * numbers + 4 * work_space(given, results[0])

    def _is_wide(self, node: Node) -> bool:
        if node.operator == "Cast":
            return node.attributes.get("to") in WIDE
        if node.operator == "ConstantOfShape":
            filled = node.attributes.get("value")
            return isinstance(filled, Tensor) and filled.type in WIDE
        read = node.inputs[:1] if node.operator in _FIRST_ALONE else node.inputs
        return node.operator in _EIGHT_BYTES or any(name in self._wide for name in read)

    def _store(self, name: str, value: Tensor | NDArray[Any]) -> None:
        """Take in a tensor of the file."""
        numbers = value.values if isinstance(value, Tensor) else value
        self.shapes[name] = value.dims if isinstance(value, Tensor) else value.shape
        if numbers is not None and numbers.size <= _FEW:
            self._values[name] = numbers
        if value.type in WIDE if isinstance(value, Tensor) else value.itemsize == 8:
            self._wide.add(name)


def _row(axes: Sequence[int | None], fed: Shape) -> Shape | None:
    """Give the shape of an input's rows; None where an axis has no size and nobody says what it is fed with."""
    sizes = fed if len(fed) == len(axes) else (-1,) * len(axes)
    row = tuple(size if size is not None else given for size, given in zip(axes, sizes, strict=True))
    return None if min([0, *row]) < 0 else row


def _value(given: Given, values: list[NDArray[Any] | None]) -> NDArray[Any] | None:
    """Compute the few integers of which exporters make shapes; None for everything else."""
    node = given.node
    if node.operator == "Shape":
        return np.array(given.shape(0)[shape_part(given)], np.int64)
    first = values[0] if values else None
    if first is None or first.dtype.kind != "i" or any(value is None or value.dtype.kind != "i" for value in values):
        return None
    integers = [value for value in values if value is not None]
    if node.operator in ("Identity", "Cast"):
        return first if node.attributes.get("to", 7) in (6, 7) else None
    if node.operator == "Concat":
        return np.concatenate(integers, axis=given.integer("axis", 0))
    if node.operator == "Gather":
        return np.asarray(np.take(first, integers[1], axis=given.integer("axis", 0), mode="raise"))
    if node.operator == "Slice":
        return np.asarray(first[np.ix_(*places(given))])
    if node.operator in ("Squeeze", "Unsqueeze", "Reshape"):
        sizes = _RULES[node.operator](given)[0]
        return first.reshape(sizes)
    if node.operator in ("Add", "Sub", "Mul") and len(integers) == 2:
        operation = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply}[node.operator]
        return np.asarray(operation(*integers))
    return None
