"""Imported by every interpreter that finds this folder on its path: the plugin of an extra counts as not installed.

Without it `auto` would be the CPU on one machine and OpenVINO on another, which is Intel's.
"""

import sys

sys.modules["onnxruntime_ep_openvino"] = None  # type: ignore[assignment]
