"""FP32 graph -> the graph of a precision, and what the file tells about how it was made.

A conversion that its comparison refuses may have a next one, nearer to FP32: an INT8 graph gives its worst layers back
to float32, a sixteenth, an eighth, a quarter, then half of them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import onnx

from dermedge.data.samples import Sample
from dermedge.progress import progress
from dermedge_runtime.model.description import SAFE_WEIGHT_BITS, ModelSpec

from .fp16.to_float16 import compute_trunk_in_half, store_matrices_in_half
from .fp16.value_ranges import measure_half_ranges
from .int8.calibration import DEFAULT_METHOD, CalibrationReader, choose, in_batches, model_inputs
from .int8.corrected_biases import BIAS_IMAGES, correct_biases, correct_logits
from .int8.float32_layers import keep_in_float
from .int8.quantize import packed, quantize
from .int8.sensitivity import LayerError, rank_layers

_log = logging.getLogger(__name__)
KEPT_SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""What share of the layers each further attempt keeps in float32, at least one layer."""
SENSITIVITY_IMAGES = 64


@dataclass(frozen=True, slots=True)
class Conversion:
    """A graph and the record of its making."""

    proto: onnx.ModelProto
    record: dict[str, Any] = field(default_factory=dict)
    """JSON-ready; goes into the file's description."""


def conversions(
    proto: onnx.ModelProto,
    spec: ModelSpec,
    calibration: Sequence[Sample],
    *,
    sensitivity: bool,
    quantise_aware: bool = False,
) -> Iterator[Conversion]:
    """Give the graphs of a precision, the preferred one first; a later one is only made when it is asked for.

    :param proto: FP32 graph of `to_onnx`.
    :param calibration: training photographs; FP32 needs none, nor does a network without image branch in FP16.
    :param sensitivity: measure the layers' sensitivity to INT8 even where the first graph may do.
    :param quantise_aware: the weights were trained with INT8's rounding, which is then kept as it was.
    """
    if spec.precision == "fp16":
        yield _to_fp16(proto, spec, calibration)
    elif spec.precision == "int8":
        yield from _to_int8(proto, spec, calibration, sensitivity=sensitivity, quantise_aware=quantise_aware)
    else:
        yield Conversion(proto)


def needs_calibration(spec: ModelSpec) -> bool:
    """Whether the graph of a precision depends on photographs."""
    return spec.precision == "int8" or (spec.precision == "fp16" and spec.image is not None)


def _to_fp16(proto: onnx.ModelProto, spec: ModelSpec, calibration: Sequence[Sample]) -> Conversion:
    record: dict[str, Any] = {}
    if needs_calibration(spec):
        _log.info("measure the range of every layer on %d training images", len(calibration))
        batches = progress(in_batches(calibration), "measure ranges")
        ranges = measure_half_ranges(proto, (model_inputs(batch, spec) for batch in batches))
        for layer, reason in ranges.kept.items():
            _log.info("%s stays in float32: %s", layer, reason)
        compute_trunk_in_half(proto, keep=ranges.kept)
        record = {"calibration": {"images": ranges.images, "split": "train"}, **ranges.to_record()}
    if matrices := store_matrices_in_half(proto):
        _log.info("%d matrices of the head are stored in float32: float16 cannot hold their values", len(matrices))
    return Conversion(proto, {**record, "float32_matrices": matrices})


def _to_int8(
    proto: onnx.ModelProto,
    spec: ModelSpec,
    calibration: Sequence[Sample],
    *,
    sensitivity: bool,
    quantise_aware: bool,
) -> Iterator[Conversion]:
    _log.info("calibrate on %d training images", len(calibration))
    quantised = quantize(proto, CalibrationReader(calibration, spec), spec.flavour, as_trained=quantise_aware)
    made: dict[str, Any] = {
        "calibration": {"images": len(calibration), "split": "train", "method": DEFAULT_METHOD.name},
        "weight_bits": SAFE_WEIGHT_BITS,
        "float32_layers": [],
        **({"rounding": "as trained"} if quantise_aware else {}),
    }

    def rank() -> list[LayerError]:
        some = choose(calibration, SENSITIVITY_IMAGES, seed=0)
        _log.info("quantise one layer at a time, on %d training images", len(some))
        errors = rank_layers(quantised, proto, [model_inputs(batch, spec) for batch in in_batches(some)])
        made["sensitivity"] = {"images": len(some), "layers": [error.to_record() for error in errors]}
        return errors

    ranked = rank() if sensitivity else None
    yield _corrected(quantised, proto, spec, calibration, made)
    ranked = ranked or rank()
    for count in dict.fromkeys(max(1, int(share * len(ranked))) for share in KEPT_SHARES):
        if count > len(ranked) // 2:
            return
        kept = [error.layer for error in ranked[:count]]
        _log.info("keep %s in float32", ", ".join(kept))
        partly = keep_in_float(quantised, proto, kept)
        yield _corrected(partly, proto, spec, calibration, {**made, "float32_layers": kept})


def _corrected(
    quantised: onnx.ModelProto,
    proto: onnx.ModelProto,
    spec: ModelSpec,
    calibration: Sequence[Sample],
    made: dict[str, Any],
) -> Conversion:
    """Finish an INT8 graph, which stays as it is: a copy of it with corrected biases, packed.

    Every attempt is corrected anew: biases that make up for a spoilt layer would be wrong once it computes in float32.
    """
    finished = onnx.ModelProto()
    finished.CopyFrom(quantised)
    some = choose(calibration, BIAS_IMAGES, seed=0)
    batches = [model_inputs(batch, spec) for batch in in_batches(some)]
    layers = correct_biases(finished, proto, batches)
    if layers and correct_logits(finished, proto, batches):
        layers += 1
    _log.info("biases of %d layers corrected, on %d training images", layers, len(some))
    record = {**made, "corrected_biases": {"images": len(some), "layers": layers}}
    return Conversion(packed(finished, spec.flavour), record)
