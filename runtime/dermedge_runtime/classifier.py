"""The one class users need: open a model file, predict one picture or many, with the explanation."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from .answer_check import Outputs, run_checked
from .clinical import ClinicalValue
from .cpus import usable_cpus
from .devices import open_session
from .errors import InputRejected, UsageError
from .explanation import Explanation
from .image import ImageSource, describe, load_sized, read_whole
from .look_ahead import look_ahead
from .model_file import read_model_file
from .prediction import Prediction, Rejection
from .signature import check_signature
from .spec import ModelSpec

PREDICTED = -1
"""Value of the `target` input that asks for an explanation of the predicted class."""


@dataclass(frozen=True, slots=True)
class _Picture:
    """One picture that was read; everything but the name is None for a model that reads none."""

    name: str
    source: ImageSource | None
    size: tuple[int, int] | None
    pixels: NDArray[np.uint8] | None


def _stack(pictures: Sequence[_Picture]) -> NDArray[np.uint8] | None:
    pixels = [picture.pixels for picture in pictures if picture.pixels is not None]
    return np.stack(pixels) if pixels else None


def _is_shared(source: ImageSource | None) -> bool:
    """Tell open files and lazily read Pillow images, of which two can have one position in one file."""
    return not isinstance(source, str | os.PathLike | bytes | np.ndarray)


class Classifier:
    """A model file, open on one device."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        device: str = "auto",
        *,
        threads: int | None = None,
        cuda_graphs: bool = False,
    ) -> None:
        """Open a model file.

        :param device: cpu, openvino, cuda, tensorrt, rtx, or auto.
        :param threads: CPU threads of one prediction; by default the CPUs this process may use.
        :param cuda_graphs: replay one captured CUDA graph per batch size; on rtx, cuda and tensorrt, named as device.
        :raises ModelFileError: a file that is missing, broken, unsafe or not ours.
        :raises DeviceUnavailable: a device that cannot be had, or cannot run this model as a CUDA graph.
        :raises UsageError: CUDA graphs asked of a device without.
        """
        file = read_model_file(path)
        self.spec: ModelSpec = file.spec
        self.name = file.path.name
        self._opened = open_session(
            file.content, self.name, device, threads, cuda_graphs=cuda_graphs, widen_int8=self.spec.saturates
        )
        self.device, self.provider = self._opened.provider.device, self._opened.provider.name
        self.provider_version, self.hardware = self._opened.version, self._opened.hardware
        check_signature(self._opened.session, self.spec, self.name)

    def predict(
        self, image: ImageSource | None = None, *, target: str | None = None, **clinical: ClinicalValue
    ) -> Prediction:
        """Classify one picture of one patient.

        :param image: a path, encoded bytes, an open binary file, a Pillow image, or uint8 [H, W, 3]; None for a model
            that reads none.
        :param target: code of the class to explain; by default the predicted one.
        :param clinical: values by field name, such as age=55, sex="male", site="back"; what is left out is unknown.
        :raises InputRejected: a picture or a value that cannot be used.
        :raises UsageError: an unknown class, or an explanation asked of a file without one.
        """
        chosen = self._target(target)
        picture = self._read(image)
        numeric, categorical = self.spec.clinical.encode([clinical])
        return self._result(self.run(_stack([picture]), numeric, categorical, chosen), 0, picture, chosen)

    def predict_many(
        self,
        images: Iterable[ImageSource | None],
        clinical: Sequence[Mapping[str, ClinicalValue]] | Mapping[str, ClinicalValue] | None = None,
        *,
        target: str | None = None,
        batch_size: int = 8,
    ) -> list[Prediction | Rejection]:
        """Classify many pictures; one that cannot be read becomes a `Rejection` and stops nothing.

        :param clinical: one mapping for all pictures (one patient), or one per picture.
        :param target: as in `predict`.
        :param batch_size: pictures of one run of the network.
        :return: one entry per picture, in their order.
        :raises InputRejected: not as many clinical mappings as pictures.
        :raises UsageError: a single picture instead of several, or a batch size below 1.
        """
        return list(self.predict_each(images, clinical, target=target, batch_size=batch_size))

    def predict_each(
        self,
        images: Iterable[ImageSource | None],
        clinical: Sequence[Mapping[str, ClinicalValue]] | Mapping[str, ClinicalValue] | None = None,
        *,
        target: str | None = None,
        batch_size: int = 8,
    ) -> Iterator[Prediction | Rejection]:
        """As `predict_many`, but give each answer as soon as its batch is ready.

        The next pictures are read by threads while the network runs, up to four batches of them ahead.
        """
        if isinstance(images, str | bytes | os.PathLike):
            raise UsageError("predict_many takes a list of pictures; give one picture to predict.")
        if batch_size < 1:
            raise UsageError(f"The batch size must be at least 1, got {batch_size}.")
        sources = list(images)
        if clinical is None or isinstance(clinical, Mapping):
            patients: list[Mapping[str, ClinicalValue]] = [clinical or {}] * len(sources)
        else:
            patients = list(clinical)
        if len(patients) != len(sources):
            raise InputRejected(
                f"{len(sources)} images came with {len(patients)} sets of clinical values; give one for each."
            )
        return self._batches(sources, patients, self._target(target), batch_size)

    def _batches(
        self,
        sources: Sequence[ImageSource | None],
        patients: Sequence[Mapping[str, ClinicalValue]],
        chosen: int,
        batch_size: int,
    ) -> Iterator[Prediction | Rejection]:
        readings = look_ahead(self._try_to_read, sources, workers=usable_cpus(), ahead=4 * batch_size, alone=_is_shared)
        with closing(readings):
            pairs = zip(readings, patients, strict=True)
            while batch := list(islice(pairs, batch_size)):
                yield from self._predict_batch(batch, chosen)

    def _predict_batch(
        self, batch: Sequence[tuple[_Picture | Rejection, Mapping[str, ClinicalValue]]], chosen: int
    ) -> list[Prediction | Rejection]:
        results: list[Prediction | Rejection | None] = []
        pictures: list[_Picture] = []
        rows = []
        for picture, patient in batch:
            if isinstance(picture, Rejection):
                results.append(picture)
                continue
            try:
                row = self.spec.clinical.encode([patient])
            except InputRejected as error:
                results.append(Rejection(picture.name, str(error)))
                continue
            results.append(None)
            pictures.append(picture)
            rows.append(row)
        if rows:
            numeric, categorical = (np.concatenate(column) for column in zip(*rows, strict=True))
            outputs = self.run(_stack(pictures), numeric, categorical, chosen)
            answers = iter([self._result(outputs, i, picture, chosen) for i, picture in enumerate(pictures)])
            results = [next(answers) if result is None else result for result in results]
        return [result for result in results if result is not None]

    def run(
        self,
        image: NDArray[np.uint8] | None,
        numeric: NDArray[np.float32],
        categorical: NDArray[np.int32],
        target: int = PREDICTED,
    ) -> Outputs:
        """Run the network on prepared arrays.

        :param image: uint8 [B, size, size, 3], or None for a model that reads none.
        :param numeric: float32 [B, Nn], NaN = unknown.
        :param categorical: int32 [B, Nc], -1 = unknown.
        :param target: index of the class to explain, -1 for the predicted one; a file without explanations ignores it.
        :return: the outputs of the model file's contract by name, each with B rows.
        :raises InputRejected: arrays of another kind or shape.
        :raises ModelFileError: the network gives no answer, or none that is possible; DeviceUnavailable where another
            device than the CPU fails.
        """
        arrays = {"image": image, "numeric": numeric, "categorical": categorical}
        return run_checked(self._opened, self.spec, arrays, target, self.name)

    def require_explanations(self) -> None:
        """Make sure that the file explains.

        :raises UsageError: it was exported without.
        """
        if not self.spec.explains:
            raise UsageError(
                f"{self.name} was exported without explanations. Export it again without --no-explanations."
            )

    def _try_to_read(self, image: ImageSource | None) -> _Picture | Rejection:
        try:
            return self._read(image)
        except InputRejected as error:
            return Rejection(describe(image), str(error))

    def _read(self, image: ImageSource | None) -> _Picture:
        name, spec = describe(image), self.spec.image
        if spec is None:
            if image is not None:
                raise InputRejected(f"{self.name} reads clinical values alone; leave the image {name} out.")
            return _Picture(name, None, None, None)
        if image is None:
            raise InputRejected(f"{self.name} reads an image; give one.")
        source = read_whole(image, name)
        pixels, size = load_sized(source, spec.size, spec.resample)
        return _Picture(name, source, size, pixels)

    def _target(self, target: str | None) -> int:
        if target is None:
            return PREDICTED
        self.require_explanations()
        if target not in self.spec.classes:
            raise UsageError(f"There is no class '{target}' to explain; known are {', '.join(self.spec.classes)}.")
        return self.spec.classes.index(target)

    def _result(self, outputs: Outputs, row: int, picture: _Picture, chosen: int) -> Prediction:
        values = (float(value) for value in outputs["probabilities"][row])
        by_class = dict(zip(self.spec.classes, values, strict=True))
        label = max(by_class, key=lambda code: by_class[code])
        target = label if chosen == PREDICTED else self.spec.classes[chosen]
        return Prediction(
            label,
            by_class,
            picture.name,
            self.name,
            self.device,
            self.provider,
            self.provider_version,
            self.hardware,
            self._explanation(outputs, row, target) if self.spec.explains else None,
            picture.source,
            picture.size,
        )

    def _explanation(self, outputs: Outputs, row: int, target: str) -> Explanation:
        def named(output: str) -> dict[str, float] | None:
            if output not in outputs:
                return None
            return dict(zip(self.spec.clinical.features, map(float, outputs[output][row]), strict=True))

        grid = outputs["heatmap"][row] if "heatmap" in outputs else None
        return Explanation(target, grid, named("relevance"), named("attribution"))
