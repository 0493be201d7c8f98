"""A session that claims to run where a test says it runs."""

from pathlib import Path

import onnxruntime
import pytest
from fake_onnxruntime import FakeSession


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[FakeSession]:
    """ONNX Runtime with `FakeSession` in the place of its session, which is bound to no memory; an empty cache."""
    monkeypatch.setenv("DERMEDGE_CACHE", str(tmp_path))
    monkeypatch.setattr("dermedge_runtime.devices.bound_session.BoundSession", lambda session, *memory: session)
    monkeypatch.setattr(onnxruntime, "InferenceSession", FakeSession)
    monkeypatch.setattr(FakeSession, "claims", FakeSession.claims)
    monkeypatch.setattr(FakeSession, "opened", ())
    monkeypatch.setattr(FakeSession, "runs", 0)
    monkeypatch.setattr(FakeSession, "off", {})
    return FakeSession
