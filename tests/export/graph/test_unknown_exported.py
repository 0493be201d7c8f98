"""Model files in every precision: what was not given has no relevance, and what is imputed is named."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from export_networks import SIZE, fusion_cases, in_precision, random_model_file
from onnx import numpy_helper

from dermedge.config import TrainConfig
from dermedge.data.ham10000 import HAM10000, read_samples
from dermedge.data.samples import Sample
from dermedge.data.splits import make_split
from dermedge.evaluation.card import _of_unknown
from dermedge.evaluation.explain import _mean_relevance
from dermedge.models.fusion import FUSIONS
from dermedge.training.run_folder import RunFolder
from dermedge.training.train import start_run, train
from dermedge_export.check.parity import Limits
from dermedge_export.graph.imputed_values import with_imputed_values
from dermedge_export.pipeline import export_model
from dermedge_runtime import Classifier, model_in_the_box
from dermedge_runtime.inputs.clinical import CATEGORY, IMPUTE

FEATURES = HAM10000.clinical("grouped", CATEGORY).features
CLINICAL = [name for name, kind in FUSIONS.items() if kind.uses_clinical]
FILES = [*fusion_cases(CLINICAL, "fp32"), ("cross_attention", "fp16"), ("concat", "int8")]
PATIENTS = [
    {},
    {"sex": "female"},
    {"age": 0},
    {"age": 70, "site": "scalp"},
    {"sex": "male", "site": "unknown"},
    {"age": 51, "sex": "unknown", "site": "back"},
    {"age": 33, "sex": "male", "site": "ear"},
]


def _may_have_relevance(patient: dict) -> set[str]:
    known = {name: value for name, value in patient.items() if value != "unknown"}
    absent = {f"{name}=unknown" for name in ("age", "sex", "site") if name not in known}
    return absent | {"age" if name == "age" else f"{name}={value}" for name, value in known.items()}


def _predict(path: Path, patients: list[dict], target: str | None = None) -> list:
    classifier = Classifier(path, "cpu", threads=1)
    picture = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    pictures = [picture if classifier.spec.image is not None else None] * len(patients)
    return classifier.predict_many(pictures, patients, target=target)


@pytest.mark.parametrize(("fusion", "precision"), FILES)
def test_nothing_that_was_not_given_has_relevance(fusion: str, precision: str, converted, tmp_path: Path) -> None:
    path = random_model_file(converted(fusion, precision), tmp_path, fusion, precision).path
    for target in (None, "mel"):
        for patient, found in zip(PATIENTS, _predict(path, PATIENTS, target), strict=True):
            assert tuple(found.relevance) == FEATURES
            for values in (found.relevance, found.explanation.attribution):
                counted = {name for name, value in values.items() if value != 0}
                assert counted == _may_have_relevance(patient), (patient, target)
            assert max(found.relevance.values()) == pytest.approx(1)
            assert found.imputed == found.explanation.imputed == {}


@pytest.mark.parametrize(("fusion", "precision"), [("clinical_only", "fp32"), ("concat", "fp16"), ("concat", "int8")])
def test_a_patient_of_whom_nothing_speaks_has_no_relevance(fusion: str, precision: str, traced, tmp_path: Path) -> None:
    proto = traced(fusion)
    zeroed = 0
    for tensor in proto.graph.initializer:
        if len(tensor.dims) == 2 and len(FEATURES) in tensor.dims:
            tensor.CopyFrom(numpy_helper.from_array(np.zeros(tensor.dims, np.float32), tensor.name))
            zeroed += 1
    assert zeroed
    (found,) = _predict(random_model_file(in_precision(proto, precision), tmp_path, fusion, precision).path, [{}])
    assert set(found.relevance.values()) == {0.0}
    assert sum(found.probabilities.values()) == pytest.approx(1, abs=1e-5)


@pytest.fixture(scope="module")
def exported_clinical(synthetic_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Train a network of clinical values alone, and export it."""

    def export(unknown: str) -> Path:
        folder = tmp_path_factory.mktemp(unknown)
        config = TrainConfig(data=str(synthetic_data), fusion="clinical_only", epochs=1, per_class=8, unknown=unknown)
        samples = read_samples(synthetic_data)
        split = make_split(samples, config.protocol, config.seed)
        run = start_run(config, split, RunFolder(folder / "run"))
        train(config, samples, run)
        loose = Limits(agreement=0, balanced_accuracy_drop=1)
        return export_model(run, samples, "fp32", folder / "clinical_only-fp32.onnx", limits=loose).path

    return export


def test_a_file_that_imputes_names_what_it_imputes(exported_clinical) -> None:
    path = exported_clinical(IMPUTE)
    clinical = Classifier(path, "cpu").spec.clinical
    values = {field.name: field.imputed for field in clinical.fields}
    assert clinical.unknown == IMPUTE and None not in values.values()
    unknown, given = _predict(path, [{}, values])
    assert unknown.probabilities == given.probabilities
    assert (unknown.imputed, given.imputed) == (values, {})
    assert set(unknown.relevance) == {
        f"age=unknown (counted as {values['age']:g})",
        f"sex=unknown (counted as {values['sex']})",
        f"site=unknown (counted as {values['site']})",
    }
    assert list(unknown.relevance.values()) == pytest.approx([given.relevance[name] for name in (
        "age", f"sex={values['sex']}", f"site={values['site']}")])  # fmt: skip
    # The same names are found in a file from before descriptions had them.
    bare = replace(Classifier(path, "cpu").spec, clinical=HAM10000.clinical("grouped"))
    assert with_imputed_values(bare, onnx.load(path)).clinical == clinical


@pytest.mark.parametrize(("unknown", "said"), [(IMPUTE, "sex unknown (counted as male)"), (CATEGORY, "of its own.")])
def test_the_card_says_what_unknown_is(unknown: str, said: str) -> None:
    clinical = HAM10000.clinical("grouped", unknown)
    spec = replace(Classifier(model_in_the_box(), "cpu").spec, clinical=clinical.with_imputed({"sex": "male"}))
    assert said in _of_unknown(spec)


def test_mean_relevance_keeps_imputed_values_apart() -> None:
    sample = Sample("a", "a", Path("a.jpg"), 0, {})
    given = SimpleNamespace(relevance={"age": 1.0, "sex=female": 0.5, "sex=male": 0.0})
    imputed = SimpleNamespace(relevance={"age": 0.0, "sex=unknown (counted as male)": 0.8})
    schema = SimpleNamespace(classes=("mel",))
    (row,) = _mean_relevance([sample] * 2, [imputed, given], schema, ("age", "sex=female", "sex=male")).values()
    assert row == {"age": 0.5, "sex=female": 0.25, "sex=male": 0.0, "sex=unknown (counted as male)": 0.4}


def test_a_file_with_a_category_for_unknown_says_so(exported_clinical) -> None:
    path = exported_clinical(CATEGORY)
    spec = Classifier(path, "cpu").spec
    assert spec.clinical == HAM10000.clinical("grouped", CATEGORY)
    assert spec.training["settings"]["unknown"] == CATEGORY
    assert with_imputed_values(spec, onnx.load(path)) is spec
