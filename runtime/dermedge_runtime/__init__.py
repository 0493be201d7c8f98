"""Run dermedge models with numpy, Pillow and ONNX Runtime, nothing else."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .devices import telemetry

if TYPE_CHECKING:
    __version__: str
    from .classifier import Classifier
    from .errors import DermedgeError, DeviceUnavailable, InputRejected, ModelFileError, UsageError
    from .model.digest import renew_digest
    from .model.shipped_model import model_in_the_box
    from .prediction import Prediction, Rejection
    from .scoring import ScoredPicture, score

__all__ = [
    "Classifier",
    "DermedgeError",
    "DeviceUnavailable",
    "InputRejected",
    "ModelFileError",
    "Prediction",
    "Rejection",
    "ScoredPicture",
    "UsageError",
    "model_in_the_box",
    "renew_digest",
    "score",
]

telemetry.turn_off()  # here, because it must come before any import of ONNX Runtime

_MODULE_OF = {
    "renew_digest": "model.digest",
    "Classifier": "classifier",
    "Prediction": "prediction",
    "Rejection": "prediction",
    "ScoredPicture": "scoring",
    "score": "scoring",
    "model_in_the_box": "model.shipped_model",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the errors alone must not cost the import of numpy and Pillow."""
    if name == "__version__":  # the distribution's, which holds dermedge and dermedge_export too
        return import_module(".version", __name__).version()
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULE_OF.get(name, 'errors')}", __name__), name)
