"""Mark of the tests that build real engines: they need TensorRT-RTX, no GPU, and are skipped where it has no wheel."""

import platform
import sys

import pytest

HAS_WHEEL = sys.platform in ("linux", "win32") and platform.machine() in ("x86_64", "AMD64")
needs_tensorrt = pytest.mark.skipif(not HAS_WHEEL, reason="tensorrt-rtx has wheels for x86-64 Linux and Windows only")
