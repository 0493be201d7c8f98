"""Run dermedge models with numpy, Pillow and ONNX Runtime, nothing else."""

from .classifier import Classifier
from .errors import DermedgeError, DeviceUnavailable, InputRejected, ModelFileError, UsageError
from .prediction import Prediction, Rejection

__all__ = [
    "Classifier",
    "DermedgeError",
    "DeviceUnavailable",
    "InputRejected",
    "ModelFileError",
    "Prediction",
    "Rejection",
    "UsageError",
]
