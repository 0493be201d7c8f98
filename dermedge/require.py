"""Say which extra to install when a command needs a package that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from dermedge_runtime.commands.command_list import is_there
from dermedge_runtime.errors import DermedgeError

_TRAIN = ("typer", "pydantic", "torch", "pandas", "sklearn", "scipy", "matplotlib", "safetensors", "tqdm")
PACKAGES = {
    "train": (*_TRAIN, "onnxruntime"),
    "export": (*_TRAIN, "jinja2", "onnx", "onnxscript", "onnxruntime"),
    "pretrained": ("timm", "torchvision"),
    "dicom": ("pydicom", "gdcm"),
    "heic": ("pillow_heif",),
    "ray": ("ray", "pandas", "pyarrow"),
    "serve": ("fastapi", "uvicorn", "multipart", "prometheus_client", "swagger_ui_bundle"),
    "sign": ("model_signing", "OpenSSL"),
}
"""Modules that the commands of an extra import; ONNX Runtime comes with an extra of its own."""
_IMPORTED_LATE: dict[str, tuple[str, ...]] = {"export": ("onnxscript",)}
"""Those of them that torch imports itself, after minutes of work."""


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
    """Turn packages of an extra that are missing or broken into one sentence with the command that installs them.

    :param extra: a key of `PACKAGES`, what the imports inside need.
    :raises DermedgeError: a package of the extra is not installed, or does not load. Any other error passes through.
    """
    try:
        yield
    except (ImportError, OSError) as error:
        absent = isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] in PACKAGES[extra]
        if absent and (missing := missing_packages(extra)):
            raise _not_installed(missing, extra) from error
        if reason := _does_not_load(extra):
            raise DermedgeError(reason) from error
        raise
    if any(not is_there(name) for name in _IMPORTED_LATE.get(extra, ())):
        raise _not_installed(missing_packages(extra), extra)


def _not_installed(missing: list[str], extra: str) -> DermedgeError:
    named = " and ".join(filter(None, (", ".join(missing[:-1]), missing[-1])))
    return DermedgeError(
        f"This command needs {named}, which {'is' if len(missing) == 1 else 'are'} not installed."
        f" {how_to_install(missing, extra)}"
    )


def _does_not_load(extra: str) -> str:
    """Say which package of an extra is installed and broken, and why; empty: none, so that the fault is elsewhere."""
    for name in PACKAGES[extra]:
        try:
            import_module(name)
        except (ImportError, OSError) as error:  # the latter: a shared library
            mend = how_to_install([name], extra).replace("install", "install --force-reinstall", 1)
            return f"{name} is installed and does not load: {str(error).partition(chr(10))[0].rstrip('.')}. {mend}"
    return ""
