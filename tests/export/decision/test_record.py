"""Whatever a file says of its calibration, it is read as a whole or refused with one sentence."""

import json
from dataclasses import replace
from typing import Any

import pytest

from dermedge_export.decision.record import check_record
from dermedge_runtime import ModelFileError, model_in_the_box
from dermedge_runtime.model.description import ModelSpec
from dermedge_runtime.model.model_file import read_model_file

BOX = read_model_file(model_in_the_box()).spec
VECTOR = {"method": "vector", "scale": [1.0] * len(BOX.classes), "offset": [0.0] * len(BOX.classes)}


def with_change(path: tuple[str, ...], value: Any) -> ModelSpec:
    record: dict[str, Any] = json.loads(json.dumps(BOX.calibration))
    holder = record
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return replace(BOX, calibration=record)


def test_good_records() -> None:
    check_record(BOX, "x.onnx")
    check_record(replace(BOX, calibration={}, decision=None), "x.onnx")
    check_record(with_change(("scaling",), VECTOR), "x.onnx")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("scaling",), None),
        (("scaling",), []),
        (("scaling",), {}),
        (("scaling", "method"), "isotonic"),
        (("scaling", "method"), ["temperature"]),
        (("scaling", "temperature"), 0),
        (("scaling", "temperature"), -1.5),
        (("scaling", "temperature"), True),
        (("scaling", "temperature"), "1.5"),
        (("scaling", "temperature"), 10**400),
        (("scaling", "refused"), 3),
        (("scaling",), VECTOR | {"scale": 1.0}),
        (("scaling",), VECTOR | {"scale": [1.0]}),
        (("scaling",), VECTOR | {"scale": ["1"] * len(BOX.classes)}),
        (("scaling",), VECTOR | {"scale": [[1.0]] * len(BOX.classes)}),
        (("scaling",), VECTOR | {"scale": [1.0, [2.0]]}),
        (("scaling",), VECTOR | {"scale": [0.0] * len(BOX.classes)}),
        (("scaling",), VECTOR | {"offset": None}),
        (("validation",), []),
        (("validation", "before"), {}),
        (("validation", "before", "expected_calibration_error"), "0.1"),
        (("notes",), "text"),
        (("notes",), [3]),
        (("unfamiliar",), None),
        (("unfamiliar", "training_images"), None),
        (("unfamiliar", "ood_score"), {"features": "first"}),
        (("unfamiliar", "ood_score"), {"features": "last"}),
        (("unfamiliar", "ood_score", "side"), None),
        (("unfamiliar", "ood_score", "auroc"), {}),
        (("unfamiliar", "ood_score", "auroc"), [0.9]),
        (("unfamiliar", "ood_score", "auroc", "noise"), None),
    ],
)
def test_damaged_records(path: tuple[str, ...], value: Any) -> None:
    with pytest.raises(ModelFileError, match=r"^x\.onnx: what it says of its calibration is damaged \(") as caught:
        check_record(with_change(path, value), "x.onnx")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_a_decision_without_calibration() -> None:
    with pytest.raises(ModelFileError, match="missing 'scaling'"):
        check_record(replace(BOX, calibration={}), "x.onnx")
