"""Batches for ONNX Runtime's calibrator, held in memory."""

import numpy as np
from onnxruntime.quantization import CalibrationDataReader


class BatchReader(CalibrationDataReader):
    """Batches, as ONNX Runtime's calibrator asks for them."""

    def __init__(self, batches: list[dict[str, np.ndarray]]) -> None:
        self._batches, self._pending = batches, iter(batches)

    def __len__(self) -> int:
        return len(self._batches)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._pending = iter(self._batches[start_index:end_index])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._pending, None)
