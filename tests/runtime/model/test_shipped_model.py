"""The models in the box: what every installation can predict with."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from dermedge_runtime import Classifier, ModelFileError, UsageError, model_in_the_box
from dermedge_runtime.model import shipped_model as box
from dermedge_runtime.model.model_file import read_model_file
from dermedge_runtime.model.shipped_model import card_in_the_box, names_in_the_box

LARGEST_BYTES = {"box": 8_000_000, "tiny": 1_500_000}
TINY = Path(__file__).parents[2] / "data" / "tiny.onnx"


@pytest.fixture(params=names_in_the_box())
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_it_is_a_small_explained_file_of_an_honest_split(name: str) -> None:
    file = read_model_file(model_in_the_box(name))
    spec = file.spec
    assert len(file.content) <= LARGEST_BYTES[name]
    assert spec.explains and spec.precision == "int8"
    assert spec.training["protocol"] in ("grouped", "refit") and spec.parity["agreement"] >= 0.97
    assert "NC" in spec.licence and "Research use only" in spec.intended_use


def test_its_card_is_of_this_file(name: str) -> None:
    card = card_in_the_box(name).read_text(encoding="utf-8")
    assert hashlib.sha256(model_in_the_box(name).read_bytes()).hexdigest() in card
    for words in (
        "Research use only",
        "non-commercial",
        "95 % intervals",
        "**sex**",
        "**age**",
        "**site**",
        "## Limits",
    ):
        assert words in card, words


def test_it_predicts_and_explains(name: str) -> None:
    picture = np.full((90, 120, 3), (200, 150, 130), dtype=np.uint8)
    picture[30:60, 40:80] = (90, 50, 40)
    result = Classifier(model_in_the_box(name), "cpu").predict(picture, age=55, site="back")
    assert sum(result.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert result.heatmap.shape == (90, 120) and set(result.relevance_by_field) == {"age", "sex", "site"}


def test_an_installation_without_it_says_so(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(box, "_FOLDER", tmp_path)
    for name in ("box", "tiny"):
        with pytest.raises(ModelFileError, match="Install dermedge again"):
            model_in_the_box(name)


def test_a_file_that_lies_there_is_in_the_box_by_its_name(monkeypatch, tmp_path) -> None:
    with pytest.raises(UsageError, match="no model 'huge' in the box; there is box"):
        model_in_the_box("huge")
    for each in ("another", "box"):
        shutil.copy(TINY, tmp_path / f"{each}.onnx")
    monkeypatch.setattr(box, "_FOLDER", tmp_path)
    assert names_in_the_box() == ("box", "another")
    assert model_in_the_box() == model_in_the_box("box") == tmp_path / "box.onnx"
    assert Classifier(model_in_the_box("another"), "cpu").name == "another.onnx"
    assert card_in_the_box("another") == tmp_path / "another.md"
    with pytest.raises(UsageError, match="there is box and another"):
        card_in_the_box("huge")
