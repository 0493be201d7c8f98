"""OpenVINO's own API, which runs on every CPU; its plugin for ONNX Runtime offers itself on Intel's alone."""

from __future__ import annotations

import sys

import numpy as np
import pytest


def run_openvino(model: bytes, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """All outputs of an ONNX file by OpenVINO on the CPU, at float32; skips the test where OpenVINO is absent."""
    # On import it would write an identity below the home folder and ask for its maker's statistics host.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed (extra: dev)")
    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    results = core.compile_model(core.read_model(model), "CPU", settings)(feed)
    return {output.get_any_name(): np.array(values) for output, values in results.items()}
