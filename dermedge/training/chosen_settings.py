"""From what somebody asks of a training to the settings of a run: `auto` is decided by the machine that trains."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from dermedge.asked_settings import AskedSettings
from dermedge.config import Device, Precision, RequestedSettings, TrainConfig

REFINING_RATE = 0.1
"""Learning rate of a training that goes on with a trained network, as a share of the earlier one's."""


def chosen_settings(request: RequestedSettings) -> TrainConfig:
    """Decide what a new run is trained with.

    Device `auto` is CUDA where torch finds a GPU; precision `auto` is bf16 there, and fp32 on a CPU or where INT8 is
    emulated. `feature_views` has no meaning without a frozen image branch, and is 0 there.
    """
    values = {each.name: getattr(request, each.name) for each in fields(RequestedSettings)}
    device = _device(request)
    decided = {"device": device, "precision": _precision(request, device)}
    views = request.feature_views if request.freeze_image_branch else 0
    return TrainConfig(**{**values, **decided, "feature_views": views})


def refined_settings(earlier: TrainConfig, asked: AskedSettings) -> TrainConfig:
    """Decide what an earlier run's network is trained on with: its own settings, but for what was asked for.

    The learning rate is a tenth of the earlier one's, so that little is forgotten; the machine is looked at anew.
    """
    device = _device(asked.values)
    own = replace(
        earlier,
        start_from="",
        freeze_image_branch=False,
        feature_views=0,
        quantise_aware=False,
        prune=0.0,
        widths={},
        teachers=[],
        synthetic="",
        learning_rate=earlier.learning_rate * REFINING_RATE,
        device=device,
        precision=_precision(asked.values, device),
    )
    return changed_settings(own, asked)


def changed_settings(config: TrainConfig, asked: AskedSettings) -> TrainConfig:
    """Give the settings of an earlier run, with what was asked for in their place; nothing else is changed."""
    decided: dict[str, Any] = {}
    if "device" in asked.given:
        decided["device"] = _device(asked.values)
    if "precision" in asked.given:
        decided["precision"] = _precision(asked.values, decided.get("device", config.device))
    return asked.put_into(config, **decided)


def _device(request: RequestedSettings) -> Device:
    if request.device != "auto":
        return request.device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _precision(request: RequestedSettings, device: Device) -> Precision:
    if request.precision != "auto":
        return request.precision
    return "bf16" if device == "cuda" and not request.quantise_aware else "fp32"
