"""Stand-ins for ONNX Runtime's session and for its plugins, to play devices that a machine does not have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest


class FakeSession:
    """Stands in for ONNX Runtime's session: remembers how it was opened, claims the providers it is told to."""

    claims: tuple[str, ...] = ("CPUExecutionProvider",)
    opened: tuple[dict[str, Any], ...] = ()

    def __init__(self, content: bytes, **options: Any) -> None:
        type(self).opened = (*self.opened, options)

    def get_providers(self) -> list[str]:
        return list(self.claims)


class FakePlugins:
    """Stands in for ONNX Runtime and a plugin of it, with devices of several providers."""

    def __init__(self, *devices: tuple[str, dict[str, str]]) -> None:
        self.devices = [SimpleNamespace(ep_name=name, ep_metadata=metadata) for name, metadata in devices]
        self.registered: list[tuple[str, str]] = []
        self.added: list[Any] = []
        self.InferenceSession = FakeSession

    def SessionOptions(self) -> SimpleNamespace:  # noqa: N802 (ONNX Runtime's name)
        return SimpleNamespace(add_provider_for_devices=lambda devices, options: self.added.extend(devices))

    def register_execution_provider_library(self, name: str, path: str) -> None:
        self.registered.append((name, path))

    def get_ep_devices(self) -> list[SimpleNamespace]:
        return self.devices

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        plugin = SimpleNamespace(get_library_path=lambda: "plugin.so")
        for name, value in {
            "find_spec": lambda name: plugin,
            "import_module": lambda name: plugin,
            "import_onnxruntime": lambda: self,
            "_registered": set(),
        }.items():
            monkeypatch.setattr(f"dermedge_runtime.devices.{name}", value)
