import hashlib
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from dermedge_runtime.commands.inspection import inspection_record, inspection_text
from dermedge_runtime.errors import ModelFileError
from dermedge_runtime.inputs.clinical import CategoricalField, ClinicalSchema, NumericField
from dermedge_runtime.model import exported_models
from dermedge_runtime.model.description import ImageSpec, ModelSpec
from dermedge_runtime.model.exported_models import models_of, newest_model
from dermedge_runtime.model.model_file import ModelFile

SPEC = ModelSpec(
    classes=("mel", "nv"),
    class_names={"mel": "melanoma", "nv": "nevus"},
    fusion="cross_attention",
    precision="fp32",
    image=ImageSpec(256, "bilinear"),
    clinical=ClinicalSchema((NumericField("age", "years", 0, 120),), (CategoricalField("sex", ("female", "male")),)),
    metrics={"test": {"accuracy": 0.123456789}},
)


def models(folder: Path, **ages_s: int) -> Path:
    for name, age in ages_s.items():
        (folder / f"{name}.onnx").write_text(name, encoding="utf-8")
        os.utime(folder / f"{name}.onnx", (10_000 - age, 10_000 - age))
    return folder


def test_the_newest_model_is_the_one_written_last(tmp_path):
    models(tmp_path, a=5, b=1, c=9)
    (tmp_path / "later.txt").touch()
    assert newest_model(tmp_path) == tmp_path / "b.onnx"


@pytest.mark.parametrize("folder", ["empty", "missing"])
def test_no_model_says_where_it_looked_and_what_to_do(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelFileError) as caught:
        newest_model(tmp_path / folder)
    assert caught.value.exit_code == 4
    assert str(tmp_path / folder) in str(caught.value)
    assert "`dermedge export`" in str(caught.value) and "--model" in str(caught.value)


def test_models_of_a_run_are_found_by_the_hash_of_its_weights(tmp_path, monkeypatch):
    def read(path: Path) -> SimpleNamespace:
        if path.stem == "broken":
            raise ModelFileError("damaged")
        return SimpleNamespace(spec=SimpleNamespace(weights_sha256="other" if path.stem == "foreign" else "mine"))

    monkeypatch.setattr(exported_models, "read_model_file", read)
    models(tmp_path, z=1, a=2, foreign=3, broken=4)
    assert models_of("mine", tmp_path) == [tmp_path / "a.onnx", tmp_path / "z.onnx"]
    assert models_of("nobody's", tmp_path) == []


def test_files_that_are_no_models_are_passed_over(tmp_path):
    assert models_of("mine", models(tmp_path, text=1)) == []


def test_an_inspection_is_the_description_with_size_and_hash():
    record = inspection_record(ModelFile(Path("m.onnx"), b"content", SPEC))
    assert (record["file"], record["bytes"]) == ("m.onnx", 7)
    assert record["sha256"] == hashlib.sha256(b"content").hexdigest()
    assert {key: record[key] for key in json.loads(SPEC.to_json())} == json.loads(SPEC.to_json())
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_an_inspection_as_text_has_one_indented_line_per_value():
    lines = inspection_text(inspection_record(ModelFile(Path("m.onnx"), b"content", SPEC))).split("\n")
    assert "bytes: 7" in lines
    assert "classes: mel, nv" in lines
    assert "features: age, sex=female, sex=male" in lines
    assert lines[lines.index("class_names:") + 1 :][:2] == ["  mel: melanoma", "  nv: nevus"]
    assert "    accuracy: 0.123457" in lines
    assert lines[lines.index("  categorical:") + 1] == "    - name sex, vocabulary female, male"
