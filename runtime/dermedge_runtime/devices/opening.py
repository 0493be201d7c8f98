"""Choose a device, open a model on it, and see to it that its answers are right.

A device that was asked for and cannot be had is an error with its cause and mend, never a fallback. Not covered: how a
session is started on a provider (`starting`).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from dermedge_runtime.errors import DeviceUnavailable, UsageError

from .providers import AUTO, DEVICES, FIXED_SIZE_MEND, NO_ANTIALIAS, PROVIDERS, Provider, refusal
from .session import DeviceSession
from .starting import Job, find_target, is_candidate, start


def open_session(
    content: bytes,
    source: str,
    device: str = "auto",
    threads: int | None = None,
    *,
    cuda_graphs: bool = False,
    keep_kernels: bool = True,
    widen_int8: bool = False,
    antialias: bool = False,
) -> DeviceSession:
    """Open a session on a device.

    The answers of every device but the CPU are compared with numpy's once (`trusted_answers`): auto passes over one
    that is off, one that was named runs with a warning on the log.

    :param content: a checked ONNX file.
    :param device: one of `DEVICES`; auto takes the first of rtx, cuda, openvino and cpu that is installed, opens
        and answers right.
    :param threads: CPU threads of one prediction; by default the CPUs this process may use.
    :param cuda_graphs: capture one CUDA graph per batch size and replay it; only where the whole model runs on the
        card.
    :param keep_kernels: keep compiled kernels in the user's cache folder, where the provider compiles any.
    :param widen_int8: on CPUs without VNNI compute INT8 slower, in sums that are never cut off; for files whose weights
        need it (`ModelSpec.saturates`).
    :param antialias: the graph resizes pictures of any size (`ImageSpec.any_size`), which TensorRT cannot.
    :return: the session, with the provider that really runs it.
    :raises DeviceUnavailable: the device cannot be had, or is unknown, or cannot run the model as a CUDA graph.
    :raises UsageError: CUDA graphs were asked for on auto, or on a device that has none.
    :raises ModelFileError: ONNX Runtime refuses the graph.
    """
    if device not in DEVICES:
        raise DeviceUnavailable(f"Unknown device '{device}'; known are {', '.join(DEVICES)}.")
    if cuda_graphs and (device == "auto" or PROVIDERS[device].graph_option is None):
        having = ", ".join(provider.device for provider in PROVIDERS.values() if provider.graph_option)
        raise UsageError(f"CUDA graphs are for a device that you name and that has them: {having}; got {device}.")
    job = Job(content, source, threads, cuda_graphs, widen_int8)
    open_on = partial(_open, job, keep_kernels=keep_kernels, antialias=antialias)
    if device != "auto":
        return open_on(PROVIDERS[device])
    for name in AUTO[:-1]:
        if not is_candidate(PROVIDERS[name]):
            continue
        try:
            return open_on(PROVIDERS[name], named=False)
        except DeviceUnavailable as error:
            import logging

            logging.getLogger(__name__).info("auto passes over %s: %s", name, error.cause)
    return open_on(PROVIDERS["cpu"])


def _open(job: Job, provider: Provider, *, keep_kernels: bool, antialias: bool, named: bool = True) -> DeviceSession:
    if antialias and not provider.antialias:
        raise refusal(provider, f"{job.source} takes pictures of any size, and {NO_ANTIALIAS}", FIXED_SIZE_MEND)
    target = find_target(provider)
    compare = provider.device != "cpu"
    if compare and not named:
        from .trusted_answers import require_right

        require_right(provider, target.made_for)
    if job.widen_int8:
        from .trial_run import saturates

        # Tried: with VNNI wide sums are not needed and take 1.7 times as long, and an emulator's /proc is the host's.
        job = replace(job, widen_int8=saturates())
    cache = None
    if provider.cache is None or not keep_kernels:
        session = start(job, provider, target)
    else:
        from .kernel_cache import open_cache, start_with

        cache = open_cache(provider.device, job.content, job.source, target.made_for)
        session = start_with(cache, partial(start, job, provider, target))
    opened = DeviceSession(session, provider, target.version, target.hardware, job.cuda_graphs, cache)
    if compare and named:
        # After the model: what keeps the device from starting is told as an error.
        from .trusted_answers import warn_if_wrong

        warn_if_wrong(provider, target.made_for)
    return opened
