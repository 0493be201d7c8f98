"""Stand-ins for ONNX Runtime's session and for its plugins, to play devices that a machine does not have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dermedge_runtime.devices.nvidia_driver import Card, Driver
from dermedge_runtime.devices.trial_network import expected

DRIVER = Driver("580.95", (13, 0), (Card("RTX 4090", (8, 9)),))


class FakeSession:
    """Stands in for ONNX Runtime's session: remembers how it was opened, claims the providers it is told to.

    It answers the trial's network, and nothing else.
    """

    claims: tuple[str, ...] = ("CPUExecutionProvider",)
    opened: tuple[dict[str, Any], ...] = ()
    runs: int = 0
    off: dict[str, float] = {}  # noqa: RUF012 (replaced whole by tests)
    """By output of the trial: what is added to its right values."""

    def __init__(self, content: bytes, **options: Any) -> None:
        type(self).opened = (*self.opened, options)

    def get_providers(self) -> list[str]:
        return list(self.claims)

    def run(self, outputs: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        type(self).runs += 1
        right = expected(feed["image"])
        return [right[name] + np.float32(self.off.get(name, 0)) for name in outputs]


class FakePlugins:
    """Stands in for ONNX Runtime and a plugin of it, with devices of several providers, on an Intel machine."""

    __version__ = "1.99.0"
    package_name = "onnxruntime"

    def __init__(self, *devices: tuple[str, dict[str, str]]) -> None:
        self.devices = [
            SimpleNamespace(
                ep_name=name,
                ep_metadata=metadata,
                device=SimpleNamespace(vendor="Intel", vendor_id=0x8086, metadata={}),
            )
            for name, metadata in devices
        ]
        self.registered: list[tuple[str, str]] = []
        self.added: list[Any] = []
        self.settings: list[dict[str, str]] = []
        self.entries: dict[str, str] = {}
        self.InferenceSession: Any = FakeSession

    def SessionOptions(self) -> SimpleNamespace:  # noqa: N802 (ONNX Runtime's name)
        def add(devices: list[Any], settings: dict[str, str]) -> None:
            self.added.extend(devices)
            self.settings.append(settings)

        return SimpleNamespace(add_provider_for_devices=add, add_session_config_entry=self.entries.__setitem__)

    def register_execution_provider_library(self, name: str, path: str) -> None:
        self.registered.append((name, path))

    def get_ep_devices(self) -> list[SimpleNamespace]:
        return self.devices

    def get_available_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        plugin = SimpleNamespace(get_library_path=lambda: "plugin.so")
        for name, value in {
            "devices.starting.find_spec": lambda name: plugin,
            "devices.starting.import_module": lambda name: plugin,
            "devices.starting.import_onnxruntime": lambda: self,
            "devices.starting._registered": set(),
            "devices.requirements.find_driver": lambda: DRIVER,
        }.items():
            monkeypatch.setattr(f"dermedge_runtime.{name}", value)
