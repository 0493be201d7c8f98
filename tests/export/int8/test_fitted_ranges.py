"""Ranges of least error: better than the whole range and than a percentile where one of them is wrong."""

import numpy as np
import pytest
from batch_reader import BatchReader
from depthwise_network import depthwise_network, pictures
from onnx import numpy_helper

from dermedge_export.int8.calibration import RANGE_METHODS
from dermedge_export.int8.fitted_ranges import fitted_range, fitted_ranges
from dermedge_export.int8.quantize import FLAVOURS, quantize


def _error(values: np.ndarray, low: float, high: float, symmetric: bool) -> float:
    """Mean squared error of INT8 within a range, by the definition of the two forms."""
    levels = np.arange(-127, 128) * (max(-low, high) / 127)
    if not symmetric:
        step = (high - low) / 255
        levels = (np.arange(256) - np.rint(-low / step)) * step
    nearest = levels[np.digitize(values, (levels[1:] + levels[:-1]) / 2)]
    return float(((nearest - values) ** 2).mean())


@pytest.mark.parametrize("symmetric", [False, True])
def test_a_few_far_values_do_not_widen_the_range(symmetric: bool) -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 1, 200_000), [12.0, -9.0]])
    low, high = fitted_range(values, symmetric=symmetric)
    assert -9 < low < -3 and 3 < high < 12
    assert _error(values, low, high, symmetric) < 0.8 * _error(values, values.min(), values.max(), symmetric)


@pytest.mark.parametrize("symmetric", [False, True])
def test_what_is_rare_and_large_is_kept_where_nearly_all_is_zero(symmetric: bool) -> None:
    rng = np.random.default_rng(0)
    values = np.zeros(100_000)
    values[:200] = rng.uniform(0, 6, 200)
    low, high = fitted_range(values, symmetric=symmetric)
    percentile = np.quantile(values, 0.999)
    assert percentile < 4 < 5.5 < high <= 6 and low == 0
    assert _error(values, low, high, symmetric) < 0.2 * _error(values, 0, percentile, symmetric)


def test_the_two_ends_are_found_apart() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.uniform(-1, 8, 200_000), [-3.0]])
    low, high = fitted_range(values, symmetric=False)
    assert -2.5 < low < -0.9 and 7.5 < high <= 8


@pytest.mark.parametrize("symmetric", [False, True])
def test_constants_have_a_range(symmetric: bool) -> None:
    assert fitted_range(np.zeros(5), symmetric=symmetric) == (0, 0)
    assert fitted_range(np.full(5, 2.0), symmetric=symmetric) == (0, 2)
    assert fitted_range(np.full(5, -2.0), symmetric=symmetric) == (-2, 0)


def test_tensors_of_numbers_alone_have_one() -> None:
    network, batches = depthwise_network(), pictures(0)
    assert set(fitted_ranges(network, ["s0", "t0"], batches, symmetric=False)) == {"s0", "t0"}
    batches[0]["image"][0, 0, 0, 0] = np.nan
    assert fitted_ranges(network, ["t0"], batches, symmetric=False) == {}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_graph_has_these_ranges(flavour: str) -> None:
    network, batches = depthwise_network(), pictures(0)
    quantised = quantize(network, BatchReader(batches), flavour, RANGE_METHODS["least error"])
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in quantised.graph.initializer}
    ranges = fitted_ranges(network, ["t0", "n1"], batches, symmetric=flavour == "rtx")
    for name, (low, high) in ranges.items():
        step = max(-low, high) / 127 if flavour == "rtx" else (high - low) / 255
        assert float(stored[f"{name}_scale"]) == pytest.approx(step, rel=1e-4)
