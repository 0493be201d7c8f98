"""Which layers suffer from INT8: every layer is quantised alone, all others computing in float32.

The other way round, leaving one layer in float32 at a time, would hide a range that spoils two layers: it stays spoilt
as long as one of the two is quantised.

Biases are corrected first, as in every file (`corrected_biases`): a layer whose rounding does no more than move a mean
costs nothing afterwards, and another one deserves its place in float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from dermedge.progress import progress

from .corrected_biases import correct_biases
from .float32_layers import keep_in_float, quantised_layers

_SMALLEST = 1e-9


@dataclass(frozen=True, slots=True)
class LayerError:
    """What quantising one layer alone changes, on the same photographs as all other layers."""

    layer: str
    divergence: float
    """Mean Kullback-Leibler divergence from the float32 probabilities, in nats."""
    largest_probability_change: float
    changed_classes: float
    """Share of photographs with another class, 0 to 1."""

    def to_record(self) -> dict[str, Any]:
        """Give a JSON-ready dictionary."""
        return {key: value if isinstance(value, str) else float(f"{value:.3g}") for key, value in asdict(self).items()}


def rank_layers(
    quantised: onnx.ModelProto, original: onnx.ModelProto, batches: Sequence[Mapping[str, Any]]
) -> list[LayerError]:
    """Measure every quantised layer alone, the worst first.

    :param quantised: QDQ graph, as `float32_layers.keep_in_float` takes it.
    :param original: the FP32 graph it was made from.
    :param batches: graph inputs of real training photographs.
    """
    layers = quantised_layers(quantised)
    reference = _probabilities(keep_in_float(quantised, original, layers), batches)
    errors = []
    for layer in progress(layers, "quantise one layer at a time"):
        alone = keep_in_float(quantised, original, [name for name in layers if name != layer])
        correct_biases(alone, original, batches)
        errors.append(_compare(layer, reference, _probabilities(alone, batches)))
    return sorted(errors, key=lambda error: error.divergence, reverse=True)


def _probabilities(proto: onnx.ModelProto, batches: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    rows = [session.run(["probabilities"], dict(batch))[0] for batch in batches]
    return np.concatenate(rows).astype(np.float64)


def _compare(layer: str, reference: NDArray[np.float64], found: NDArray[np.float64]) -> LayerError:
    # Clipped: float32 probabilities reach 0, where the divergence would be infinite. The last two terms cancel for
    # probabilities that sum to exactly 1, and keep the divergence of rounded ones from falling below 0.
    expected, seen = np.maximum(reference, _SMALLEST), np.maximum(found, _SMALLEST)
    divergence = (expected * np.log(expected / seen) - expected + seen).sum(axis=1)
    return LayerError(
        layer,
        float(divergence.mean()),
        float(np.abs(reference - found).max()),
        float(np.mean(reference.argmax(axis=1) != found.argmax(axis=1))),
    )
