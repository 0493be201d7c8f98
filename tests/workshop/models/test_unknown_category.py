"""Unknown values as a category of their own: encoding, the average patient, training, earlier runs."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from dermedge.config import TrainConfig
from dermedge.data.ham10000 import HAM10000
from dermedge.models.classifier import FusedClassifier
from dermedge.models.clinical_branch import ClinicalEncoder
from dermedge.training.predictions import trained_model
from dermedge.training.run import Run
from dermedge.training.start_weights import start_weights
from dermedge.training.train import train
from dermedge_runtime.errors import DermedgeError
from dermedge_runtime.inputs.clinical import CATEGORY, IMPUTE, CategoricalField, ClinicalSchema, NumericField

SCHEMA = ClinicalSchema(
    (NumericField("age", "years", 0, 120), NumericField("diameter", "mm", 0, 90)),
    (CategoricalField("sex", ("female", "male")), CategoricalField("itch", ("no", "unknown", "yes"))),
    CATEGORY,
)
AGE, AGE_UNKNOWN, DIAMETER_UNKNOWN, SEX, SEX_UNKNOWN, ITCH = 0, 2, 3, slice(4, 6), 6, slice(7, 10)
PATIENTS = [
    {"age": 10, "diameter": 4, "sex": "male", "itch": "no"},
    {"age": 30, "diameter": 4, "sex": "male", "itch": "no"},
    {"diameter": 4, "sex": "female", "itch": "no"},
    {"age": 50, "diameter": 4, "sex": "male", "itch": "no"},
]
FUSIONS = ["concat", "cross_attention", "gated", "self_attention", "hadamard", "clinical_only"]


def arrays(*patients: dict) -> tuple[torch.Tensor, torch.Tensor]:
    numeric, categorical = SCHEMA.encode(patients)
    return torch.from_numpy(numeric), torch.from_numpy(categorical)


def fitted(hidden: float = 0.0, schema: ClinicalSchema = SCHEMA, patients: list[dict] = PATIENTS) -> FusedClassifier:
    torch.manual_seed(1)
    model = FusedClassifier("clinical_only", schema, 3).eval()
    model.fit_clinical(*SCHEMA.encode(patients), hidden, anew=True)
    return model


def first_weights(model: FusedClassifier) -> np.ndarray:
    return model.head.clinical[0].weight.detach().numpy()


def test_unknown_is_a_feature_and_nothing_else_of_its_field_is() -> None:
    encoder = ClinicalEncoder(SCHEMA)
    encoder.fit(*SCHEMA.encode(PATIENTS))
    assert encoder.mean.tolist() == [30, 4], "the mean of the known ages"
    encoded = encoder(*arrays({}, {"age": 30, "diameter": 4, "sex": "male", "itch": "unknown"})).numpy()
    names = SCHEMA.features
    assert {names[i] for i in np.flatnonzero(encoded[0])} == {f"{name}=unknown" for name in SCHEMA.names}
    assert {names[i] for i in np.flatnonzero(encoded[1])} == {"sex=male", "itch=unknown"}
    assert encoded.shape == (2, len(names)) and set(encoded.ravel()) == {0, 1}
    assert encoder.imputed() == {}


def test_imputing_names_what_it_imputes() -> None:
    encoder = ClinicalEncoder(replace(SCHEMA, unknown=IMPUTE))
    encoder.fit(*SCHEMA.encode(PATIENTS))
    assert encoder.imputed() == {"age": 30.0, "diameter": 4.0, "sex": "male", "itch": "no"}


def test_what_training_cannot_learn_stands_for_the_average_patient() -> None:
    weights = first_weights(fitted(patients=PATIENTS[:2] + PATIENTS[3:] + [{**PATIENTS[2], "age": 30}]))
    np.testing.assert_allclose(weights[:, SEX_UNKNOWN], weights[:, SEX] @ [0.25, 0.75], atol=1e-6)
    assert not np.allclose(weights[:, 4], weights[:, 5])
    no, unknown, yes = weights[:, ITCH].T
    np.testing.assert_allclose(unknown, no, atol=1e-6)
    np.testing.assert_allclose(yes, no, atol=1e-6, err_msg="a word that no patient has is no noise either")
    assert not weights[:, [AGE_UNKNOWN, DIAMETER_UNKNOWN]].any(), "a number is at its mean already"
    assert not weights[:, 1].any(), "all diameters are alike: what another means was not seen"
    assert weights[:, AGE].any()


def test_an_unknown_value_answers_as_the_mean_of_the_first_layer_over_the_patients() -> None:
    model = fitted(patients=[{**each, "age": 30} for each in PATIENTS])
    first = model.head.clinical[0]
    with torch.no_grad():
        unknown = first(model.encode(*arrays({})))
        known = first(model.encode(*arrays(*({**each, "age": 30} for each in PATIENTS))))
    np.testing.assert_allclose(unknown[0], known.mean(dim=0), atol=1e-6)


@pytest.mark.parametrize(("hidden", "rare", "learned"), [(0.0, 1, False), (0.0, 5, True), (0.15, 0, True)])
def test_unknown_is_learned_where_enough_patients_are_unknown(hidden: float, rare: int, learned: bool) -> None:
    many = [{**PATIENTS[i % 4], "age": 10 + i} for i in range(60)]
    for patient in many[:rare]:
        del patient["sex"]
    model = fitted(hidden, patients=many)
    before = first_weights(model).copy()
    start = SCHEMA.categorical[0].vocabulary
    shares = np.array([sum(p.get("sex") == word for p in many) for word in start]) / (60 - rare)
    np.testing.assert_allclose(before[:, SEX_UNKNOWN], before[:, SEX] @ shares, atol=1e-6)
    original = model.head.clinical[0].parametrizations.weight.original
    with torch.no_grad():
        original[:, SEX_UNKNOWN] += 1
    np.testing.assert_allclose(first_weights(model)[:, SEX_UNKNOWN] - before[:, SEX_UNKNOWN], float(learned), atol=1e-6)


def test_imputing_silences_features_that_no_patient_has() -> None:
    schema = replace(SCHEMA, unknown=IMPUTE)
    weights = first_weights(fitted(schema=schema))
    silent = {name for name, column in zip(schema.features, weights.T, strict=True) if not column.any()}
    assert silent == {"diameter", "itch=unknown", "itch=yes"}
    trained = FusedClassifier("clinical_only", schema, 3)
    before = first_weights(trained).copy()
    trained.fit_clinical(*SCHEMA.encode(PATIENTS), 0.0, anew=False)
    np.testing.assert_array_equal(first_weights(trained), before)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_only_what_was_given_and_unknown_moves_the_first_layer(fusion: str) -> None:
    torch.manual_seed(0)
    model = FusedClassifier(fusion, SCHEMA, 3)
    encoded = model.encode(*arrays({"sex": "male"}))
    assert {SCHEMA.features[i] for i in encoded[0].nonzero()} == {
        *("sex=male", "age=unknown", "diameter=unknown", "itch=unknown")
    }


def test_a_training_resumes_exactly_and_learns_unknown_values(new_run, samples) -> None:
    settings = {"fusion": "concat", "hide_clinical": 0.3, "ema": 0.5, "unknown": CATEGORY, "epochs": 2}
    config, run = new_run(**settings)
    train(config, samples, run)
    half, cut = new_run(**{**settings, "epochs": 1})
    train(half, samples, cut)
    record = json.loads(cut.config_file.read_text())
    record["settings"]["epochs"] = 2
    cut.config_file.write_text(json.dumps(record))
    cut = Run.open(cut.path)
    train(cut.config, samples, cut)
    assert cut.weights_sha256 == run.weights_sha256
    first = trained_model(run).head.clinical[0]
    learned = first.parametrizations.weight.original[:, HAM10000.clinical("grouped", CATEGORY).features.index(
        "sex=unknown")]  # fmt: skip
    assert learned.abs().max() > 0


def test_runs_from_before_there_was_a_choice_impute(new_run, samples) -> None:
    config, run = new_run(fusion="clinical_only", unknown=IMPUTE)
    train(config, samples, run)
    record = json.loads(run.config_file.read_text())
    del record["settings"]["unknown"]
    run.config_file.write_text(json.dumps(record))
    run = Run.open(run.path)
    assert run.config == config
    assert set(trained_model(run).state_dict()) >= {"encoder.median", "encoder.mode", "head.clinical.0.weight"}
    assert TrainConfig(data="").unknown == CATEGORY


def test_a_setting_that_does_not_exist_is_a_damaged_run(new_run) -> None:
    _, run = new_run()
    run.config_file.write_text(run.config_file.read_text().replace('"unknown": "category"', '"unknown": "guess"'))
    with pytest.raises(
        DermedgeError,
        match=r"config\.json is damaged \(the setting unknown is 'guess'; it must be category or impute\)",
    ):
        Run.open(run.path)


def test_another_setting_takes_the_image_branch_alone(new_run, samples) -> None:
    config, run = new_run(epochs=1, fusion="concat", unknown=IMPUTE)
    train(config, samples, run)
    assert "all weights" in start_weights(run.path, config, HAM10000, run.split).summary
    found = start_weights(run.path, replace(config, unknown=CATEGORY), HAM10000, run.split)
    assert found.summary.endswith("image branch of " + f"{run.path}, which was trained with --unknown impute")
    assert all(name.startswith(("trunk.", "head.image.")) for name in found.tensors)


def test_image_only_does_not_care(new_run, samples) -> None:
    config, run = new_run(epochs=1, fusion="image_only", unknown=IMPUTE)
    train(config, samples, run)
    assert "all weights" in start_weights(run.path, replace(config, unknown=CATEGORY), HAM10000, run.split).summary


def test_starting_from_weights_fits_the_average_to_the_new_patients() -> None:
    model = fitted()
    layer = model.head.clinical[0].parametrizations.weight
    kept, mix = layer.original.clone(), layer[0].mix.clone()
    model.fit_clinical(*SCHEMA.encode(PATIENTS[1:]), 0.0, anew=False)
    assert torch.equal(layer.original, kept)
    assert not torch.equal(layer[0].mix, mix)
