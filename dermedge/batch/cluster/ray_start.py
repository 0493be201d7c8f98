"""Ray joined or started without its noise: the library's own, a cluster's address, or this machine for one call.

On this machine alone, no port is open to others. Not covered: `ray://` addresses, whose client has no Ray Data of its
own; the command belongs on a machine of the cluster.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dermedge_runtime.commands.shown_names import shown
from dermedge_runtime.devices.usable_cpus import usable_cpus
from dermedge_runtime.errors import DermedgeError, UsageError

from .ray_errors import one_line

AUTO, LOCAL = "auto", "local"
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_ENABLE_AUTO_CONNECT": "0",  # a thread that comes too late would start Ray once more
    "RAY_DEDUP_LOGS": "1",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # every line: Ray prints among the results otherwise
}
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""What makes Ray listen on 127.0.0.1 alone; on Linux it listens on all addresses otherwise."""
_STORE_BYTES = 512 << 20
"""Of the object store on this machine: lists of files and rows, which Ray spills to the disk where there are more."""
_ANSWER_S = 5.0
_HTTP2_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_SETTINGS_FRAME = 4


@contextmanager
def joined_ray(address: str) -> Iterator[Any]:
    """Give the package `ray`, connected while the body runs; a process that is connected already stays so.

    :param address: auto for the cluster of RAY_ADDRESS or of this machine, local to start Ray here, or HOST:PORT.
    :raises DermedgeError: Ray is not installed, nothing answers, or Ray does not start.
    :raises UsageError: an address of another kind.
    """
    if "://" in address:
        raise UsageError(
            f"--ray takes auto, local or HOST:PORT, got {shown(address)}. Run the command on a machine of the cluster,"
            " such as by `ray job submit`, with --ray auto."
        )
    ray = _imported(address)
    if ray.is_initialized():
        yield ray
        return
    if address != LOCAL:
        _require_answer(address)
    settings: dict[str, Any] = {"address": address, "logging_level": logging.CRITICAL, "log_to_driver": False}
    if address == LOCAL:
        settings |= {"num_cpus": usable_cpus(), "include_dashboard": False, "object_store_memory": _STORE_BYTES}
    try:
        with _without_standard_error():
            ray.init(**settings)
    except ConnectionError as error:
        raise _no_cluster(address) from error
    except SystemExit as error:  # how Ray takes SIGTERM
        raise SystemExit(128 + signal.SIGTERM) from error
    except Exception as error:
        raise DermedgeError(f"Ray ({shown(address)}) does not start: {one_line(error)}.") from error
    try:
        yield ray
    finally:
        ray.shutdown()


@contextmanager
def _without_standard_error() -> Iterator[None]:
    """Drop what is written to standard error meanwhile: Ray's native part greets there, and raises what matters."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _imported(address: str) -> Any:
    os.environ.update(_QUIET)  # read while it is imported, and by the processes that it starts
    if address == LOCAL:
        os.environ.update(_LOOPBACK)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise DermedgeError(
            f"--ray needs {error.name or 'ray'}, which is not installed. Run: pip install 'dermedge[ray]'"
        ) from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=r"ray\.|dermedge\.batch\.cluster")
    return ray


def _require_answer(address: str) -> None:
    """See that Ray answers at once: by itself it would wait for minutes."""
    wanted = _cluster_here() if address == AUTO else address
    if not wanted or os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
        return
    host, _, port = wanted.rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(f"--ray takes auto, local or HOST:PORT, such as 10.0.0.1:6379, got {shown(wanted)}.")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _ANSWER_S) as connection:
            connection.settimeout(_ANSWER_S)
            connection.sendall(_HTTP2_GREETING)
            frame = connection.recv(9)
    except (OSError, OverflowError) as error:
        raise DermedgeError(
            f"No Ray cluster answers at {shown(wanted)}: {one_line(error)}. Start it with `ray start --head`, or take"
            " --ray local."
        ) from error
    if len(frame) < 4 or frame[3] != _SETTINGS_FRAME:
        raise DermedgeError(
            f"What answers at {shown(wanted)} is not Ray. Give the address that `ray start --head` prints, whose port"
            " is usually 6379."
        )


def _cluster_here() -> str:
    """Find the address that Ray will take for auto; empty: none is known before Ray looks itself."""
    if (named := os.environ.get("RAY_ADDRESS", "")) and named != AUTO:
        return named
    with suppress(OSError):
        folder = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
        return Path(folder, "ray", "ray_current_cluster").read_text(encoding="utf-8").strip()
    return ""


def _no_cluster(address: str) -> DermedgeError:
    if address == AUTO:
        return DermedgeError(
            "No Ray cluster is running here, and RAY_ADDRESS names none. Start one with `ray start --head`, give its"
            " address, or take --ray local."
        )
    return DermedgeError(
        f"Ray cannot join the cluster at {shown(address)} from this machine. Run the command on a machine of that"
        " cluster, with --ray auto."
    )
