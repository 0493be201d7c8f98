import shutil
from pathlib import Path

import pytest

from dermedge_runtime import model_in_the_box


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return Path(shutil.copy(model_in_the_box("tiny"), tmp_path / "m.onnx"))
