"""Which compute capability a graphics card has, and for which ones an engine can be built.

The names are those on the box: `RTX 4060 Ti`, `rtx4060ti` and `GeForce RTX 4060 Ti Laptop GPU` are the same card here.
Cards that no engine is built for are listed too, so that the refusal can say why.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from dermedge_runtime.errors import UsageError

BUILDABLE = {"8.6": "Ampere", "8.9": "Ada Lovelace", "12.0": "Blackwell"}
"""Compute capabilities of RTX cards and their architecture."""

_REFUSED = {
    "7.5": (
        "Turing (RTX 20, GTX 16) has no matrix product in FP32, and the head and the explanations of every model file"
        " need it"
    ),
    "9.0": "Hopper (H100, H200) is a data-centre architecture and no target of TensorRT-RTX",
}

_CARDS = {
    "8.6": """
        rtx2050 rtx3050 rtx3050ti rtx3060 rtx3060ti rtx3070 rtx3070ti rtx3080 rtx3080ti rtx3090 rtx3090ti
        rtxa400 rtxa500 rtxa1000 rtxa2000 rtxa3000 rtxa4000 rtxa4500 rtxa5000 rtxa5500 rtxa6000
    """,
    "8.9": """
        rtx4050 rtx4060 rtx4060ti rtx4070 rtx4070super rtx4070ti rtx4070tisuper rtx4080 rtx4080super rtx4090 rtx4090d
        rtx500ada rtx1000ada rtx2000ada rtx3000ada rtx3500ada rtx4000ada rtx4500ada rtx5000ada rtx5880ada rtx6000ada
    """,
    "12.0": """
        rtx5050 rtx5060 rtx5060ti rtx5070 rtx5070ti rtx5080 rtx5090 rtx5090d
        rtxpro500 rtxpro1000 rtxpro2000 rtxpro3000 rtxpro4000 rtxpro4500 rtxpro5000 rtxpro6000
    """,
    "7.5": """
        rtx2060 rtx2060super rtx2070 rtx2070super rtx2080 rtx2080super rtx2080ti titanrtx
        gtx1650 gtx1650super gtx1650ti gtx1660 gtx1660super gtx1660ti
    """,
    "9.0": "h100 h200",
}
CARDS = {card: capability for capability, cards in _CARDS.items() for card in cards.split()}
"""Normalised card name to compute capability."""


def compute_capabilities(gpus: Sequence[str], given: Sequence[str]) -> tuple[str, ...]:
    """Give the compute capabilities of cards, and those given outright, each once and in ascending order.

    :param gpus: names of cards, such as `rtx4060`.
    :param given: compute capabilities, such as `8.9`.
    :return: of `BUILDABLE`; empty where nothing was asked.
    :raises UsageError: an unknown card, or one that no engine can be built for.
    """
    asked = {card: _capability_of(card) for card in gpus} | {text: _dotted(text) for text in given}
    for name, capability in asked.items():
        if capability not in BUILDABLE:
            raise UsageError(_refusal(name, capability))
    return tuple(capability for capability in BUILDABLE if capability in asked.values())


def _dotted(text: str) -> str:
    """Write 89, sm_89 and 8.9 alike."""
    number = re.fullmatch(r"(?:sm_?)?(\d+)\.?(\d)", text.lower())
    return f"{number[1]}.{number[2]}" if number else text


def _refusal(name: str, capability: str) -> str:
    buildable = ", ".join(f"{known} ({architecture})" for known, architecture in BUILDABLE.items())
    asked = (
        f"compute capability {capability}"
        if _dotted(name) == capability
        else f"{name} (compute capability {capability})"
    )
    if reason := _REFUSED.get(capability):
        return f"No engine is built for {asked}: {reason}. Engines are built for {buildable}."
    return f"No engine is built for {asked}; engines are built for {buildable}."


def _capability_of(card: str) -> str:
    name = re.sub(r"nvidia|geforce|quadro|laptop|gpu|generation|gen|[^a-z0-9]", "", card.lower())
    if name in CARDS:
        return CARDS[name]
    near = difflib.get_close_matches(name, CARDS, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    known = ", ".join(card for card, capability in CARDS.items() if capability in BUILDABLE)
    raise UsageError(
        f"Unknown card '{card}'; known are {known}.{hint} Any other card: pass --compute-capability instead of --gpu."
    )
