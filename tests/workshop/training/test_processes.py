import numpy as np
import pytest
import torch

from dermedge.training import processes as module
from dermedge.training.processes import ALONE, Processes, joined, torch_device
from dermedge_runtime.errors import DermedgeError, DeviceUnavailable, UsageError

FOUR = [Processes(rank, 4, rank, 4) for rank in range(4)]


def test_one_process_is_alone_and_changes_nothing(monkeypatch):
    order = np.arange(7)
    assert (ALONE.first, ALONE.count, ALONE.seed_offset, ALONE.share_of(5)) == (True, 1, 0, 5)
    np.testing.assert_array_equal(ALONE.share(ALONE.whole(order)), order)
    assert ALONE.each(lambda: 3) == ALONE.from_first(lambda: 3) == 3
    total = torch.ones(())
    ALONE.add_up(total)
    assert total == 1
    with joined() as processes:
        assert processes is ALONE
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "one")
    monkeypatch.setenv("WORLD_SIZE", "1")
    with joined() as processes:
        assert processes is ALONE


def test_an_error_alone_is_the_error_itself():
    def fail() -> None:
        raise DermedgeError("no")

    with pytest.raises(DermedgeError, match="no"):
        ALONE.from_first(fail)


@pytest.mark.parametrize("length", [16, 18, 19, 23])
def test_every_batch_splits_evenly_and_nothing_is_seen_twice(length):
    order = FOUR[0].whole(np.random.default_rng(0).permutation(length))
    assert len(order) == length - length % 4
    size = FOUR[0].share_of(8)
    shares = [each.share(order) for each in FOUR]
    for step in range(-(-len(order) // 8)):
        parts = [share[step * size : (step + 1) * size] for share in shares]
        assert len({len(part) for part in parts}) == 1
        assert sorted(np.concatenate(parts)) == sorted(order[step * 8 : (step + 1) * 8])


def test_a_batch_that_does_not_split_is_a_usage_error():
    with pytest.raises(UsageError, match=r"batch of 10 .* over 4 processes.*multiple of 4"):
        FOUR[0].share_of(10)
    with pytest.raises(UsageError, match=r"epoch of 3 photographs is too small for 4 processes"):
        FOUR[0].whole(np.arange(3))


def test_processes_draw_differently_on_a_cpu_whose_generator_heeds_32_bits():
    drawn = []
    for each in FOUR:
        torch.manual_seed(7 * 1_000_003 + each.seed_offset)
        drawn.append(torch.rand(4))
    assert not any(torch.equal(drawn[i], drawn[j]) for i in range(4) for j in range(i))


def test_more_processes_than_cpus_on_this_machine_are_refused(monkeypatch):
    monkeypatch.setattr(module, "usable_cpus", lambda: 3)
    with pytest.raises(DeviceUnavailable, match=r"4 processes were .* 3 usable CPUs.*--nproc-per-node 3") as caught:
        torch_device("cpu", FOUR[0])
    assert caught.value.exit_code == 5
    assert torch_device("cpu", Processes(3, 8, 1, 2)) == torch.device("cpu"), "the others are elsewhere"


def test_more_processes_than_gpus_are_refused_and_otherwise_each_takes_its_own(monkeypatch):
    taken: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for each in FOUR:
        with pytest.raises(DeviceUnavailable, match="there are 2 usable GPUs"):
            torch_device("cuda", each)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert {torch_device("cuda", each) for each in FOUR} == {torch.device("cuda")}
    assert taken == [0, 1, 2, 3]
    assert torch_device("cuda") == torch.device("cuda") and len(taken) == 4
