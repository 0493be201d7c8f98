"""The refusal of a device, with its exit code checked."""

import pytest
from make_tiny_model import TINY

from dermedge_runtime import DeviceUnavailable
from dermedge_runtime.devices.opening import open_session

CONTENT = TINY.read_bytes()
MEND = "ass --device cpu"  # pass or Pass


def unavailable(device: str) -> str:
    """The message with which a device is refused."""
    with pytest.raises(DeviceUnavailable) as caught:
        open_session(CONTENT, "tiny.onnx", device)
    assert caught.value.exit_code == 5
    return str(caught.value)
