"""The check that a user with a card runs and sends: its comparison, its record, and the card where there is one."""

import json
from pathlib import Path

import numpy as np
import pytest

import benchmarks.gpu_check as gpu_check
from dermedge_runtime import Classifier, model_in_the_box
from dermedge_runtime.devices.nvidia_driver import find_driver
from dermedge_runtime.errors import DeviceUnavailable

OUTPUTS = {"probabilities", "heatmap", "relevance", "attribution", "ood_score", "lesion_ood_score"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_check, "PICTURES", 8)
    monkeypatch.setattr(gpu_check, "BATCHES", (1, 8))


def test_a_device_that_answers_alike_and_one_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, device: str, **options: object) -> Classifier:
        if device == "cuda":
            raise DeviceUnavailable("cuda was requested", cause="no card", mend="buy one")
        return Classifier(path, device)

    monkeypatch.setattr(gpu_check, "Classifier", refuse)
    out = tmp_path / "check.json"
    assert gpu_check.main(["--devices", "cpu,cuda", "--rounds", "3", "--out", str(out)]) == 0
    record = json.loads(out.read_text(encoding="utf-8"))
    one, *others = record["results"]
    assert one["runs"] and one["images"] == 8 and one["other_class"] == 0
    assert one["largest_difference"] == dict.fromkeys(OUTPUTS, 0.0)
    assert {batch: set(row["cpu"]) for batch, row in one["latency_ms"].items()} == {
        "1": {"median", "p95"},
        "8": {"median", "p95"},
    }
    assert [(row["device"], row["runs"], row["cause"]) for row in others] == [("cuda", False, "no card")] * 2
    assert set(record) == {"date", "machine", "driver", "versions", "settings", "results"}


def test_no_device_at_all_is_exit_code_5_with_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, device: str, **options: object) -> Classifier:
        if device == "rtx":
            raise DeviceUnavailable("rtx was requested", cause="no plugin", mend="install it")
        return Classifier(path, device)

    monkeypatch.setattr(gpu_check, "Classifier", refuse)
    out = tmp_path / "check.json"
    assert gpu_check.main(["--devices", "rtx", "--out", str(out)]) == DeviceUnavailable.exit_code == 5
    assert {row["cause"] for row in json.loads(out.read_text(encoding="utf-8"))["results"]} == {"no plugin"}


def test_every_output_is_compared() -> None:
    model = Classifier(model_in_the_box(), "cpu")
    arrays = gpu_check.inputs_of(model.spec, 8)
    assert np.isnan(arrays[1]).any() and (arrays[2] == -1).any() and (arrays[2] >= 0).any()
    reference = model.run(*arrays)
    assert set(reference) == OUTPUTS
    for name in OUTPUTS:
        changed = {key: value.copy() for key, value in reference.items()}
        changed[name][3] += 0.25
        found = gpu_check.compared(reference, changed)["largest_difference"]
        assert found == {key: pytest.approx(0.25 if key == name else 0, abs=1e-6) for key in OUTPUTS}
    with pytest.raises(ValueError, match="instead of"):
        gpu_check.compared(reference, {"probabilities": reference["probabilities"]})


@pytest.mark.gpu
@pytest.mark.parametrize("device", gpu_check.DEVICES)
def test_a_card_answers_as_the_cpu_does(device: str) -> None:
    if find_driver() is None:
        pytest.skip("there is no NVIDIA driver here")
    rows = gpu_check.check(model_in_the_box(), [device], 3)
    if not any(row["runs"] for row in rows):
        pytest.skip(f"{device}: {rows[0]['cause']}")
    for row in rows:
        assert row["runs"], row["cause"]
        assert row["other_class"] == 0
        assert all(difference < 0.02 for difference in row["largest_difference"].values())
