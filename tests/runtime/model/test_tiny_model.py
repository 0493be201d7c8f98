"""The committed tiny model is the one its generator builds, and it really reads every one of its inputs."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
from make_tiny_model import SIZE, TINY, build

from dermedge_runtime.model.description import DIGEST_KEY, METADATA_KEY

RNG = np.random.default_rng(0)
FEED = {
    "image": RNG.integers(0, 256, (3, SIZE, SIZE, 3), np.uint8),
    "numeric": np.array([[np.nan], [0], [81]], np.float32),
    "categorical": np.array([[-1, -1], [0, 2], [1, 0]], np.int32),
}


def run(content: bytes, feed: dict[str, np.ndarray]) -> np.ndarray:
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(["probabilities"], feed)[0]


def test_committed_file_equals_the_generator() -> None:
    committed, built = onnx.load(TINY), build()
    descriptions = [{e.key: json.loads(e.value) for e in model.metadata_props} for model in (committed, built)]
    assert list(descriptions[0]) == [METADATA_KEY]
    assert len(descriptions[0][METADATA_KEY].pop(DIGEST_KEY)) == 64
    assert descriptions[0] == descriptions[1]
    np.testing.assert_allclose(
        run(TINY.read_bytes(), FEED), run(built.SerializeToString(), FEED), rtol=0, atol=1e-6, strict=True
    )
    assert TINY.stat().st_size < 50_000


def test_generator_is_deterministic() -> None:
    assert build().SerializeToString(deterministic=True) == build().SerializeToString(deterministic=True)


@pytest.mark.parametrize(
    ("name", "position", "value"),
    [
        ("image", (1, 0, 0, 0), 255),
        ("image", (1, 0, 0, 1), 255),
        ("image", (1, 15, 15, 2), 0),
        ("numeric", (1, 0), 1),
        ("numeric", (0, 0), 51),
        ("categorical", (1, 0), 1),
        ("categorical", (1, 1), 1),
        ("categorical", (1, 1), -1),
    ],
)
def test_every_input_matters_to_its_own_row_only(name: str, position: tuple[int, ...], value: int) -> None:
    changed = {key: array.copy() for key, array in FEED.items()}
    changed["image"][1, :] = 128
    before = run(TINY.read_bytes(), changed)
    changed[name][position] = value
    differs = np.abs(run(TINY.read_bytes(), changed) - before).max(axis=1) > 1e-7
    assert differs.tolist() == [row == position[0] for row in range(3)]


def test_probabilities_sum_to_one() -> None:
    np.testing.assert_allclose(run(TINY.read_bytes(), FEED).sum(axis=1), 1, atol=1e-6)
