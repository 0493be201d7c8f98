"""All missing packages of an extra at once, in one sentence that ends in the command; other trouble unchanged."""

import tomllib
from pathlib import Path

import pytest

from dermedge import require
from dermedge.require import PACKAGES, extras
from dermedge_runtime.errors import DermedgeError

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DISTRIBUTION = {
    "gdcm": "python-gdcm",
    "model_signing": "model-signing",
    "multipart": "python-multipart",
    "OpenSSL": "pyOpenSSL",
    "pillow_heif": "pillow-heif",
    "prometheus_client": "prometheus-client",
    "ray": "ray[data]",
    "sklearn": "scikit-learn",
    "swagger_ui_bundle": "swagger-ui-bundle",
}


@pytest.mark.parametrize(
    ("extra", "absent", "named", "wanted"),
    [
        ("train", ["torch"], "torch, which is", "train"),
        ("train", ["pandas", "typer", "pydantic"], "typer, pydantic and pandas, which are", "train"),
        ("train", ["matplotlib", "tqdm"], "matplotlib and tqdm, which are", "train"),
        ("export", ["torch", "onnx", "onnxscript"], "torch, onnx and onnxscript, which are", "export"),
        ("export", ["torch", "onnxruntime"], "torch and onnxruntime, which are", "export,cpu"),
        ("export", ["onnxruntime"], "onnxruntime, which is", "cpu"),
    ],
)
def test_all_missing_packages_are_named_at_once(extra, absent, named, wanted, monkeypatch) -> None:
    monkeypatch.setattr(require, "is_there", lambda name: name not in absent)
    missing = ModuleNotFoundError(f"No module named '{absent[0]}'", name=f"{absent[0]}.part")
    with pytest.raises(DermedgeError) as caught, extras(extra):
        raise missing
    assert str(caught.value) == f"This command needs {named} not installed. Run: pip install 'dermedge[{wanted}]'"
    assert caught.value.__cause__ is missing
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'dermedge.trian'", name="dermedge.trian"),
        ModuleNotFoundError("No module named 'numpy'", name="numpy"),
        ModuleNotFoundError("without a name"),
        ImportError("cannot import name 'x' from 'torch'", name="torch"),
        OSError("libtorch.so: cannot open shared object file"),
    ],
    ids=repr,
)
def test_any_other_trouble_passes_through_unchanged(error) -> None:
    with pytest.raises(type(error)) as caught, extras():
        raise error
    assert caught.value is error


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (
            ImportError("libfoo.so.3: cannot open shared object file\nand so on"),
            "libfoo.so.3: cannot open shared object file",
        ),
        (OSError("libtorch.so: no such file"), "libtorch.so: no such file"),
        (ModuleNotFoundError("No module named 'sympy'", name="sympy"), "No module named 'sympy'"),
        (ModuleNotFoundError("No module named 'torch._C'", name="torch._C"), "No module named 'torch._C'"),
    ],
    ids=repr,
)
def test_a_package_that_does_not_load_is_named_with_its_own_cause(error, cause, monkeypatch) -> None:
    def load(name: str) -> None:
        if name == "torch":
            raise error

    monkeypatch.setattr(require, "import_module", load)
    with pytest.raises(DermedgeError) as caught, extras("export"):
        raise error
    assert str(caught.value) == (
        f"torch is installed and does not load: {cause}. Run: pip install --force-reinstall 'dermedge[export]'"
    )


def test_what_torch_imports_at_the_end_is_missed_at_the_beginning(monkeypatch) -> None:
    monkeypatch.setattr(require, "is_there", lambda name: name not in ("onnxscript", "jinja2"))
    with pytest.raises(DermedgeError, match=r"needs jinja2 and onnxscript, which are not installed"), extras("export"):
        pass
    with extras("train"):
        pass


def test_what_is_installed_is_imported() -> None:
    with extras():
        import json
    assert json.loads("1") == 1


@pytest.mark.parametrize("extra", PACKAGES)
def test_every_named_extra_really_brings_its_packages(extra) -> None:
    groups = PROJECT["optional-dependencies"]
    lines = [*groups["train"], *groups["batch"], *groups[extra], *groups["cpu"]]
    named = {line.partition(">=")[0] for line in lines}
    for module in PACKAGES[extra]:
        assert DISTRIBUTION.get(module, module) in named, module
