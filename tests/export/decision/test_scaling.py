"""Temperature and vector scaling: what they find, and that none of them costs melanomas."""

import numpy as np
import pytest
from scipy.special import softmax

from dermedge_export.decision.scaling import TEMPERATURE, VECTOR, Scaling, fit_scaling

N = 3000


def drawn(logits: np.ndarray, seed: int = 0) -> np.ndarray:
    """Labels that the logits are the truth about."""
    rng = np.random.default_rng(seed)
    return (softmax(logits, axis=1).cumsum(axis=1) > rng.random((len(logits), 1))).argmax(axis=1)


@pytest.fixture(scope="module")
def truth() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    logits = np.random.default_rng(1).normal(0, 2, (N, 4))
    return logits, drawn(logits), np.array([f"lesion {index // 2}" for index in range(N)])


def test_a_temperature_is_found_again(truth):
    logits, labels, lesions = truth
    found = fit_scaling(logits * 2.5, labels, lesions, melanoma=0)
    assert found.scaling.method == TEMPERATURE
    assert found.scaling.to_record()["temperature"] == pytest.approx(2.5, rel=0.06)
    assert (found.scaling.offset == 0).all() and not found.refused


def test_vector_scaling_is_taken_where_it_is_better_and_costs_nothing(truth):
    logits, labels, lesions = truth
    scale, offset = np.array([0.5, 1.0, 2.0, 1.0]), np.array([1.0, 0.0, -1.0, 0.0])
    found = fit_scaling((logits - offset) / scale, labels, lesions, melanoma=0)
    assert found.scaling.method == VECTOR and not found.refused
    assert found.held_out[VECTOR] < found.held_out[TEMPERATURE]
    assert found.scaling.scale == pytest.approx(scale, rel=0.12)
    shift = found.scaling.offset - found.scaling.offset.mean()  # a constant for all classes changes nothing
    assert shift == pytest.approx(offset, abs=0.2)


def test_what_would_take_a_shift_of_the_priors_back_is_refused():
    logits = np.random.default_rng(1).normal(0, 1.5, (N, 4)) - np.array([3.0, 0.0, 0.0, 0.0])
    labels, lesions = drawn(logits), np.array([str(index) for index in range(N)])
    shifted = logits + np.array([2.5, 0.0, 0.0, 0.0])  # melanoma, the first, is rare and named more often
    found = fit_scaling(shifted, labels, lesions, melanoma=0)
    assert found.held_out[VECTOR] < found.held_out[TEMPERATURE]
    assert found.scaling.method == TEMPERATURE
    assert "melanoma recall" in found.refused


def test_a_scaling_can_be_taken_back_and_recorded(truth):
    logits, _, _ = truth
    one = Scaling(VECTOR, np.array([0.5, 1, 2, 1]), np.array([1.0, 0, -1, 0]))
    other = Scaling.from_record({"method": TEMPERATURE, "temperature": 2.0}, 4)
    assert one.of_trained(one.scores(logits)) == pytest.approx(logits)
    assert other.after(one).scores(one.scores(logits)) == pytest.approx(other.scores(logits))
    assert Scaling.from_record(one.to_record(), 4).scores(logits) == pytest.approx(one.scores(logits))
    assert Scaling.from_record({}, 4).scores(logits) == pytest.approx(logits)
