"""dermedge: train a skin-lesion classifier on image and clinical data, export it, run it at the edge.

::

    run = dermedge.train("data/ham10000", fusion="gated", epochs=30)
    print(dermedge.evaluate(run).results)
    model = dermedge.export(run, precision="int8")
    prediction = dermedge_runtime.Classifier(model.path).predict("lesion.jpg", age=55, site="back")

Every name here is imported when it is first used: `import dermedge` alone imports neither torch nor numpy.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import dermedge_runtime  # noqa: F401, turns ONNX Runtime's telemetry off in every process that starts here
from dermedge_runtime.version import version

if TYPE_CHECKING:
    from dermedge_export.check.parity import Limits
    from dermedge_export.engine.target import EngineTarget
    from dermedge_export.pipeline import ExportedModel

    from .api.calibrate import calibrate
    from .api.ensemble import ensemble
    from .api.evaluate import evaluate, evaluate_file
    from .api.export import export
    from .api.synthesise import synthesise
    from .api.train import resume, train
    from .config import TrainConfig
    from .evaluation.evaluate import Evaluation
    from .evaluation.evaluate_file import FileEvaluation
    from .training.run import Run

__all__ = [
    "EngineTarget",
    "Evaluation",
    "ExportedModel",
    "FileEvaluation",
    "Limits",
    "Run",
    "TrainConfig",
    "calibrate",
    "ensemble",
    "evaluate",
    "evaluate_file",
    "export",
    "resume",
    "synthesise",
    "train",
]

__version__ = version()
_MODULE_OF = {
    "EngineTarget": "dermedge_export.engine.target",
    "Evaluation": "dermedge.evaluation.evaluate",
    "ExportedModel": "dermedge_export.pipeline",
    "FileEvaluation": "dermedge.evaluation.evaluate_file",
    "Limits": "dermedge_export.check.parity",
    "Run": "dermedge.training.run",
    "TrainConfig": "dermedge.config",
    "calibrate": "dermedge.api.calibrate",
    "ensemble": "dermedge.api.ensemble",
    "evaluate": "dermedge.api.evaluate",
    "evaluate_file": "dermedge.api.evaluate",
    "export": "dermedge.api.export",
    "resume": "dermedge.api.train",
    "synthesise": "dermedge.api.synthesise",
    "train": "dermedge.api.train",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _MODULE_OF:
        # Python adds the nearest name where it knows the module.
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name, obj=sys.modules[__name__])
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    """Give the public names too that nobody has used yet."""
    return sorted({*globals(), *__all__})
