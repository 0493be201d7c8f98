import tomllib
from pathlib import Path

import pytest

from dermedge import require
from dermedge.require import extras
from dermedge_runtime.errors import DermedgeError

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DISTRIBUTION = {"sklearn": "scikit-learn"}


@pytest.mark.parametrize(
    ("module", "extra"),
    [("torch", "train"), ("torch.nn.functional", "train"), ("sklearn.metrics", "train"), ("matplotlib", "train"),
     ("safetensors.torch", "train"), ("tqdm", "train"), ("onnx", "export"), ("onnxscript.ir", "export")],
)  # fmt: skip
@pytest.mark.parametrize("has_onnxruntime", [True, False])
def test_a_missing_package_of_an_extra_becomes_one_sentence_with_the_command(
    module, extra, has_onnxruntime, monkeypatch
):
    monkeypatch.setattr(require, "find_spec", lambda name: has_onnxruntime or None)
    wanted = extra if has_onnxruntime else f"{extra},cpu"
    missing = ModuleNotFoundError(f"No module named '{module}'", name=module)
    with pytest.raises(DermedgeError) as caught, extras():
        raise missing
    assert str(caught.value) == (
        f"This command needs {module}, which is not installed. Run: pip install 'dermedge[{wanted}]'."
    )
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
def test_any_other_trouble_passes_through_unchanged(error):
    with pytest.raises(type(error)) as caught, extras():
        raise error
    assert caught.value is error


def test_what_is_installed_is_imported():
    with extras():
        import json
    assert json.loads("1") == 1


def test_every_named_extra_really_brings_its_package():
    for module, extra in require._EXTRA_OF.items():
        wanted = PROJECT["optional-dependencies"][extra]
        assert any(line.startswith(DISTRIBUTION.get(module, module) + ">=") for line in wanted), module
    assert "cpu" in PROJECT["optional-dependencies"]
