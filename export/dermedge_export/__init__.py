"""Turn a training run into one self-describing ONNX file per precision."""

import dermedge_runtime  # noqa: F401, turns ONNX Runtime's telemetry off before a module here imports it
