"""The one class users need: open a model file, predict one picture or many."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .clinical import ClinicalValue
from .devices import open_session
from .errors import InputRejected, ModelFileError
from .image import ImageSource, describe, load_image
from .model_file import read_model_file
from .prediction import Prediction, Rejection
from .spec import ModelSpec

_DTYPES = {"image": "tensor(uint8)", "numeric": "tensor(float)", "categorical": "tensor(int32)"}


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
        self._check_signature()

    def predict(self, image: ImageSource | None = None, **clinical: ClinicalValue) -> Prediction:
        """Classify one picture of one patient.

        :param image: a path, encoded bytes, an open binary file, a Pillow image, or uint8 [H, W, 3]; None for a model
            that reads none.
        :param clinical: values by field name, such as age=55, sex="male", site="back"; what is left out is unknown.
        :raises InputRejected: a picture or a value that cannot be used.
        """
        pixels = self._read(image)
        numeric, categorical = self.spec.clinical.encode([clinical])
        probabilities = self.run(None if pixels is None else pixels[None], numeric, categorical)
        return self._result(probabilities[0], describe(image))

    def predict_many(
        self,
        images: Iterable[ImageSource | None],
        clinical: Sequence[Mapping[str, ClinicalValue]] | Mapping[str, ClinicalValue] | None = None,
        *,
        batch_size: int = 8,
    ) -> list[Prediction | Rejection]:
        """Classify many pictures; one that cannot be read becomes a `Rejection` and stops nothing.

        :param clinical: one mapping for all pictures (one patient), or one per picture.
        :param batch_size: pictures of one run of the network.
        :return: one entry per picture, in their order.
        :raises InputRejected: not as many clinical mappings as pictures.
        """
        sources = list(images)
        if clinical is None or isinstance(clinical, Mapping):
            patients: list[Mapping[str, ClinicalValue]] = [clinical or {}] * len(sources)
        else:
            patients = list(clinical)
        if len(patients) != len(sources):
            raise InputRejected(
                f"{len(sources)} images came with {len(patients)} sets of clinical values; give one for each."
            )
        results: list[Prediction | Rejection] = []
        for start in range(0, len(sources), batch_size):
            part = slice(start, start + batch_size)
            results += self._predict_batch(sources[part], patients[part])
        return results

    def _predict_batch(
        self, sources: Sequence[ImageSource | None], patients: Sequence[Mapping[str, ClinicalValue]]
    ) -> list[Prediction | Rejection]:
        results: list[Prediction | Rejection | None] = []
        pixels, rows = [], []
        for source, patient in zip(sources, patients, strict=True):
            try:
                read = self._read(source)
                row = self.spec.clinical.encode([patient])
            except InputRejected as error:
                results.append(Rejection(describe(source), str(error)))
                continue
            results.append(None)
            pixels.append(read)
            rows.append(row)
        if not rows:
            return [result for result in results if result is not None]
        numeric, categorical = (np.concatenate(column) for column in zip(*rows, strict=True))
        stacked = None if self.spec.image is None else np.stack([picture for picture in pixels if picture is not None])
        answers = iter(self.run(stacked, numeric, categorical))
        return [
            result if result is not None else self._result(next(answers), describe(source))
            for result, source in zip(results, sources, strict=True)
        ]

    def run(
        self, image: NDArray[np.uint8] | None, numeric: NDArray[np.float32], categorical: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """Run the network on prepared arrays.

        :param image: uint8 [B, size, size, 3], or None for a model that reads none.
        :param numeric: float32 [B, Nn], NaN = unknown.
        :param categorical: int32 [B, Nc], -1 = unknown.
        :return: probabilities, float32 [B, classes].
        """
        feed = {"image": image, "numeric": numeric, "categorical": categorical}
        probabilities: NDArray[np.float32] = self._session.run(
            ["probabilities"], {name: feed[name] for name in self.input_names}
        )[0]
        return probabilities

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the graph's inputs, of image, numeric and categorical those that the model reads."""
        present = {
            "image": self.spec.image is not None,
            "numeric": bool(self.spec.clinical.numeric),
            "categorical": bool(self.spec.clinical.categorical),
        }
        return tuple(name for name, read in present.items() if read)

    def _read(self, image: ImageSource | None) -> NDArray[np.uint8] | None:
        spec = self.spec.image
        if spec is None:
            if image is not None:
                raise InputRejected(f"{self.name} reads clinical values alone; leave the image {describe(image)} out.")
            return None
        if image is None:
            raise InputRejected(f"{self.name} reads an image; give one.")
        return load_image(image, spec.size, spec.resample)

    def _result(self, probabilities: NDArray[np.float32], source: str) -> Prediction:
        by_class = {code: float(value) for code, value in zip(self.spec.classes, probabilities, strict=True)}
        label = max(by_class, key=lambda code: by_class[code])
        return Prediction(label, by_class, source, self.name, self.device, self.provider)

    def _check_signature(self) -> None:
        found: dict[str, Any] = {value.name: value for value in self._session.get_inputs()}
        expected: dict[str, list[int]] = {}
        if self.spec.image is not None:
            expected["image"] = [self.spec.image.size, self.spec.image.size, 3]
        if self.spec.clinical.numeric:
            expected["numeric"] = [len(self.spec.clinical.numeric)]
        if self.spec.clinical.categorical:
            expected["categorical"] = [len(self.spec.clinical.categorical)]
        wrong = [
            name
            for name in {*expected, *found}
            if name not in expected
            or name not in found
            or found[name].type != _DTYPES[name]
            or found[name].shape[1:] != expected[name]
        ]
        outputs = {value.name: value.shape for value in self._session.get_outputs()}
        if outputs.get("probabilities", [])[1:] != [len(self.spec.classes)]:
            wrong.append("probabilities")
        if wrong:
            raise ModelFileError(
                f"{self.name}: the graph and its description disagree on {', '.join(sorted(wrong))}. Export it again."
            )
