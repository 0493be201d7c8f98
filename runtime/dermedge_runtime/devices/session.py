"""A model that is open on one device: the session, how it is run, and the compiled kernels that it leaves behind."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, ref

from .providers import Provider, refusal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .kernel_cache import KernelCache


class DeviceSession:
    """An open model with the truth about where it runs."""

    def __init__(
        self,
        session: Any,
        provider: Provider,
        version: str,
        hardware: str,
        cuda_graphs: bool = False,
        cache: KernelCache | None = None,
    ) -> None:
        """Take a session that is open.

        :param session: an `onnxruntime.InferenceSession`.
        :param version: of ONNX Runtime's wheel and of the plugin.
        :param hardware: name of the card or CPU.
        """
        self.session, self.provider, self.version, self.hardware = session, provider, version, hardware
        self._cuda_graphs, self._cache = cuda_graphs, cache
        self._runner = session
        if provider.memory is not None and (provider.always_binds or cuda_graphs):
            from .bound_session import BoundSession

            self._runner = BoundSession(session, provider.memory, provider.graph_ids if cuda_graphs else ())
        if cache is not None:
            cache.seal()
            _open_with_kernels.add(self)

    def run(self, outputs: Sequence[str], feed: Mapping[str, NDArray[Any]]) -> Any:
        """Do as `onnxruntime.InferenceSession.run`.

        :raises DeviceUnavailable: CUDA graphs were asked for, and the card cannot run the model as one.
        """
        if not self._cuda_graphs:
            return self._runner.run(outputs, feed)
        try:
            return self._runner.run(outputs, feed)
        except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
            cause = f"the model did not run as a CUDA graph: {' '.join(str(error).split())[:300]}"
            raise refusal(self.provider, cause, "Leave CUDA graphs out") from error

    def close(self) -> None:
        """Give the device back and record the kernels; some providers write them only when a session ends."""
        cache, self._cache = self._cache, None
        left = None if cache is None else ref(self.session)
        self.session = self._runner = None
        if cache is not None and left is not None:
            if left() is not None:  # a cycle holds it; beside torch, a collection takes half a second
                gc.collect()
            cache.seal()

    def __del__(self) -> None:
        if getattr(self, "_cache", None) is not None:
            self.close()


_open_with_kernels: WeakSet[DeviceSession] = WeakSet()


@atexit.register
def _close_all() -> None:
    for session in list(_open_with_kernels):
        with suppress(Exception):
            session.close()
