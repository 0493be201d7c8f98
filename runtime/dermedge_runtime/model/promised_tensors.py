"""Check that an open graph has the inputs and outputs that its description promises."""

from __future__ import annotations

from typing import Any, Literal

from dermedge_runtime.errors import ModelFileError

from .description import ModelSpec

_FREE: Literal["any"] = "any"
"""Stands for an axis to which the graph gives no size."""
_Axis = int | Literal["any"] | None
"""The size of an axis that a description promises; None: whatever the graph says."""
_DTYPES = {
    "image": "tensor(uint8)",
    "numeric": "tensor(float)",
    "categorical": "tensor(int32)",
    "target": "tensor(int32)",
}


def check_promised_tensors(session: Any, spec: ModelSpec, source: str) -> None:
    """Compare a session with a description.

    :param session: an `onnxruntime.InferenceSession`.
    :param source: name of the file, for messages.
    :raises ModelFileError: a name, type or shape differs, or the batch is not dynamic.
    """
    inputs = {value.name: (value.type, value.shape) for value in session.get_inputs()}
    outputs = {value.name: (value.type, value.shape) for value in session.get_outputs()}
    wanted_inputs = {name: (_DTYPES[name], shape) for name, shape in _input_shapes(spec).items()}
    wanted_outputs = {name: ("tensor(float)", shape) for name, shape in _output_shapes(spec).items()}
    wrong = [*_differences(inputs, wanted_inputs), *_differences(outputs, wanted_outputs)]
    if wrong:
        raise ModelFileError(
            f"{source}: the graph and its description disagree on {', '.join(sorted(wrong))}. Export it again."
        )


def _input_shapes(spec: ModelSpec) -> dict[str, list[_Axis]]:
    """Shapes without the batch."""
    shapes: dict[str, list[_Axis]] = {}
    if spec.image is not None:
        side: _Axis = _FREE if spec.image.any_size else spec.image.size
        shapes["image"] = [side, side, 3]
    if spec.clinical.numeric:
        shapes["numeric"] = [len(spec.clinical.numeric)]
    if spec.clinical.categorical:
        shapes["categorical"] = [len(spec.clinical.categorical)]
    if spec.explains:
        shapes["target"] = []
    return shapes


def _output_shapes(spec: ModelSpec) -> dict[str, list[_Axis]]:
    features = len(spec.clinical.features)
    known: dict[str, list[_Axis]] = {
        "probabilities": [len(spec.classes)],
        "heatmap": [None, None],
        "relevance": [features],
        "attribution": [features],
        "ood_score": [],
        "lesion_ood_score": [],
    }
    # A name that is not of the contract can match no shape, so it is reported.
    return {name: known.get(name, [-1]) for name in spec.outputs}


def _differences(found: dict[str, tuple[str, list[Any]]], wanted: dict[str, tuple[str, list[_Axis]]]) -> list[str]:
    names = {*found, *wanted}
    return [name for name in names if name not in found or name not in wanted or not _fits(found[name], wanted[name])]


def _fits(found: tuple[str, list[Any]], wanted: tuple[str, list[_Axis]]) -> bool:
    (dtype, shape), (wanted_dtype, sizes) = found, wanted
    if dtype != wanted_dtype or len(shape) != len(sizes) + 1 or isinstance(shape[0], int):
        return False
    return all(_is(axis, size) for axis, size in zip(shape[1:], sizes, strict=True))


def _is(axis: int | str | None, size: _Axis) -> bool:
    """Compare an axis of the graph, a name or None where it has no size, with what is promised."""
    return not isinstance(axis, int) if size == _FREE else size is None or size == axis
