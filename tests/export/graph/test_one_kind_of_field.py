"""Schemas whose clinical fields are all numbers, or all words: the graph lacks the other input."""

import numpy as np
import onnxruntime as ort
import pytest
import torch

from dermedge.models.classifier import FusedClassifier
from dermedge_export.graph.to_onnx import to_onnx
from dermedge_runtime.inputs.clinical import CategoricalField, ClinicalSchema, NumericField

NUMBERS = ClinicalSchema(numeric=(NumericField("age", "years", 0, 120), NumericField("diameter", "mm", 0, 50)))
WORDS = ClinicalSchema(categorical=(CategoricalField("itch", ("false", "true")),))


@pytest.mark.parametrize(
    ("schema", "name", "known"),
    [(NUMBERS, "numeric", {"age": 70, "diameter": 8}), (WORDS, "categorical", {"itch": "true"})],
)
def test_the_graph_has_one_clinical_input_and_equals_torch(schema, name, known):
    torch.manual_seed(0)
    model = FusedClassifier("clinical_only", schema, 3).eval()
    numeric, categorical = schema.encode([{}, known])
    session = ort.InferenceSession(to_onnx(model, schema, 32).SerializeToString(), providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == [name, "target"]
    given = {"numeric": numeric, "categorical": categorical}[name]
    found = session.run(["probabilities"], {name: given, "target": np.full(2, -1, dtype=np.int32)})[0]
    with torch.no_grad():
        expected = torch.softmax(model(None, torch.from_numpy(numeric), torch.from_numpy(categorical)), dim=1)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)
    assert not np.allclose(found[0], found[1])
