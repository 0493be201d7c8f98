"""dermedge: train a skin-lesion classifier on image and clinical data, export it, run it at the edge."""

import dermedge_runtime  # noqa: F401, turns ONNX Runtime's telemetry off in every process that starts here
from dermedge_runtime.version import version

__version__ = version()
