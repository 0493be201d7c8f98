"""The one class users need: open a model file, predict one picture or many, with the explanation."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from . import __version__
from .decision import Decision, decide
from .devices.opening import open_session
from .devices.starting import import_onnxruntime
from .devices.usable_cpus import usable_cpus
from .errors import InputRejected, ModelFileError, UsageError
from .explanation import Explanation, name_imputed
from .inputs.arguments import known_device, require_several, whole_number
from .inputs.clinical import ClinicalValue
from .inputs.image import ImageSource, picture_name
from .inputs.kept_source import Source, absolute, keep
from .inputs.look_ahead import look_ahead
from .inputs.patients import Clinical, Patient, in_step, read_patient
from .inputs.prepared_picture import PreparedPicture, prepare, stacked
from .model.answer_check import Outputs, run_checked
from .model.description import ModelSpec
from .model.model_file import ModelFile, read_model_file
from .model.promised_tensors import check_promised_tensors
from .prediction import Prediction, Rejection

PREDICTED = -1
"""Value of the `target` input that asks for an explanation of the predicted class."""
MAX_BATCH = 1024
"""Largest batch of an exported graph."""
MAX_READ_AHEAD, MAX_WORKERS = 100_000, 256

_of_other_processes: list[Any] = []
"""Sessions that a fork left behind: their threads are not in this process, so that closing them could wait for ever."""


_Read = tuple[PreparedPicture, Patient] | Rejection
_Taken = tuple[Source, Patient] | _Read


class Classifier:
    """A model file, open on one device.

    Threads can share one. It can be copied, pickled and used after a fork: then it opens its file again, and refuses
    one that is gone or has changed since.
    """

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
        :raises DeviceUnavailable: a device that cannot be had, or cannot run the model as a CUDA graph.
        :raises UsageError: CUDA graphs asked of a device without; a number of threads that makes no sense.
        """
        device = known_device(device)
        if threads is not None:
            most = max(64, 4 * (os.cpu_count() or 1))
            threads = whole_number("threads", threads, most, " on this machine")
        if not isinstance(path, str | os.PathLike):
            raise UsageError(f"A model file is named by its path, got {type(path).__name__}.")
        self._wanted: dict[str, Any] = {"device": device, "threads": threads, "cuda_graphs": cuda_graphs}
        self._open(read_model_file(os.fsdecode(path)))

    def _open(self, file: ModelFile) -> None:
        self.spec: ModelSpec = file.spec
        self.name, self.sha256 = file.path.name, file.sha256
        self._path = absolute(os.fspath(file.path))
        any_size = self.spec.image is not None and self.spec.image.any_size
        settings = {**self._wanted, "widen_int8": self.spec.saturates, "antialias": any_size}
        self._opened = open_session(file.content, self.name, **settings)
        self.device, self.provider = self._opened.provider.device, self._opened.provider.name
        self.provider_version, self.hardware = self._opened.version, self._opened.hardware
        self._class_names = {code: self.spec.class_names.get(code, code) for code in self.spec.classes}
        self._versions = {"dermedge": __version__, "onnxruntime": str(import_onnxruntime().__version__)}
        check_promised_tensors(self._opened.session, self.spec, self.name)
        self._process, self._forked = os.getpid(), Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Give what opens the same file in the same way again, here or in another process."""
        return {"path": self._path, "sha256": self.sha256, "wanted": self._wanted}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the file again.

        :raises ModelFileError: it is gone or has changed.
        """
        self._wanted = state["wanted"]
        self._open(_same_file(state["path"], state["sha256"]))

    def predict(
        self, image: ImageSource | None = None, *, target: str | None = None, **clinical: ClinicalValue
    ) -> Prediction:
        """Classify one picture of one patient.

        :param image: a path, encoded bytes, an open binary file, a Pillow image, or uint8 [H, W, 3] in RGB (OpenCV
            reads BGR: give array[..., ::-1]); None for a model that reads none.
        :param target: code of the class to explain; by default the predicted one.
        :param clinical: values by field name, such as age=55, sex="male", site="back"; what is left out is unknown.
        :raises InputRejected: a picture or a value that cannot be used.
        :raises UsageError: an unknown class, or an explanation asked of a file without one.
        """
        chosen = self._target(target)
        picture = prepare(self._keep(image), self.spec.image)
        return self._answer([(picture, read_patient(self.spec.clinical, clinical))], chosen)[0]

    def predict_many(
        self,
        images: Iterable[ImageSource | None],
        clinical: Clinical = None,
        *,
        target: str | None = None,
        batch_size: int = 8,
    ) -> list[Prediction | Rejection]:
        """Classify many pictures; one that cannot be read becomes a `Rejection` and stops nothing.

        :param images: pictures as `predict` takes them, or one uint8 array [N, H, W, 3] in RGB.
        :param clinical: one mapping for all pictures (one patient), or one per picture.
        :param target: as in `predict`.
        :param batch_size: pictures of one run of the network, 1 to 1024.
        :return: one entry per picture, in their order.
        :raises InputRejected: not as many clinical mappings as pictures, or a wrong value for all of them.
        :raises UsageError: a single picture instead of several, or a batch size that makes no sense.
        """
        return list(self.predict_each(images, clinical, target=target, batch_size=batch_size))

    def predict_each(
        self,
        images: Iterable[ImageSource | None],
        clinical: Clinical = None,
        *,
        target: str | None = None,
        batch_size: int = 8,
        read_ahead: int | None = None,
        workers: int | None = None,
    ) -> Iterator[Prediction | Rejection]:
        """As `predict_many`, but give each answer as soon as its batch is ready, of any number of pictures.

        What has a length, as a list, is read up to four batches ahead, by threads, while the network runs. A generator
        is asked for the pictures of one batch at a time, so that an answer never waits for what a camera gives later;
        `batch_size=1` gives every answer before the next picture is asked for. Pictures and values are copied when
        they are taken: their buffers can be filled again. Whatever a generator raises comes through, after the answers
        to what it gave before.

        :param read_ahead: pictures that are taken and not answered yet, at most; by default as above. For a generator
            that gives what is there already, such as the files of a folder.
        :param workers: threads that read; by default as many as the CPUs this process may use.
        """
        require_several(images)
        batch_size = whole_number("batch_size", batch_size, MAX_BATCH)
        ahead = 4 * batch_size if hasattr(images, "__len__") else batch_size
        if read_ahead is not None:
            ahead = whole_number("read_ahead", read_ahead, MAX_READ_AHEAD)
        threads = usable_cpus() if workers is None else whole_number("workers", workers, MAX_WORKERS)
        chosen = self._target(target)
        pairs = in_step(self.spec.clinical, images, clinical)
        return self._answers(map(self._take, pairs), chosen, batch_size, (ahead, threads))

    def _answers(
        self, taken: Iterator[_Taken], chosen: int, batch_size: int, reading: tuple[int, int]
    ) -> Iterator[Prediction | Rejection]:
        ahead, workers = reading
        batches = look_ahead(self._try_to_read, taken, workers=workers, batch=batch_size, ahead=ahead)
        with closing(batches):
            for batch in batches:
                yield from self._predict_batch(batch, chosen)

    def _predict_batch(self, batch: Sequence[_Read], chosen: int) -> Iterator[Prediction | Rejection]:
        answers = iter(self._answer([entry for entry in batch if not isinstance(entry, Rejection)], chosen))
        for entry in batch:
            yield entry if isinstance(entry, Rejection) else next(answers)

    def predict_prepared(
        self, batch: Sequence[tuple[PreparedPicture, Patient]], *, target: str | None = None
    ) -> list[Prediction]:
        """Classify pictures that were read before, perhaps by other processes, in one run of the network.

        :param batch: each picture as `prepare` gives it for this model, with its patient as `read_patient` does; at
            most 1024.
        :param target: as in `predict`.
        """
        return self._answer(batch, self._target(target))

    def _answer(self, batch: Sequence[tuple[PreparedPicture, Patient]], chosen: int) -> list[Prediction]:
        if not batch:
            return []
        numeric = np.concatenate([patient.numeric for _, patient in batch])
        categorical = np.concatenate([patient.categorical for _, patient in batch])
        outputs = self.run(stacked([picture for picture, _ in batch]), numeric, categorical, chosen)
        return [self._result(outputs, row, *entry, chosen) for row, entry in enumerate(batch)]

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
        if self._process != os.getpid():
            self._reopen()
        arrays = {"image": image, "numeric": numeric, "categorical": categorical}
        return run_checked(self._opened, self.spec, arrays, target, self.name)

    def _reopen(self) -> None:
        """Open the file again in a process that was forked: the session's threads stayed behind in the other one."""
        with self._forked:
            if self._process == os.getpid():
                return
            import logging

            logging.getLogger(__name__).debug("%s is opened again in a forked process", self.name)
            file = _same_file(self._path, self.sha256)
            _of_other_processes.append(self._opened)
            self._open(file)

    def require_explanations(self) -> None:
        """Make sure that the file explains, or says itself why it cannot.

        :raises UsageError: it was exported without.
        """
        if not self.spec.explains and not self.spec.no_heatmap:
            raise UsageError(
                f"{self.name} was exported without explanations. Export it again without --no-explanations."
            )

    def _keep(self, image: Any) -> Source:
        if self.spec.image is None and image is not None:
            raise InputRejected(f"{self.name} reads clinical values alone; leave the image {picture_name(image)} out.")
        if self.spec.image is not None and image is None:
            raise InputRejected(f"{self.name} reads an image; give one.")
        return keep(image)

    def _take(self, pair: tuple[Any, Patient | InputRejected]) -> _Taken:
        """Take one picture and its patient from the caller, in the caller's thread."""
        image, patient = pair
        try:
            if isinstance(patient, InputRejected):
                raise patient
            source = self._keep(image)
            # The caller's own Pillow image: it can be another picture soon, and two threads cannot load one.
            now = isinstance(image, Image.Image)
            return (prepare(source, self.spec.image), patient) if now else (source, patient)
        except InputRejected as error:
            return Rejection(picture_name(image), str(error))

    def _try_to_read(self, taken: _Taken) -> _Read:
        if isinstance(taken, Rejection):
            return taken
        source, patient = taken
        if isinstance(source, PreparedPicture):
            return source, patient
        try:
            return prepare(source, self.spec.image), patient
        except InputRejected as error:
            return Rejection(source.name, str(error))

    def _target(self, target: str | None) -> int:
        if target is None:
            return PREDICTED
        self.require_explanations()
        if not self.spec.explains:
            raise UsageError(f"{self.name} explains no class. {self.spec.no_heatmap} Leave the target out.")
        if target not in self.spec.classes:
            raise UsageError(f"There is no class '{target}' to explain; known are {', '.join(self.spec.classes)}.")
        return self.spec.classes.index(target)

    def _result(
        self, outputs: Outputs, row: int, picture: PreparedPicture, patient: Patient, chosen: int
    ) -> Prediction:
        imputed = self.spec.clinical.imputed(patient.unknown)
        values = (float(value) for value in outputs["probabilities"][row])
        by_class = dict(zip(self.spec.classes, values, strict=True))
        label = max(by_class, key=lambda code: by_class[code])
        target = label if chosen == PREDICTED else self.spec.classes[chosen]
        scores = {name: float(values[row]) for name, values in outputs.items() if name.endswith("ood_score")}
        decision = self._decide(by_class, scores, picture.faults)
        return Prediction(
            label,
            by_class,
            picture.name,
            self.name,
            self.device,
            self.provider,
            self.provider_version,
            self.hardware,
            self._explanation(outputs, row, target, imputed) if self.spec.explains else None,
            picture.content,
            picture.size,
            given=patient.given,
            unknown=patient.unknown,
            imputed=imputed,
            prediction_set=None if decision is None else decision.prediction_set,
            decision=None if decision is None else decision.verdict,
            reasons=() if decision is None else decision.reasons,
            ood_score=scores.get("ood_score"),
            lesion_ood_score=scores.get("lesion_ood_score"),
            class_names=self._class_names,
            model_sha256=self.sha256,
            versions=self._versions,
            notice=self.spec.intended_use,
            seen=picture.seen,
            picture_faults=picture.faults,
            no_heatmap=self.spec.no_heatmap,
        )

    def _decide(
        self, by_class: Mapping[str, float], scores: Mapping[str, float], faults: Sequence[str]
    ) -> Decision | None:
        rule = self.spec.decision
        if rule is None:
            return None
        return decide(rule, by_class, self._class_names, ood_score=scores.get("ood_score"), faults=faults)

    def _explanation(
        self, outputs: Outputs, row: int, target: str, imputed: Mapping[str, ClinicalValue]
    ) -> Explanation:
        def named(output: str) -> dict[str, float] | None:
            if output not in outputs:
                return None
            by_feature = dict(zip(self.spec.clinical.features, map(float, outputs[output][row]), strict=True))
            return name_imputed(by_feature, imputed)

        grid = outputs["heatmap"][row] if "heatmap" in outputs else None
        return Explanation(target, grid, named("relevance"), named("attribution"), imputed)


def _same_file(path: str, sha256: str) -> ModelFile:
    """Read a model file again that was open before.

    :raises ModelFileError: it is gone, or another one.
    """
    file = read_model_file(path)
    if file.sha256 != sha256:
        raise ModelFileError(f"{path} has changed since it was opened. Open the new file with Classifier(path).")
    return file
