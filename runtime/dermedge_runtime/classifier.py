"""The one class users need: open a model file, predict one picture or many, with the explanation."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .clinical import ClinicalValue
from .devices import open_session
from .errors import InputRejected, UsageError
from .explanation import Explanation
from .image import ImageSource, describe, squash, upright_rgb
from .model_file import read_model_file
from .prediction import Prediction, Rejection
from .signature import check_signature
from .spec import ModelSpec

PREDICTED = -1
"""Value of the `target` input that asks for an explanation of the predicted class."""

Outputs = Mapping[str, NDArray[np.float32]]


class Classifier:
    """A model file, open on one device."""

    def __init__(self, path: str | os.PathLike[str], device: str = "auto", *, threads: int | None = None) -> None:
        """Open a model file.

        :param device: cpu, openvino, cuda, rtx, or auto.
        :param threads: CPU threads of one prediction; by default the CPUs this process may use.
        :raises ModelFileError: a file that is missing, broken, unsafe or not ours.
        :raises DeviceUnavailable: a device that cannot be had.
        """
        file = read_model_file(path)
        self.spec: ModelSpec = file.spec
        self.name = file.path.name
        self._session, provider = open_session(file.content, self.name, device, threads)
        self.device, self.provider = provider.device, provider.name
        check_signature(self._session, self.spec, self.name)

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
        image = _reread(image)
        picture = self._open(image)
        numeric, categorical = self.spec.clinical.encode([clinical])
        chosen = self._target(target)
        outputs = self.run(self._pixels([picture]), numeric, categorical, chosen)
        return self._result(outputs, 0, image, None if picture is None else picture.size, chosen)

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
        chosen = self._target(target)
        results: list[Prediction | Rejection] = []
        for start in range(0, len(sources), batch_size):
            part = slice(start, start + batch_size)
            results += self._predict_batch(sources[part], patients[part], chosen)
        return results

    def _predict_batch(
        self, sources: Sequence[ImageSource | None], patients: Sequence[Mapping[str, ClinicalValue]], chosen: int
    ) -> list[Prediction | Rejection]:
        results: list[Prediction | Rejection | None] = []
        read: list[ImageSource | None] = []
        pictures: list[Image.Image | None] = []
        rows = []
        for source, patient in zip(sources, patients, strict=True):
            try:
                image = _reread(source)
                picture = self._open(image)
                row = self.spec.clinical.encode([patient])
            except InputRejected as error:
                results.append(Rejection(describe(source), str(error)))
                continue
            results.append(None)
            read.append(image)
            pictures.append(picture)
            rows.append(row)
        if rows:
            numeric, categorical = (np.concatenate(column) for column in zip(*rows, strict=True))
            outputs = self.run(self._pixels(pictures), numeric, categorical, chosen)
            sizes = [None if picture is None else picture.size for picture in pictures]
            answers = iter([self._result(outputs, i, read[i], sizes[i], chosen) for i in range(len(rows))])
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
        """
        feed: dict[str, Any] = {"image": image, "numeric": numeric, "categorical": categorical}
        feed = {name: feed[name] for name in self.spec.array_inputs}
        if self.spec.explains:
            feed["target"] = np.full(len(numeric), target, dtype=np.int32)
        return dict(zip(self.spec.outputs, self._session.run(list(self.spec.outputs), feed), strict=True))

    def _open(self, image: ImageSource | None) -> Image.Image | None:
        if self.spec.image is None:
            if image is not None:
                raise InputRejected(f"{self.name} reads clinical values alone; leave the image {describe(image)} out.")
            return None
        if image is None:
            raise InputRejected(f"{self.name} reads an image; give one.")
        return upright_rgb(image)

    def _pixels(self, pictures: Sequence[Image.Image | None]) -> NDArray[np.uint8] | None:
        spec = self.spec.image
        if spec is None:
            return None
        return np.stack([squash(picture, spec.size, spec.resample) for picture in pictures if picture is not None])

    def _target(self, target: str | None) -> int:
        if target is None:
            return PREDICTED
        if not self.spec.explains:
            raise UsageError(
                f"{self.name} was exported without explanations. Export it again without --no-explanations."
            )
        if target not in self.spec.classes:
            raise UsageError(f"There is no class '{target}' to explain; known are {', '.join(self.spec.classes)}.")
        return self.spec.classes.index(target)

    def _result(
        self, outputs: Outputs, row: int, image: ImageSource | None, size: tuple[int, int] | None, chosen: int
    ) -> Prediction:
        values = (float(value) for value in outputs["probabilities"][row])
        by_class = dict(zip(self.spec.classes, values, strict=True))
        label = max(by_class, key=lambda code: by_class[code])
        target = label if chosen == PREDICTED else self.spec.classes[chosen]
        return Prediction(
            label,
            by_class,
            describe(image),
            self.name,
            self.device,
            self.provider,
            self._explanation(outputs, row, target) if self.spec.explains else None,
            image,
            size,
        )

    def _explanation(self, outputs: Outputs, row: int, target: str) -> Explanation:
        def named(output: str) -> dict[str, float] | None:
            if output not in outputs:
                return None
            return dict(zip(self.spec.clinical.features, map(float, outputs[output][row]), strict=True))

        grid = outputs["heatmap"][row] if "heatmap" in outputs else None
        return Explanation(target, grid, named("relevance"), named("attribution"))


def _reread(image: ImageSource | None) -> ImageSource | None:
    """Read an open file to its end, because its picture may be wanted again for the overlay."""
    read = getattr(image, "read", None)
    return read() if callable(read) else image
