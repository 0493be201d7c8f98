"""Is what a model file says about itself of the right types, and possible? Else ValueError, TypeError or KeyError.

Not covered: whether the graph agrees with it (`promised_tensors`), and the free-form reports, which are only carried
along (but for the bits of the weights, which the runtime acts upon).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .description import ModelSpec

PRECISIONS = frozenset({"fp32", "fp16", "int8"})
FLAVOURS = frozenset({"any", "cpu", "rtx"})
_LARGEST = float(np.finfo(np.float32).max)
_OUTPUTS = {
    "probabilities": "",
    "heatmap": "image",
    "relevance": "clinical",
    "attribution": "clinical",
    "ood_score": "image",
    "lesion_ood_score": "image",
}
"""Each output that a file can give, and what it must read to give it."""


def text(record: Mapping[str, Any], key: str) -> str:
    """Give a text."""
    return str(_of_type(record, key, str, "a text"))


def integer(record: Mapping[str, Any], key: str) -> int:
    """Give a whole number; true is none."""
    return int(_of_type(record, key, int, "a whole number"))


def number(record: Mapping[str, Any], key: str) -> float:
    """Give a number; true is none."""
    return float(_of_type(record, key, (int, float), "a number"))


def flag(record: Mapping[str, Any], key: str) -> bool:
    """Give true or false."""
    value = record[key]
    if not isinstance(value, bool):
        raise TypeError(f"{key[:100]} is not true or false")
    return value


def mapping(record: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Give an object."""
    return dict(_of_type(record, key, dict, "an object"))


def texts(record: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Give a list of texts."""
    values = _of_type(record, key, list, "a list")
    if not all(isinstance(value, str) for value in values):
        raise TypeError(f"{key} lists something else than texts")
    return tuple(values)


def entries(record: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """Give a list of objects."""
    if not isinstance(record, dict):
        raise TypeError(f"what holds {key} is no object")
    values = _of_type(record, key, list, "a list")
    if not all(isinstance(value, dict) for value in values):
        raise TypeError(f"{key} lists something else than objects")
    return list(values)


def _of_type(record: Mapping[str, Any], key: str, kind: Any, name: str) -> Any:
    if not isinstance(record, dict):
        raise TypeError(f"what holds {key} is no object")
    value = record[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{key[:100]} is not {name}")
    return value


def check_spec(spec: ModelSpec) -> None:
    """Check what no type tells.

    :raises ValueError: something is empty, stands twice, is unknown or lacks its counterpart.
    """
    if not all(code.strip() for code in spec.classes):
        raise ValueError("a class has no code")
    nameless = [code for code in spec.classes if not spec.class_names.get(code, "").strip()]
    if nameless:
        raise ValueError(f"class_names has no name for {', '.join(nameless)}")
    if spec.precision not in PRECISIONS or spec.flavour not in FLAVOURS:
        raise ValueError(f"precision '{spec.precision}' with flavour '{spec.flavour}' is unknown")
    if not re.fullmatch("([0-9a-f]{64})?", spec.weights_sha256):
        raise ValueError("weights_sha256 is no SHA-256")
    bits = spec.conversion.get("weight_bits", 8)
    # The one report that the runtime acts upon (`ModelSpec.saturates`).
    if not isinstance(bits, int) or isinstance(bits, bool) or not 2 <= bits <= 8:
        raise ValueError(f"conversion names weights of {bits} bits")
    _check_clinical(spec)
    _check_outputs(spec)
    if spec.decision is not None:
        spec.decision.check(spec.classes)


def _check_clinical(spec: ModelSpec) -> None:
    _unique("clinical fields", spec.clinical.names)
    for name in spec.clinical.names:
        if "=" in name:  # it parts field and word in the names of the features
            raise ValueError(f"the name of the clinical field '{name}' has an equals sign")
    for field in spec.clinical.numeric:
        limits = field.minimum, field.maximum
        # The values reach the network as float32.
        if not all(math.isfinite(limit) and abs(limit) <= _LARGEST for limit in limits) or limits[0] >= limits[1]:
            raise ValueError(f"{field.name} has the impossible range {limits[0]:g} to {limits[1]:g}")
    for words in spec.clinical.categorical:
        if not words.vocabulary:
            raise ValueError(f"the vocabulary of {words.name} is empty")
        _unique(f"words of {words.name}", words.vocabulary)


def _check_outputs(spec: ModelSpec) -> None:
    outputs = spec.outputs
    reads = {"": True, "image": spec.image is not None, "clinical": bool(spec.clinical.names)}
    if "probabilities" not in outputs or len(set(outputs)) != len(outputs):
        raise ValueError(f"outputs must name probabilities, and none twice; found {', '.join(outputs) or 'none'}")
    for name in outputs:
        if name not in _OUTPUTS:
            raise ValueError(f"the output '{name}' is unknown")
        if not reads[_OUTPUTS[name]]:
            raise ValueError(f"the output '{name}' is of a network that reads {_OUTPUTS[name]} data, and this does not")


def _unique(what: str, names: Iterable[str]) -> None:
    """Refuse empty names, and two that are one to `CategoricalField.parse`, which forgives case and underscores."""
    seen: set[str] = set()
    for name in names:
        word = name.strip().lower().replace("_", " ")
        if not word or word in seen:
            raise ValueError(f"{what} must be different and not empty, found '{name}'")
        seen.add(word)
