"""Compiled kernels are kept per model and card, checked, rebuilt when damaged, and never needed."""

import logging
import threading
import time
from pathlib import Path

import pytest

from dermedge_runtime import DeviceUnavailable
from dermedge_runtime.devices.kernel_cache import KernelCache, kernel_folder, open_cache, start_with

CARD = {"version": "onnxruntime 1.99.0", "driver": "580.95", "hardware": "RTX 4090"}


@pytest.fixture(autouse=True)
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    monkeypatch.setenv("DERMEDGE_CACHE", str(tmp_path / "cache"))
    caplog.set_level(logging.INFO, "dermedge_runtime")
    return caplog


def opened(content: bytes = b"model", **other: str) -> KernelCache:
    cache = open_cache("rtx", content, "m.onnx", {**CARD, **other})
    assert cache is not None
    return cache


def filled() -> KernelCache:
    cache = opened()
    (cache.folder / "engine").mkdir()
    (cache.folder / "engine" / "a.bin").write_bytes(b"kernels")
    cache.seal()
    return cache


def test_the_first_start_says_that_it_compiles_and_the_next_is_silent(log: pytest.LogCaptureFixture) -> None:
    cache = filled()
    assert [record.levelname for record in log.records] == ["INFO"]
    assert log.messages[0].startswith("rtx compiles m.onnx for this machine, once; later starts take the kernels from")
    log.clear()
    again = opened()
    assert (again.folder, again.filled, log.messages) == (cache.folder, True, [])


@pytest.mark.parametrize("other", [{"driver": "590.1"}, {"hardware": "RTX 5090"}, {"version": "onnxruntime 2"}])
def test_another_driver_card_or_version_has_kernels_of_its_own(other: dict[str, str]) -> None:
    cache = filled()
    assert opened(**other).folder != cache.folder
    assert opened(b"other model").folder != cache.folder


@pytest.mark.parametrize("damage", [b"kernelz", b"kern", b"", None], ids=["changed", "cut", "empty", "gone"])
def test_a_damaged_file_is_said_and_everything_is_built_again(
    log: pytest.LogCaptureFixture, damage: bytes | None
) -> None:
    path = filled().folder / "engine" / "a.bin"
    path.unlink() if damage is None else path.write_bytes(damage)
    log.clear()
    assert not opened().filled
    assert [record.levelname for record in log.records] == ["WARNING"]
    assert "are damaged (engine/a.bin); they are built again" in log.messages[0]
    log.clear()
    assert not opened().filled
    assert "once" in log.messages[0]


@pytest.mark.parametrize("record", ["", "{", "[]", '{"files": 3}'])
def test_a_damaged_record_is_said(log: pytest.LogCaptureFixture, record: str) -> None:
    cache = filled()
    path = cache.folder.with_name(f"{cache.folder.name}.json")
    path.write_text(record)
    log.clear()
    assert not opened().filled
    assert f"are damaged ({path.name})" in log.messages[0]


def test_a_folder_that_cannot_be_written_is_said_in_one_line(log: pytest.LogCaptureFixture) -> None:
    kernel_folder().parent.mkdir()
    kernel_folder().write_text("a file where the folder should be")
    assert open_cache("rtx", b"model", "m.onnx", CARD) is None
    assert [record.levelname for record in log.records] == ["WARNING"]
    assert "so rtx compiles its kernels at every start; DERMEDGE_CACHE names another folder" in log.messages[0]


def test_a_start_without_a_cache() -> None:
    assert start_with(None, lambda cache: cache) is None


def test_kernels_that_stop_the_start_are_removed_and_said(log: pytest.LogCaptureFixture) -> None:
    cache, seen = filled(), []

    def start(used: KernelCache | None) -> str:
        assert used is not None
        seen.append(used.filled)
        if used.filled:
            raise DeviceUnavailable("no", cause="engine of another version")
        return "session"

    assert start_with(cache, start) == "session"
    assert seen == [True, False]
    assert "stopped the start (engine of another version); they were removed and are built again" in log.messages[-1]


def test_a_provider_that_refuses_an_empty_cache_starts_without() -> None:
    def start(used: KernelCache | None) -> str:
        if used is not None:
            raise DeviceUnavailable("no", cause="unknown option")
        return "session"

    assert start_with(opened(), start) == "session"


def test_two_first_starts_compile_once_and_the_second_meets_no_half_written_file(
    log: pytest.LogCaptureFixture,
) -> None:
    compiling, seen = threading.Event(), []

    def start(used: KernelCache | None) -> str:
        assert used is not None
        kernel = used.folder / "a.bin"
        seen.append(kernel.read_bytes() if kernel.exists() else b"")
        if not seen[-1]:
            kernel.write_bytes(b"half")
            compiling.set()
            time.sleep(0.3)
            kernel.write_bytes(b"whole")
        return "session"

    first = threading.Thread(target=lambda: start_with(opened(), start))
    first.start()
    assert compiling.wait(10)
    assert start_with(opened(), start) == "session"
    first.join()
    assert seen == [b"", b"whole"]
    assert any("another process compiles" in line for line in log.messages)
    assert opened().whole


def test_a_device_that_starts_neither_way_gives_its_own_cause() -> None:
    def start(used: KernelCache | None) -> None:
        raise DeviceUnavailable("out of memory")

    with pytest.raises(DeviceUnavailable, match="out of memory"):
        start_with(filled(), start)
