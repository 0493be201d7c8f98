"""Say which extra to install when a command needs a package that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dermedge_runtime.commands.command_list import is_there
from dermedge_runtime.errors import DermedgeError

_TRAIN = ("typer", "pydantic", "torch", "pandas", "sklearn", "matplotlib", "safetensors", "tqdm")
PACKAGES = {"train": (*_TRAIN, "onnxruntime"), "export": (*_TRAIN, "jinja2", "onnx", "onnxscript", "onnxruntime")}
"""Modules that the commands of an extra import; ONNX Runtime comes with an extra of its own."""


def missing_packages(extra: str) -> list[str]:
    """Give the modules of an extra that are not installed."""
    return [name for name in PACKAGES[extra] if not is_there(name)]


def how_to_install(missing: list[str], extra: str) -> str:
    """Give the command that installs missing modules of an extra."""
    # Plain onnxruntime over a GPU wheel would break both, so it is asked for only where there is none.
    others = [name for name in missing if name != "onnxruntime"]
    wanted = ",".join([*([extra] if others else []), *(["cpu"] if "onnxruntime" in missing else [])])
    return f"Run: pip install 'dermedge[{wanted}]'"


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
        named = " and ".join(filter(None, (", ".join(missing[:-1]), missing[-1])))
        raise DermedgeError(
            f"This command needs {named}, which {'is' if len(missing) == 1 else 'are'} not installed."
            f" {how_to_install(missing, extra)}"
        ) from error
