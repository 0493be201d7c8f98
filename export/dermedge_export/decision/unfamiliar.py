"""A score for pictures unlike those of the training, fitted on the statistics of features and computed in the graph.

Standardised statistics z of a picture are compared with those of training photographs by their principal components:
either the distance from the centre in `components` of them, each measured by its own deviation (Mahalanobis; Lee et
al., NeurIPS 2018), or the length of what these components leave over (residual; Wang et al., "ViM", CVPR 2022). 1.0 is
the 95th percentile of the validation photographs. Not covered: where the statistics come from (`early_stages`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.metrics import roc_auc_score

FAMILIAR_SHARE = 0.95
"""Of the validation photographs, whose score is at most 1."""
MAHALANOBIS, RESIDUAL = "mahalanobis", "residual"
KINDS = tuple((method, components) for method in (MAHALANOBIS, RESIDUAL) for components in (8, 16, 32, 48))
"""What is tried on every tensor: method and number of components."""
LARGEST_MATRIX = 2**15
"""Numbers in the matrix of a score, a byte each: what is larger is not tried, it would be no small part of a file."""
AS_GOOD = 0.002
"""What AUROC may differ by between scores that tell the drawn outliers apart alike."""
_SMALLEST_DEVIATION = 1e-6
_STEPS = 127
_SMALLEST_VARIANCE = 1e-4
"""Of a component, in units of standardised statistics: below it a deviation is rounding."""
_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Unfamiliarity:
    """A fitted score of one tensor's rows."""

    tensor: str
    """Float32 [B, D]."""
    method: str
    components: int
    centre: _Floats
    """Float64 [D]."""
    density: _Floats
    """1 / standard deviation, float64 [D]."""
    matrix: _Floats
    """Float64 [D, components]: the principal components, for Mahalanobis over their standard deviations."""
    limit: float = 1.0
    """What is 1.0."""

    def __call__(self, rows: NDArray[np.floating[Any]]) -> _Floats:
        """Score rows, float [N, D] to float64 [N]."""
        z = (rows - self.centre) * self.density
        inside = ((z @ self.matrix) ** 2).sum(axis=1)
        squares = inside if self.method == MAHALANOBIS else np.maximum((z**2).sum(axis=1) - inside, 0)
        score: _Floats = np.sqrt(squares) / self.limit
        return score


def fit(
    tensor: str,
    method: str,
    components: int,
    training: NDArray[np.floating[Any]],
    validation: NDArray[np.floating[Any]],
) -> Unfamiliarity:
    """Fit one kind of score.

    :param training: rows of training photographs, float [N, D], D above `components`.
    :param validation: rows of validation photographs, float [M, D].
    """
    rows = training.astype(np.float64)
    centre, density = rows.mean(axis=0), 1 / np.maximum(rows.std(axis=0), _SMALLEST_DEVIATION)
    variances, vectors = np.linalg.eigh(np.cov(((rows - centre) * density).T))
    main = np.argsort(variances)[::-1][:components]
    matrix = vectors[:, main]
    if method == MAHALANOBIS:
        matrix = matrix / np.sqrt(np.maximum(variances[main], _SMALLEST_VARIANCE))
    whole, steps = _in_bytes(matrix)  # as the graph has it
    raw = Unfamiliarity(tensor, method, components, centre, density, whole / steps)
    limit = max(float(np.percentile(raw(validation), 100 * FAMILIAR_SHARE)), _SMALLEST_DEVIATION)
    return Unfamiliarity(tensor, method, components, centre, density, raw.matrix, limit)


@dataclass(frozen=True, slots=True)
class Tried:
    """How well one kind of score tells drawn outliers from validation photographs."""

    score: Unfamiliarity
    auroc: Mapping[str, float]
    """By kind of outlier, 0.5 for chance."""

    @property
    def worst(self) -> float:
        """Of the kind that it tells worst."""
        return min(self.auroc.values())

    @property
    def rank(self) -> tuple[float, float]:
        """What the better of two has more of: that of the worst kind, then the mean."""
        return self.worst, float(np.mean(list(self.auroc.values())))

    def to_record(self) -> dict[str, Any]:
        """Give a JSON-ready dictionary."""
        found = {kind: round(value, 4) for kind, value in self.auroc.items()}
        return {"method": self.score.method, "components": self.score.components, "auroc": found}


def try_all(
    tensors: Sequence[str],
    training: Mapping[str, NDArray[Any]],
    validation: Mapping[str, NDArray[Any]],
    outliers: Mapping[str, Mapping[str, NDArray[Any]]],
) -> list[Tried]:
    """Fit every kind of score on every tensor, the best first: of those as good as any other that of the earliest
    tensor, which knows least about diagnoses.

    :param tensors: the earliest first.
    :param training: rows by tensor, as `fit` takes them.
    :param validation: the same of validation photographs.
    :param outliers: the same by kind of outlier.
    """
    found = []
    for tensor in tensors:
        width = min(training[tensor].shape)
        for method, components in KINDS:
            if components < width and components * training[tensor].shape[1] <= LARGEST_MATRIX:
                score = fit(tensor, method, components, training[tensor], validation[tensor])
                inside = score(validation[tensor])
                auroc = {kind: _auroc(inside, score(rows[tensor])) for kind, rows in outliers.items()}
                found.append(Tried(score, auroc))
    found.sort(key=lambda each: each.rank, reverse=True)
    good = [each for each in found if each.worst >= found[0].worst - AS_GOOD]
    first = min(good, key=lambda each: tensors.index(each.score.tensor))  # the best of this tensor: they are sorted
    return [first, *(each for each in found if each is not first)]


def _in_bytes(matrix: _Floats) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Give a matrix in whole steps, int8 [D, components], and how many are in one, float32 [1, components]."""
    steps = (_STEPS / np.abs(matrix).max(axis=0, keepdims=True)).astype(np.float32)
    return np.rint(matrix * steps).astype(np.int8), steps


def _auroc(inside: _Floats, outside: _Floats) -> float:
    truth = np.concatenate([np.zeros(len(inside)), np.ones(len(outside))])
    return float(roc_auc_score(truth, np.concatenate([inside, outside])))


def add_score(proto: onnx.ModelProto, score: Unfamiliarity, output: str, *, in_bytes: bool) -> None:
    """Compute a score as an output of a graph, float32 [B], in place.

    :param output: its name.
    :param in_bytes: store the matrix in eight bits, a quarter of the room; TensorRT takes no such constant.
    """
    graph, name = proto.graph, output
    stored, read = _stored_matrix(name, score.matrix, in_bytes=in_bytes)
    constants: dict[str, NDArray[Any]] = {
        f"{name}/centre": score.centre.astype(np.float32),
        f"{name}/density": score.density.astype(np.float32),
        **stored,
        f"{name}/axes": np.array([1], dtype=np.int64),
        f"{name}/zero": np.array(0, dtype=np.float32),
        f"{name}/limit": np.array(score.limit, dtype=np.float32),
    }
    inside = f"{name}/inside"
    nodes = [
        *read,
        helper.make_node("Sub", [score.tensor, f"{name}/centre"], [f"{name}/centred"]),
        helper.make_node("Mul", [f"{name}/centred", f"{name}/density"], [f"{name}/z"]),
        helper.make_node("MatMul", [f"{name}/z", f"{name}/matrix"], [f"{name}/components"]),
        helper.make_node("ReduceSumSquare", [f"{name}/components", f"{name}/axes"], [inside], keepdims=0),
    ]
    if score.method == RESIDUAL:
        nodes += [
            helper.make_node("ReduceSumSquare", [f"{name}/z", f"{name}/axes"], [f"{name}/all"], keepdims=0),
            helper.make_node("Sub", [f"{name}/all", inside], [f"{name}/difference"]),
            helper.make_node("Max", [f"{name}/difference", f"{name}/zero"], [f"{name}/left"]),
        ]
        inside = f"{name}/left"
    nodes += [
        helper.make_node("Sqrt", [inside], [f"{name}/length"]),
        helper.make_node("Div", [f"{name}/length", f"{name}/limit"], [name]),
    ]
    for node in nodes:
        node.name = f"{node.output[0]}/{node.op_type}"
    graph.initializer.extend(numpy_helper.from_array(value, key) for key, value in constants.items())
    graph.node.extend(nodes)
    batch = graph.output[0].type.tensor_type.shape.dim[0].dim_param
    graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch]))


def _stored_matrix(
    name: str, matrix: _Floats, *, in_bytes: bool
) -> tuple[dict[str, NDArray[Any]], list[onnx.NodeProto]]:
    """Give the constants that hold a matrix, and the nodes that make the tensor NAME/matrix of them."""
    if not in_bytes:
        return {f"{name}/matrix": matrix.astype(np.float32)}, []
    whole, steps = _in_bytes(matrix)
    # Div and not Mul, as for the matrices of the head: see `int8.byte_matrices`.
    nodes = [
        helper.make_node("Cast", [f"{name}/bytes"], [f"{name}/whole"], to=TensorProto.FLOAT),
        helper.make_node("Div", [f"{name}/whole", f"{name}/steps"], [f"{name}/matrix"]),
    ]
    return {f"{name}/bytes": whole, f"{name}/steps": steps}, nodes
