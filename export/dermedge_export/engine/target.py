"""What an engine is built for, from the options of the command line; everything wrong is refused before the export."""

from __future__ import annotations

from dataclasses import dataclass

from dermedge_runtime.devices.providers import NO_ANTIALIAS
from dermedge_runtime.errors import UsageError

from .gpus import compute_capabilities

DEFAULT_MAX_BATCH = 32


@dataclass(frozen=True, slots=True)
class EngineTarget:
    """Cards and batches of an engine."""

    compute_capabilities: tuple[str, ...] = ()
    """Keys of `gpus.BUILDABLE`; empty: all of them, or with full TensorRT the GPU of this machine."""
    max_batch: int = DEFAULT_MAX_BATCH
    """Largest batch, 1 to 1024."""


def engine_target(
    precision: str,
    flavour: str,
    *,
    engine: bool,
    gpus: str | None = None,
    capabilities: str | None = None,
    max_batch: int | None = None,
    any_size: bool = False,
) -> EngineTarget | None:
    """Check the options of an engine; None where none is asked.

    :param precision: fp32, fp16 or int8.
    :param flavour: of an INT8 file, cpu or rtx.
    :param gpus: names of cards, comma-separated.
    :param capabilities: compute capabilities, comma-separated.
    :param any_size: whether the graph takes pictures of any size.
    :raises UsageError: options of an engine without one, a graph that TensorRT refuses, or a card that none is built
        for.
    """
    given = {"--gpu": gpus, "--compute-capability": capabilities, "--max-batch": max_batch}
    if not engine:
        if stray := [name for name, value in given.items() if value is not None]:
            verb = "describe" if len(stray) > 1 else "describes"
            raise UsageError(f"{' and '.join(stray)} {verb} an engine: add --engine, or leave it out.")
        return None
    check_graph(precision, flavour, any_size=any_size)
    chosen = compute_capabilities(_names(gpus), _names(capabilities))
    return EngineTarget(chosen, DEFAULT_MAX_BATCH if max_batch is None else max_batch)


def check_graph(precision: str, flavour: str, *, any_size: bool = False) -> None:
    """Refuse a graph that TensorRT does not take.

    :raises UsageError: an INT8 file for the CPU, or one for pictures of any size.
    """
    if precision == "int8" and flavour == "cpu":
        raise UsageError(
            "An INT8 file for the CPU has uint8 activations, which TensorRT refuses. Add --target rtx, or use --fp16."
        )
    if any_size:
        raise UsageError(f"--any-size and --engine exclude each other: {NO_ANTIALIAS}. Leave one of them out.")


def _names(text: str | None) -> list[str]:
    return [] if text is None else [name.strip() for name in text.split(",")]
