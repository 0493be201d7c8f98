"""The model in the box: what every installation can predict with."""

import hashlib

import numpy as np
import pytest

from dermedge_runtime import Classifier, ModelFileError, model_in_the_box
from dermedge_runtime.model import shipped_model as box
from dermedge_runtime.model.model_file import read_model_file
from dermedge_runtime.model.shipped_model import card_in_the_box

LARGEST_BYTES = 14_000_000


def test_it_is_a_small_explained_file_of_an_honest_split() -> None:
    file = read_model_file(model_in_the_box())
    spec = file.spec
    assert len(file.content) <= LARGEST_BYTES
    assert spec.explains and spec.precision == "int8"
    assert spec.training["protocol"] in ("grouped", "refit") and spec.parity["agreement"] >= 0.97
    assert "NC" in spec.licence and "Research use only" in spec.intended_use


def test_its_card_is_of_this_file() -> None:
    card = card_in_the_box().read_text(encoding="utf-8")
    assert hashlib.sha256(model_in_the_box().read_bytes()).hexdigest() in card
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


def test_it_predicts_and_explains() -> None:
    picture = np.full((90, 120, 3), (200, 150, 130), dtype=np.uint8)
    picture[30:60, 40:80] = (90, 50, 40)
    result = Classifier(model_in_the_box(), "cpu").predict(picture, age=55, site="back")
    assert sum(result.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert result.heatmap.shape == (90, 120) and set(result.relevance_by_field) == {"age", "sex", "site"}


def test_an_installation_without_it_says_so(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(box, "_FOLDER", tmp_path)
    with pytest.raises(ModelFileError, match="Install dermedge again"):
        model_in_the_box()
