"""A session that claims to run where a test says it runs."""

import onnxruntime
import pytest
from fake_onnxruntime import FakeSession


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeSession]:
    """ONNX Runtime with `FakeSession` in the place of its session."""
    monkeypatch.setattr(onnxruntime, "InferenceSession", FakeSession)
    monkeypatch.setattr(FakeSession, "claims", FakeSession.claims)
    monkeypatch.setattr(FakeSession, "opened", ())
    return FakeSession
