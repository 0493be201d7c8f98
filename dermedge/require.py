"""Say which extra to install when a command needs a package that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from dermedge_runtime.errors import DermedgeError

_TRAIN = ("torch", "sklearn", "matplotlib", "safetensors", "tqdm")
PACKAGES = {"train": (*_TRAIN, "onnxruntime"), "export": (*_TRAIN, "onnx", "onnxscript", "onnxruntime")}
"""Modules that the commands of an extra import; ONNX Runtime comes with an extra of its own."""


def missing_packages(extra: str) -> list[str]:
    """Give the modules of an extra that are not installed."""
    return [name for name in PACKAGES[extra] if not _is_there(name)]


def _is_there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # a finder that refuses, or a module without a specification
        return False


@contextmanager
def extras(extra: str = "train") -> Iterator[None]:
    """Turn missing packages of an extra into one sentence with the command that installs them all.

    :param extra: a key of `PACKAGES`, what the imports inside need.
    :raises DermedgeError: a package of the extra is not installed. Any other import error passes through.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        found = (error.name or "").split(".")[0]
        if found not in PACKAGES[extra]:
            raise
        missing = missing_packages(extra) or [found]
        # Plain onnxruntime over a GPU wheel would break both, so it is asked for only where there is none.
        others = [name for name in missing if name != "onnxruntime"]
        wanted = ",".join([*([extra] if others else []), *(["cpu"] if "onnxruntime" in missing else [])])
        raise DermedgeError(
            f"This command needs {' and '.join(filter(None, (', '.join(missing[:-1]), missing[-1])))},"
            f" which {'is' if len(missing) == 1 else 'are'} not installed. Run: pip install 'dermedge[{wanted}]'"
        ) from error
