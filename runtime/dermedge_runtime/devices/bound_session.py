"""Run a session with inputs and outputs at fixed addresses in a device's memory, one set of buffers per batch size.

Fixed addresses are what CUDA graphs need: a graph that was captured once for a batch size is replayed afterwards.
Works on any memory that ONNX Runtime can bind, the CPU's too. Page-locked host memory is not covered: ONNX Runtime's
Python interface gives none.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

_log = logging.getLogger(__name__)
_MOST_SIZES = 16
"""Batch sizes that get buffers; what comes later is run without."""
_NO_GRAPH = -1


@dataclass(frozen=True, slots=True)
class _Buffers:
    binding: Any
    inputs: Mapping[str, Any]
    """`onnxruntime.OrtValue` by name of the input."""
    outputs: tuple[str, ...]
    graph: int


class BoundSession:
    """A session that copies into and out of fixed buffers; safe to share between threads, which wait for each other."""

    def __init__(self, session: Any, memory: str, graph_ids: Sequence[str] = ()) -> None:
        """Wrap a session.

        :param session: an `onnxruntime.InferenceSession`.
        :param memory: ONNX Runtime's name of the memory, such as cuda or cpu.
        :param graph_ids: run options that name a captured graph; empty for a session without CUDA graphs.
        """
        self._session, self._memory, self._graph_ids = session, memory, tuple(graph_ids)
        self._buffers: dict[int, _Buffers] = {}
        self._lock = Lock()

    def run(self, outputs: Sequence[str], feed: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Do as `onnxruntime.InferenceSession.run`.

        :param outputs: names of the outputs, the same ones in every call.
        :param feed: one array per input, the first axis of all of them the batch.
        """
        rows = len(next(iter(feed.values())))
        arrays = {name: np.ascontiguousarray(array) for name, array in feed.items()}
        with self._lock:
            buffers = self._buffers.get(rows)
            if buffers is None and len(self._buffers) >= _MOST_SIZES:
                return self._without(rows, outputs, arrays)
            if buffers is None or buffers.outputs != tuple(outputs):
                buffers = self._buffers[rows] = self._bind(outputs, arrays, graph=rows)
            for name, array in arrays.items():
                buffers.inputs[name].update_inplace(array)
            self._session.run_with_iobinding(buffers.binding, self._options(buffers.graph))
            # Copies: in the CPU's memory the arrays are views of buffers that the next run overwrites.
            return [np.array(array) for array in buffers.binding.copy_outputs_to_cpu()]

    def _bind(self, outputs: Sequence[str], arrays: Mapping[str, NDArray[Any]], graph: int) -> _Buffers:
        """Make buffers; a first run without capture tells the sizes of the outputs and warms the kernels up."""
        from onnxruntime import OrtValue

        binding, inputs = self._session.io_binding(), {}
        for name, array in arrays.items():
            inputs[name] = OrtValue.ortvalue_from_shape_and_type(array.shape, array.dtype.type, self._memory, 0)
            inputs[name].update_inplace(array)
            binding.bind_ortvalue_input(name, inputs[name])
        for name in outputs:
            binding.bind_output(name, self._memory)
        self._session.run_with_iobinding(binding, self._options(_NO_GRAPH))
        fixed = list(binding.get_outputs())
        binding.clear_binding_outputs()
        for name, value in zip(outputs, fixed, strict=True):
            binding.bind_ortvalue_output(name, value)
        return _Buffers(binding, inputs, tuple(outputs), graph)

    def _without(
        self, rows: int, outputs: Sequence[str], arrays: Mapping[str, NDArray[Any]]
    ) -> list[NDArray[np.float32]]:
        if self._graph_ids:
            _log.warning(
                "batches of %d run without a CUDA graph: %d other sizes have one already", rows, len(self._buffers)
            )
        results: list[NDArray[np.float32]] = self._session.run(list(outputs), arrays, self._options(_NO_GRAPH))
        return results

    def _options(self, graph: int) -> Any:
        if not self._graph_ids:
            return None
        from onnxruntime import RunOptions

        options = RunOptions()
        for name in self._graph_ids:
            options.add_run_config_entry(name, str(graph))
        return options
