import json
import os
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from dermedge.training import checkpoint
from dermedge.training.checkpoint import load_checkpoint, load_weights, save_checkpoint, save_weights
from dermedge_runtime.errors import DermedgeError

REST = {"history": [{"epoch": 1, "train_loss": 0.1 + 0.2, "validation_loss": None, "best": True}], "scaler": {}}


class Network(nn.Module):
    """Everything a state can hold: 4-d weights, a scalar parameter, an integer buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.alpha = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.alpha * self.norm(self.conv(x))


def made(seed: int, channels: int = 4) -> tuple[nn.Module, torch.optim.Adam]:
    torch.manual_seed(seed)
    network = Network().to(memory_format=torch.channels_last)
    if channels != 4:
        network.conv = nn.Conv2d(3, channels, 3)
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    if channels == 4:
        for _ in range(2):
            optimizer.zero_grad()
            network(torch.randn(2, 3, 5, 5)).square().sum().backward()
            optimizer.step()
    return network, optimizer


def average_of(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor + 1 for name, tensor in network.state_dict().items()}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    network, optimizer = made(0)
    save_checkpoint(tmp_path / "checkpoint.safetensors", network, optimizer, average_of(network), REST)
    save_weights(tmp_path / "weights.safetensors", network.state_dict())
    return tmp_path


def test_a_checkpoint_restores_everything_in_place(saved):
    expected, expected_optimizer = made(0)
    network, optimizer = made(1)
    average = {name: torch.zeros_like(tensor) for name, tensor in network.state_dict().items()}
    rest = load_checkpoint(saved / "checkpoint.safetensors", network, optimizer, average)
    assert rest == REST
    for name, tensor in expected.state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor), name
        assert network.state_dict()[name].dtype == tensor.dtype
        assert torch.equal(average[name], tensor + 1), name
    states = (optimizer.state_dict()["state"], expected_optimizer.state_dict()["state"])
    assert states[0].keys() == states[1].keys()
    for index, state in states[1].items():
        assert all(torch.equal(states[0][index][name], tensor) for name, tensor in state.items())


def test_the_layout_in_memory_is_that_of_the_new_network_not_of_the_file(saved):
    network, optimizer = made(1)
    average = average_of(network)
    load_checkpoint(saved / "checkpoint.safetensors", network, optimizer, average)
    assert network.conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert optimizer.state[network.conv.weight]["exp_avg"].is_contiguous(memory_format=torch.channels_last)


def test_weights_are_read_back_exactly(saved):
    network = made(1)[0]
    load_weights(saved / "weights.safetensors", network)
    written = made(0)[0].state_dict()
    assert written
    for name, tensor in written.items():
        assert torch.equal(network.state_dict()[name], tensor), name


def absent(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def garbage(path: Path) -> None:
    path.write_bytes(b"\x80\x04pickle?" * 20)


def without_description(path: Path) -> None:
    save_weights(path, made(0)[0].state_dict())


damage = pytest.mark.parametrize("damage", [absent, empty, cut, garbage])


@damage
def test_damaged_weights_are_an_error_that_names_the_file(saved, damage):
    path = saved / "weights.safetensors"
    damage(path)
    with pytest.raises(DermedgeError) as caught:
        load_weights(path, made(1)[0])
    assert str(caught.value).startswith(f"The weights {path} cannot be loaded: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", [absent, empty, cut, garbage, without_description])
def test_a_damaged_checkpoint_is_an_error_that_says_how_to_go_on(saved, damage):
    path = saved / "checkpoint.safetensors"
    damage(path)
    network, optimizer = made(1)
    with pytest.raises(DermedgeError) as caught:
        load_checkpoint(path, network, optimizer, average_of(network))
    assert str(caught.value).startswith(f"The checkpoint {path} cannot be loaded: ")
    assert str(caught.value).endswith("Start again with --overwrite.")


@pytest.mark.parametrize("place", [0.02, 0.1, 0.3, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("bit", [1, 128])
def test_one_flipped_bit_is_noticed_wherever_it_is(saved, place, bit):
    network, optimizer = made(1)
    for name in ("weights.safetensors", "checkpoint.safetensors"):
        path = saved / name
        content = bytearray(path.read_bytes())
        content[int((len(content) - 1) * place)] ^= bit
        path.write_bytes(content)
        with pytest.raises(DermedgeError, match=f"{name} cannot be loaded: "):
            if name.startswith("weights"):
                load_weights(path, network)
            else:
                load_checkpoint(path, network, optimizer, average_of(network))


def test_files_of_earlier_versions_have_no_checksum_and_open(saved):
    network, optimizer = made(0)
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(state, saved / "weights.safetensors")
    load_weights(saved / "weights.safetensors", made(1)[0])
    old = load_file(saved / "checkpoint.safetensors")
    save_file(old, saved / "checkpoint.safetensors", metadata={"rest": json.dumps(REST)})
    assert load_checkpoint(saved / "checkpoint.safetensors", network, optimizer, average_of(network)) == REST


def test_the_same_state_gives_the_same_file(saved, tmp_path):
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    network, optimizer = made(0)
    save_checkpoint(saved / "checkpoint.safetensors", network, optimizer, average_of(network), REST)
    save_weights(saved / "weights.safetensors", network.state_dict())
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before


def test_files_of_another_network_are_errors(saved):
    network, optimizer = made(1, channels=6)
    with pytest.raises(DermedgeError, match=r"weights\.safetensors cannot be loaded"):
        load_weights(saved / "weights.safetensors", network)
    with pytest.raises(DermedgeError, match=r"checkpoint\.safetensors cannot be loaded"):
        load_checkpoint(saved / "checkpoint.safetensors", network, optimizer, average_of(made(1)[0]))


@pytest.mark.parametrize("stage", ["serialize", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(saved, monkeypatch, stage):
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    monkeypatch.setattr(*((checkpoint, "serialize") if stage == "serialize" else (os, "replace")), fail)
    network, optimizer = made(1)
    with pytest.raises(OSError, match="No space left"):
        save_weights(saved / "weights.safetensors", network.state_dict())
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(saved / "checkpoint.safetensors", network, optimizer, None, REST)
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before


def test_the_file_holds_exactly_the_state_contiguous_and_detached(saved):
    tensors = load_file(saved / "weights.safetensors")
    state = made(0)[0].state_dict()
    assert tensors.keys() == state.keys()
    assert {name: tensor.shape for name, tensor in tensors.items()} == {n: t.shape for n, t in state.items()}
    assert tensors["norm.num_batches_tracked"].dtype == torch.int64


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX")
def test_files_can_be_read_by_whom_the_umask_lets(saved):
    umask = os.umask(0)
    os.umask(umask)
    for name in ("weights.safetensors", "checkpoint.safetensors"):
        assert stat.S_IMODE((saved / name).stat().st_mode) == 0o666 & ~umask
