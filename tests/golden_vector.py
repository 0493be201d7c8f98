"""The golden vector of the examples, and whether some outputs are its own."""

import json
from pathlib import Path
from typing import Any

import numpy as np

EXAMPLES = Path(__file__).parents[1] / "examples"
PICTURE = EXAMPLES / "golden" / "picture.png"
GOLDEN: dict[str, Any] = json.loads((EXAMPLES / "golden" / "golden.json").read_text(encoding="utf-8"))
LABEL = GOLDEN["classes"][int(np.argmax(GOLDEN["outputs"]["probabilities"][0]))]
VALUES = [f"{name}={value}" for name, value in GOLDEN["clinical"].items()]


def furthest(outputs: dict[str, Any]) -> float:
    """The largest distance of any output from the golden one; lists or arrays of any shape, row after row."""
    assert set(outputs) == set(GOLDEN["outputs"])
    distances = []
    for name, right in GOLDEN["outputs"].items():
        found, wanted = np.ravel(outputs[name]), np.ravel(right)
        assert found.shape == wanted.shape, name
        distances.append(float(np.abs(found - wanted).max()))
    return max(distances)
