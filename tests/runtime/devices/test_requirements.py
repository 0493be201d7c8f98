"""What is missing is named before ONNX Runtime is asked: driver, card, CUDA version, library."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_onnxruntime import DRIVER

from dermedge_runtime import DeviceUnavailable
from dermedge_runtime.devices.nvidia_driver import Card, Driver
from dermedge_runtime.devices.providers import PROVIDERS
from dermedge_runtime.devices.requirements import missing_library, require_card, require_library

GPU_WHEEL = SimpleNamespace(__version__="1.99.0", __file__=__file__, cuda_version="13.0")


def refused(monkeypatch: pytest.MonkeyPatch, device: str, driver: Driver | None) -> str:
    monkeypatch.setattr("dermedge_runtime.devices.requirements.find_driver", lambda: driver)
    with pytest.raises(DeviceUnavailable) as caught:
        require_card(PROVIDERS[device], GPU_WHEEL)
    assert str(caught.value) == (
        f"{device} was requested, but {caught.value.cause}. {caught.value.mend}, or pass --device cpu."
    )
    return str(caught.value)


@pytest.mark.parametrize("device", ["cuda", "tensorrt", "rtx"])
def test_no_driver(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    text = refused(monkeypatch, device, None)
    assert "there is no NVIDIA driver here" in text
    assert "Install NVIDIA's driver for your card, or pass --device cpu." in text


def test_a_driver_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    text = refused(monkeypatch, "cuda", Driver("580.95", (13, 0), (), "system not yet initialized (code 802)"))
    assert "the NVIDIA driver 580.95 does not start: system not yet initialized (code 802)" in text


def test_no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert "the NVIDIA driver 580.95 finds no card" in refused(monkeypatch, "cuda", Driver("580.95", (13, 0), ()))


def test_a_card_that_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    text = refused(monkeypatch, "cuda", Driver("580.95", (13, 0), ()))
    assert "CUDA_VISIBLE_DEVICES='' hides every card. Unset it" in text


def test_a_driver_that_is_older_than_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    text = refused(monkeypatch, "cuda", Driver("550.54", (12, 4), DRIVER.cards))
    assert "serves CUDA 12.4 and the installed onnxruntime 1.99.0 needs CUDA 13. Update the driver" in text


@pytest.mark.parametrize("capability", [(7, 5), (8, 0), (8, 7), (9, 0), (11, 0)])
def test_a_card_that_rtx_does_not_drive(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int]) -> None:
    text = refused(monkeypatch, "rtx", Driver("580.95", (13, 0), (Card("Some Card", capability),)))
    assert f"does not drive the Some Card of compute capability {capability[0]}.{capability[1]}" in text
    assert "8.6, 8.9 and 12.0 or newer. Pass --device cuda, or pass --device cpu." in text


@pytest.mark.parametrize(
    ("device", "capability"),
    [("rtx", (8, 6)), ("rtx", (8, 9)), ("rtx", (12, 0)), ("rtx", (12, 1)), ("cuda", (9, 0))],
)
def test_a_card_that_is_driven(monkeypatch: pytest.MonkeyPatch, device: str, capability: tuple[int, int]) -> None:
    driver = Driver("580.95", (13, 0), (Card("Some Card", capability), Card("Another", (7, 0))))
    monkeypatch.setattr("dermedge_runtime.devices.requirements.find_driver", lambda: driver)
    assert require_card(PROVIDERS[device], GPU_WHEEL) == (driver, Card("Some Card", capability))


@pytest.mark.skipif(sys.platform != "linux", reason="the check reads the Linux loader's message")
def test_a_missing_library(capsys: pytest.CaptureFixture[str]) -> None:
    wheel = SimpleNamespace(__file__=__file__, preload_dlls=lambda: print("Failed to load x"))  # noqa: T201
    with pytest.raises(DeviceUnavailable) as caught:
        require_library(PROVIDERS["cuda"], wheel)
    assert "a library of it is missing: " in caught.value.cause
    assert "libonnxruntime_providers_cuda.so: cannot open shared object file" in caught.value.cause
    assert caught.value.mend == "Run: pip install 'dermedge[cuda]'"
    assert capsys.readouterr().out == ""


def test_other_trouble_with_a_library_is_left_to_onnxruntime(tmp_path: Path) -> None:
    path = tmp_path / "libx.so"
    path.write_bytes(b"no library")
    assert missing_library(path) is None
