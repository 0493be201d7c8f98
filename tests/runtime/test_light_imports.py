"""The runtime needs numpy, Pillow and ONNX Runtime: proved in clean interpreters where all else cannot be imported."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from make_tiny_model import CLASSES, TINY

import dermedge_runtime

TESTS = Path(__file__).parents[1]
HEAVY = (
    *("torch", "onnx", "onnxscript", "pandas", "click", "sklearn", "matplotlib", "safetensors", "tqdm"),
    *("dermedge", "dermedge_export"),
)
PREDICT = f"""
import json
import numpy as np
from dermedge_runtime import Classifier
model = Classifier({str(TINY)!r}, device="cpu")
image = np.full((40, 30, 3), 90, np.uint8)
print(json.dumps(model.predict(image, age=55, sex="male", site="back").to_record()))
"""
NO_SOCKETS = """
import socket
class Refused(socket.socket):
    def __init__(self, *args, **options):
        raise OSError("a test opened a socket")
socket.socket = Refused
"""


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    start = f"import sys; sys.path.insert(0, {str(TESTS)!r})\n"
    return subprocess.run(
        [sys.executable, "-c", start + code], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize(
    "start", [f"import denylist; denylist.install({HEAVY!r})", NO_SOCKETS], ids=["packages", "sockets"]
)
def test_prediction_without(start: str) -> None:
    done = run_python(start + PREDICT)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert list(record["probabilities"]) == list(CLASSES)
    assert record["device"] == "cpu"


@pytest.mark.parametrize("package", HEAVY)
def test_the_denylist_blocks(package: str) -> None:
    code = f"import denylist; denylist.install([{package!r}])\nimport {package}.anything"
    done = run_python(code)
    assert done.returncode == 1
    assert f"{package} is on the denylist of this test" in done.stderr


def test_the_denylist_refuses_what_is_imported_already() -> None:
    done = run_python("import json, denylist; denylist.install(['json'])")
    assert "already imported, so a denylist proves nothing: json" in done.stderr


def test_the_socket_block_blocks() -> None:
    done = run_python(NO_SOCKETS + "socket.create_connection(('localhost', 9))")
    assert "a test opened a socket" in done.stderr


def test_errors_cost_no_import_of_numpy_pillow_or_onnxruntime() -> None:
    code = (
        "import denylist; denylist.install(['numpy', 'PIL', 'onnxruntime'])\n"
        "from dermedge_runtime import DermedgeError, DeviceUnavailable, InputRejected, ModelFileError, UsageError\n"
        "print(*(e.exit_code for e in (DermedgeError, UsageError, InputRejected, ModelFileError, DeviceUnavailable)))"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1", "2", "3", "4", "5"]


def test_public_names() -> None:
    assert dermedge_runtime.__all__ == [
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
    for name in dermedge_runtime.__all__:
        assert getattr(dermedge_runtime, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'Model'"):
        _ = dermedge_runtime.Model
