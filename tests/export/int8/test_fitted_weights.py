"""Fitted weights: rounded together, they move the outputs less than rounded one by one, and keep their seven bits."""

import numpy as np
import torch
from batch_reader import BatchReader
from depthwise_network import depthwise_network, pictures
from onnx import numpy_helper

from dermedge_export.int8.calibration import RANGE_METHODS
from dermedge_export.int8.fitted_weights import fit_weights, fitted_rounding
from dermedge_export.int8.quantize import quantize
from dermedge_export.int8.safe_weights import LARGEST_WEIGHT


def test_later_inputs_make_up_for_earlier_errors() -> None:
    generator = torch.Generator().manual_seed(0)
    weights = 40 * torch.randn(2, 6, 16, generator=generator, dtype=torch.float64).clamp(-1.5, 1.5)
    mixing = torch.randn(2, 16, 4, generator=generator, dtype=torch.float64)
    covariance = mixing @ mixing.mT + 0.01 * torch.eye(16)  # 16 inputs that move in 4 directions
    fitted = fitted_rounding(weights, covariance)
    assert torch.equal(fitted, fitted.round()) and fitted.abs().max() <= LARGEST_WEIGHT

    def variance(rounded: torch.Tensor) -> torch.Tensor:
        error = rounded - weights
        return ((error @ covariance) * error).sum(2).mean()

    assert variance(fitted) < variance(weights.round()) / 4


def test_inputs_that_never_vary_are_rounded_to_the_nearest() -> None:
    weights = torch.tensor([[[0.4, 0.4, 80.0]]], dtype=torch.float64)
    assert fitted_rounding(weights, torch.zeros(1, 3, 3, dtype=torch.float64)).tolist() == [[[0, 0, LARGEST_WEIGHT]]]


def test_every_convolution_is_fitted_and_only_weights_change() -> None:
    network = depthwise_network()
    quantised = quantize(network, BatchReader(pictures(0)), "cpu", RANGE_METHODS["min-max"])
    before = {tensor.name: numpy_helper.to_array(tensor) for tensor in quantised.graph.initializer}
    assert fit_weights(quantised, network, pictures(0)) == 9
    after = {tensor.name: numpy_helper.to_array(tensor) for tensor in quantised.graph.initializer}
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert len(changed) >= 5 and all(name.endswith(".weight_quantized") for name in changed)
    for name in changed:
        assert after[name].dtype == np.int8
        assert np.abs(after[name].astype(int) - before[name]).max() <= 8
        assert np.abs(after[name].astype(int)).max() <= LARGEST_WEIGHT
