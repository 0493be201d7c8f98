"""Say which extra to install when a command needs a package that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from dermedge_runtime.errors import DermedgeError

_EXTRA_OF = {
    "torch": "train",
    "sklearn": "train",
    "matplotlib": "train",
    "safetensors": "train",
    "tqdm": "train",
    "onnx": "export",
    "onnxscript": "export",
    "onnxruntime": "cpu",
}


@contextmanager
def extras() -> Iterator[None]:
    """Turn the missing package of an extra into one sentence with the command that installs it.

    :raises DermedgeError: a package of an extra is not installed. Any other import error passes through.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        extra = _EXTRA_OF.get((error.name or "").split(".")[0])
        if extra is None:
            raise
        # Plain onnxruntime over a GPU wheel would break both, so it is asked for only where there is none.
        wanted = extra if find_spec("onnxruntime") or extra == "cpu" else f"{extra},cpu"
        raise DermedgeError(
            f"This command needs {error.name}, which is not installed. Run: pip install 'dermedge[{wanted}]'."
        ) from error
