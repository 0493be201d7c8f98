"""A run that is kept with the project and made again is the run that was kept: weights, shift, settings, split."""

import json
import shutil
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from safetensors import SafetensorError

from dermedge.training.checkpoint import read_tensors, save_weights
from dermedge.training.run import Run
from dermedge.training.run_folder import RunFolder
from dermedge.training.shifted_weights import recorded_shift
from dermedge.training.training_job import shift_priors
from dermedge_runtime.errors import DermedgeError, InputRejected

_SPEC = spec_from_file_location("box", Path(__file__).parents[1] / "box" / "box.py")
assert _SPEC is not None and _SPEC.loader is not None
box = module_from_spec(_SPEC)
_SPEC.loader.exec_module(box)
LARGEST = 40_000


@pytest.fixture
def trained(trained_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(box, "LARGEST_FILE", LARGEST)
    folder = shutil.copytree(trained_run.path, tmp_path / "trained")
    # A network of one size is enough: what is kept is tensors, whatever they are of.
    weights = {name: tensor for name, tensor in read_tensors(trained_run.weights_file).items() if tensor.numel() < 9000}
    save_weights(folder / "weights.safetensors", weights)
    return folder


@pytest.mark.parametrize("half", [False, True], ids=["float32", "half"])
@pytest.mark.parametrize("is_shifted", [False, True], ids=["as trained", "shifted"])
def test_what_is_kept_comes_back(
    trained: Path, synthetic_data: Path, tmp_path: Path, half: bool, is_shifted: bool
) -> None:
    run = Run.open(trained)
    if half:
        weights = read_tensors(run.weights_file)
        halved = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
        save_weights(run.weights_file, halved)
    if is_shifted:
        shift_priors(run.path, 0.5, synthetic_data)
    run = Run.open(trained)
    kept, again = tmp_path / "kept", RunFolder(tmp_path / "again")
    box.keep(run.path, kept)
    parts = sorted(kept.glob("*.safetensors"))
    assert len(parts) > 1 and all(part.stat().st_size <= LARGEST for part in parts)
    assert {path.name for path in kept.iterdir()} == {"config.json", "history.csv", *(part.name for part in parts)}
    assert str(synthetic_data) not in (kept / "config.json").read_text(encoding="utf-8")
    box.restore(kept, synthetic_data, again)
    found = Run.open(again.path)
    assert found.weights_sha256 == run.weights_sha256
    assert found.split.sha256 == run.split.sha256 and found.config == run.config
    assert recorded_shift(found) == recorded_shift(run) and (recorded_shift(found) is not None) == is_shifted
    with pytest.raises(DermedgeError, match="holds a run already"):
        box.restore(kept, synthetic_data, again)


def test_no_place_of_this_machine_is_kept(trained: Path, tmp_path: Path) -> None:
    config = trained / "config.json"
    record = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(
        json.dumps({**record, "teachers": [{"path": str(trained), "sha256": "0" * 64}]}), encoding="utf-8"
    )
    box.keep(trained, tmp_path / "kept")
    kept = (tmp_path / "kept" / "config.json").read_text(encoding="utf-8")
    assert str(tmp_path) not in kept and json.loads(kept)["teachers"][0]["path"] == trained.name


def test_other_pictures_or_damaged_weights_make_no_run(trained: Path, synthetic_data: Path, tmp_path: Path) -> None:
    kept, again = tmp_path / "kept", RunFolder(tmp_path / "again")
    with pytest.raises(DermedgeError, match="Nothing is kept"):
        box.restore(kept, synthetic_data, again)
    box.keep(trained, kept)
    record = json.loads((kept / "config.json").read_text(encoding="utf-8"))
    (kept / "config.json").write_text(json.dumps({**record, "split_sha256": "0" * 64}), encoding="utf-8")
    with pytest.raises(InputRejected, match="the model was trained on 000000000000"):
        box.restore(kept, synthetic_data, again)
    (kept / "config.json").write_text(json.dumps({**record, "weights_sha256": "0" * 64}), encoding="utf-8")
    with pytest.raises(DermedgeError, match="not those that were kept"):
        box.restore(kept, synthetic_data, again)
    part = next(kept.glob("*.safetensors"))
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    with pytest.raises((SafetensorError, DermedgeError)):
        box.restore(kept, synthetic_data, again)
    assert not again.config_file.exists()
