"""Check what a caller passes to the `Classifier`: whole numbers, a device, several pictures where several belong."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image

from dermedge_runtime.devices.providers import DEVICES
from dermedge_runtime.errors import DeviceUnavailable, UsageError


def whole_number(name: str, value: Any, largest: int, why: str = "") -> int:
    """Give a whole number from 1 to `largest`; numpy's are fine, truth values, texts and fractions are not.

    :param why: what sets the limit, for the message.
    :raises UsageError: anything else.
    """
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and 1 <= value <= largest:
        return int(value)
    raise UsageError(f"{name} must be a whole number from 1 to {largest}{why}, got {_short(value)}.")


def known_device(device: Any) -> str:
    """Give the name of a device.

    :raises DeviceUnavailable: there is none of that name; the message names the nearest.
    """
    if isinstance(device, str) and device in DEVICES:
        return str(device)
    raise DeviceUnavailable(f"Unknown device {_short(device)}; known are {', '.join(DEVICES)}.{_nearest(device)}")


def _nearest(device: Any) -> str:
    if device is None:
        return " Leave it out for auto."
    word = str(device).strip().lower()
    if word.partition(":")[0] in ("gpu", "nvidia"):
        return " For an NVIDIA card: cuda or rtx."
    import difflib

    near = difflib.get_close_matches(word.partition(":")[0], DEVICES, n=1, cutoff=0.6)
    return f" Did you mean '{near[0]}'?" if near else ""


def require_several(images: Any) -> None:
    """See that these are several pictures, or an iterable of them.

    An array of [N, height, width, 3] is N pictures.

    :raises UsageError: it is one picture, or nothing that has pictures in it.
    """
    one = "predict_many and predict_each take a list of pictures; give one picture to predict"
    if isinstance(images, str | bytes | bytearray | memoryview | os.PathLike | Image.Image) or hasattr(images, "read"):
        raise UsageError(f"{one}, got one {type(images).__name__}.")
    if isinstance(images, dict):
        raise UsageError(f"{one}, got a dict: give its pictures as list(pictures.values()).")
    dimensions = getattr(images, "ndim", None)
    if isinstance(images, np.ndarray):
        _require_batch(images, one)
    elif isinstance(dimensions, int) and dimensions > 1:
        raise UsageError(f"{one}, got one {type(images).__name__} of {dimensions} dimensions: give numpy arrays.")
    elif not isinstance(images, Iterable) and not hasattr(images, "__getitem__"):
        raise UsageError(f"{one}, got {_short(images)}.")


def _require_batch(images: np.ndarray[Any, Any], one: str) -> None:
    names = images.ndim == 1 and images.dtype.kind in "OUST"  # objects and texts, such as paths
    batch = images.ndim == 4 and images.dtype == np.uint8 and images.shape[3] == 3
    if not names and not batch:
        raise UsageError(
            f"{one}, got one array of {images.dtype} {list(images.shape)}."
            " An array of several pictures is uint8 [number, height, width, 3]."
        )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
