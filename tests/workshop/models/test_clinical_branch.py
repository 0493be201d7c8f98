import math

import numpy as np
import pytest
import torch
from torch import nn

from dermedge.models.clinical_branch import ClinicalEncoder, ClinicalMLP
from dermedge_runtime.inputs.clinical import CategoricalField, ClinicalSchema, NumericField

SCHEMA = ClinicalSchema(
    numeric=(NumericField("age", "years", 0, 120), NumericField("diameter", "mm", 0, 90)),
    categorical=(CategoricalField("sex", ("female", "male")), CategoricalField("site", ("arm", "back", "ear"))),
)
PATIENTS = [
    {"age": 10.0, "diameter": 3.0, "sex": "male", "site": "ear"},
    {"age": 20.0, "sex": "male"},
    {"diameter": 5.0, "site": "ear"},
    {"age": 60.0, "diameter": 4.0, "sex": "female", "site": "arm"},
]
# By hand: ages 10, 20, (median 20), 60 and diameters 3, (median 4), 5, 4.
AGE_MEAN, AGE_STD = 27.5, math.sqrt((17.5**2 + 7.5**2 + 7.5**2 + 32.5**2) / 4)
DIAMETER_STD = math.sqrt((1 + 0 + 1 + 0) / 4)


def encode(encoder: ClinicalEncoder, *patients) -> np.ndarray:
    numeric, categorical = SCHEMA.encode(patients)
    return encoder(torch.from_numpy(numeric), torch.from_numpy(categorical)).numpy()


@pytest.fixture
def fitted() -> ClinicalEncoder:
    encoder = ClinicalEncoder(SCHEMA)
    encoder.fit(*SCHEMA.encode(PATIENTS))
    return encoder


def test_fitting_gives_the_hand_computed_numbers(fitted):
    assert fitted.median.tolist() == [20, 4]
    assert fitted.mean.tolist() == pytest.approx([AGE_MEAN, 4])
    assert fitted.std.tolist() == pytest.approx([AGE_STD, DIAMETER_STD])
    assert fitted.mode.tolist() == [1, 2]


def test_encoding_is_z_scores_then_one_column_per_word(fitted):
    encoded = encode(fitted, PATIENTS[0], PATIENTS[3])
    assert encoded.dtype == np.float32
    expected = [
        [(10 - AGE_MEAN) / AGE_STD, -1 / DIAMETER_STD, 0, 1, 0, 0, 1],
        [(60 - AGE_MEAN) / AGE_STD, 0, 1, 0, 1, 0, 0],
    ]
    np.testing.assert_allclose(encoded, expected, rtol=1e-6, atol=1e-7)


def test_unknown_values_become_the_median_and_the_mode(fitted):
    unknown, imputed = encode(fitted, {}, {"age": 20.0, "diameter": 4.0, "sex": "male", "site": "ear"})
    np.testing.assert_array_equal(unknown, imputed)


def test_the_training_patients_have_zero_mean_and_unit_variance(fitted):
    numeric = encode(fitted, *PATIENTS)[:, :2]
    np.testing.assert_allclose(numeric.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(numeric.std(axis=0), 1, rtol=1e-6)


def test_columns_line_up_with_the_schemas_feature_names(fitted):
    assert SCHEMA.features[:2] == ("age", "diameter")
    for index, name in enumerate(SCHEMA.features[2:], start=2):
        field, word = name.split("=")
        (row,) = encode(fitted, {field: word})
        own = [i for i, feature in enumerate(SCHEMA.features) if feature.startswith(f"{field}=")]
        assert [i for i in own if row[i] == 1] == [index]
        assert [row[i] for i in own if i != index] == [0] * (len(own) - 1)
    assert encode(fitted, {}).shape == (1, len(SCHEMA.features))


def test_only_fit_changes_what_the_encoder_knows(fitted):
    before = {name: tensor.clone() for name, tensor in fitted.state_dict().items()}
    fitted.train()
    encode(fitted, {"age": 119.0, "sex": "female", "site": "back"}, {})
    assert set(before) == {"median", "mean", "std", "mode"}, "what is exported with the weights"
    for name, tensor in fitted.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_a_patient_that_fit_did_not_see_does_not_count(fitted):
    fewer = ClinicalEncoder(SCHEMA)
    fewer.fit(*SCHEMA.encode(PATIENTS[:3]))
    assert fewer.median.tolist() == [15, 4]
    assert fewer.mean.tolist() == pytest.approx([15, 4])


def test_a_column_without_spread_or_without_values_gives_no_nan():
    encoder = ClinicalEncoder(SCHEMA)
    encoder.fit(*SCHEMA.encode([{"age": 50.0}, {"age": 50.0}, {}]))
    assert encoder.std.tolist() == [1, 1]
    np.testing.assert_array_equal(encode(encoder, {}), [[0, 0, 1, 0, 1, 0, 0]])
    np.testing.assert_array_equal(encode(encoder, {"age": 53.0, "diameter": 2.0})[0, :2], [3, 2])


def test_the_mlp_is_128_relu_256():
    mlp = ClinicalMLP(SCHEMA)
    assert [type(layer) for layer in mlp] == [nn.Linear, nn.ReLU, nn.Linear]
    assert [tuple(layer.weight.shape) for layer in (mlp[0], mlp[2])] == [(128, 7), (256, 128)]
    assert mlp(torch.zeros(3, 7)).shape == (3, 256)
