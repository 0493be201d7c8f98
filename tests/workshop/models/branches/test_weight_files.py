"""Files of weights: read as data alone, put on a branch's names, refused with the tensors that do not fit."""

import hashlib
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from dermedge.models.branches.families import family_of, new_branch
from dermedge.models.branches.weight_files import read_weights
from dermedge_runtime.errors import DermedgeError


class _Executed:
    """What a pickle of it does when it is opened."""

    def __reduce__(self):
        return os.mkdir, (os.environ["DERMEDGE_TEST_TRAP"],)


def whole_of(name: str) -> dict[str, Tensor]:
    """Give the state of the library's own network, its classifier included."""
    if name.startswith("timm:"):
        import timm

        return dict(timm.create_model(name.removeprefix("timm:")).state_dict())
    from torchvision.models import get_model

    return dict(get_model(name).state_dict())


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", "timm:mobilenetv3_small_050"])
def test_a_file_of_the_librarys_network_fits_with_its_classifier(tmp_path: Path, name: str, suffix: str) -> None:
    state, file = whole_of(name), tmp_path / f"weights.{suffix}"
    save_file(state, file) if suffix == "safetensors" else torch.save(state, file)
    read = read_weights(file)
    branch = new_branch(name)
    branch.load_state_dict(family_of(name).fit(name, read.tensors, str(file)))  # strict: every tensor, and no other
    assert all(torch.equal(tensor, state[key.removeprefix("network.")]) for key, tensor in branch.state_dict().items())
    assert read.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_file_of_the_branch_itself_fits(tmp_path: Path) -> None:
    for name in ("dermiresnet", "efficientnet_lite0", "squeezenet1_1"):
        state = new_branch(name).state_dict()
        save_file(state, tmp_path / "own.safetensors")
        found = family_of(name).fit(name, read_weights(tmp_path / "own.safetensors").tensors, "own.safetensors")
        assert found.keys() == state.keys() and all(torch.equal(found[key], state[key]) for key in state)


def test_old_files_of_densenet_and_those_without_counters_of_batches_fit() -> None:
    branch = new_branch("densenet121")
    state = {key.removeprefix("network."): tensor for key, tensor in branch.state_dict().items()}
    old = {
        key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2.") if "denselayer" in key else key: tensor
        for key, tensor in state.items()
        if not key.endswith("num_batches_tracked")
    }
    assert not old.keys() <= state.keys()
    branch.load_state_dict(family_of("densenet121").fit("densenet121", old, "old.pth"))


def test_tensors_that_do_not_fit_are_named() -> None:
    name, state = "squeezenet1_1", whole_of("squeezenet1_1")

    def told(changed: dict[str, Tensor]) -> str:
        with pytest.raises(DermedgeError) as error:
            family_of(name).fit(name, changed, "a.pth")
        return str(error.value)

    wide = {key: tensor.repeat_interleave(2, 0) if "squeeze" in key else tensor for key, tensor in state.items()}
    assert told(wide) == (
        "a.pth is not of squeezenet1_1: network.features.3.squeeze.weight is [32, 64, 1, 1] and must be [16, 64, 1, 1],"
        " network.features.3.squeeze.bias is [32] and must be [16],"
        " network.features.4.squeeze.weight is [32, 128, 1, 1] and must be [16, 128, 1, 1] and 13 more."
    )
    assert "it lacks network.features.0.weight." in told({k: v for k, v in state.items() if k != "features.0.weight"})
    assert "it has also another.weight, so it is of another network." in told(
        {**state, "another.weight": state["features.0.bias"]}
    )


def test_the_weights_of_a_deeper_network_are_not_taken_in_part() -> None:
    with pytest.raises(DermedgeError, match=r"not of resnet50: it has also layer3\.6\.conv1\.weight.*another network"):
        family_of("resnet50").fit("resnet50", whole_of("resnet101"), "r.pth")


def test_nothing_of_a_file_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trap = tmp_path / "executed"
    monkeypatch.setenv("DERMEDGE_TEST_TRAP", str(trap))
    torch.save({"weight": torch.zeros(1), "code": _Executed()}, tmp_path / "w.pth")
    with pytest.raises(DermedgeError, match=r"w\.pth is no file of tensors alone, and nothing else .* executed"):
        read_weights(tmp_path / "w.pth")
    assert not trap.exists()


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 cut", b'\x10\0\0\0\0\0\0\0{"a": broken'])
def test_a_damaged_file_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(DermedgeError, match=r"w\.pth"):
        read_weights(tmp_path / "w.pth")


def test_a_checkpoint_and_an_absent_file_are_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "model": {"a": torch.zeros(1)}}, tmp_path / "c.pth")
    with pytest.raises(DermedgeError, match=r"c\.pth is no state_dict.*It holds epoch, model\."):
        read_weights(tmp_path / "c.pth")
    with pytest.raises(DermedgeError, match=r"absent\.pth cannot be read: No such file"):
        read_weights(tmp_path / "absent.pth")
