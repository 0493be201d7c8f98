"""The file of a study while the service adds to it: what is stored lies on the disk before the reader is told so."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from dermedge.batch.results.owner_lock import only_writer
from dermedge.service.audit.growing_file import GrowingFile, unwritable
from dermedge_runtime import __version__
from dermedge_runtime.commands.shown_names import shown
from dermedge_runtime.errors import UsageError
from dermedge_runtime.model.description import ModelSpec
from dermedge_runtime.prediction import Prediction, now

from .feedback_file import FORMAT, line_of, study_of
from .study import DO_NOT_KNOW, OutOfOrder, Reading, ShownAnswer, Study

_WHAT = "feedback file"
FIELDS = ("reader", "case")
"""What names a reading, in the form of a picture too."""


class FeedbackLog:
    """An open study. One process writes it; its calls come one after the other."""

    def __init__(self, path: Path, *, model: str, sha256: str, spec: ModelSpec) -> None:
        """Begin a study with a model, or go on with it; the torn line of a killed process is moved to NAME.torn.

        :param model: its name.
        :param sha256: of its file.
        :raises UsageError: the file is a study of another model, or the model has a field called reader or case, or a
            class do_not_know.
        :raises InputRejected: there is a file, and it is none of a study.
        :raises DermedgeError: another process writes it.
        :raises LineUnwritable: it cannot be written.
        """
        for name in FIELDS:
            if name in spec.clinical.names:
                raise UsageError(
                    f"{model} has a field of its own called {name}, so it cannot be served with --feedback."
                )
        if DO_NOT_KNOW in spec.classes:
            raise UsageError(f"{model} has a class {DO_NOT_KNOW}, so it cannot be served with --feedback.")
        self.path = path
        begun = Study(
            model, sha256, tuple(spec.classes), {code: spec.class_names.get(code, code) for code in spec.classes}
        )
        self._pictures: dict[tuple[str, str], str] = {}
        with ExitStack() as held:
            try:
                held.enter_context(only_writer(path))
                self.study = self._open(held, begun)
            except OSError as error:
                raise unwritable(path, error, _WHAT) from error
            self._held = held.pop_all()

    def _open(self, held: ExitStack, begun: Study) -> Study:
        before = study_of(self.path.read_bytes(), shown(self.path.name)) if self.path.exists() else None
        if before is not None and before.model_sha256 != begun.model_sha256:
            raise UsageError(
                f"{shown(str(self.path))} is a study of {before.model} ({before.model_sha256[:12]}...), and this is"
                f" {begun.model} ({begun.model_sha256[:12]}...): serve that model, or name another file."
            )
        self._file = GrowingFile(self.path, _WHAT)
        held.callback(self._file.close)
        if self._file.tail.torn:
            self._file.move_torn_end()
        if before is None:
            self._write({
                "event": "begun",
                "format": FORMAT,
                "time": now(),
                "model": begun.model,
                "model_sha256": begun.model_sha256,
                "classes": list(begun.classes),
                "class_names": dict(begun.class_names),
                "versions": {"dermedge": __version__},
            })  # fmt: skip
        if self._file.tail.torn:
            self._write({"event": "repaired", "time": now(), **self._file.torn_record()})
        return before or begun

    def first(self, reader: str, case: str, diagnosis: object) -> Reading:
        """Store an opinion before the answer; the same one again changes nothing.

        :raises InputRejected: the model has no such diagnosis.
        :raises OutOfOrder: another one is there.
        :raises LineUnwritable: it is not stored.
        """
        diagnosis = self.study.require_diagnosis(diagnosis)
        if self.study.is_new_first(reader, case, diagnosis):
            self._add("first", reader, case, {"diagnosis": diagnosis})
        return self.study.readings[reader, case]

    def require_may_ask(self, reader: str, case: str, picture_sha256: str) -> None:
        """See that a reader may have the model's answer to a picture.

        A case is one picture: else a case whose opinion is there would open all others. Which one it was is kept in
        memory alone, because a file of hashes would tell which pictures were read.

        :raises OutOfOrder: the first opinion is missing, or the case has another picture.
        """
        reading = self.study.require_first(reader, case)
        known = self._pictures.get((reader, case))
        if known is None and reading.second is not None:
            raise OutOfOrder(f"{reader} has finished case {case}: name another one.")
        if known not in (None, picture_sha256):
            raise OutOfOrder(f"Case {case} of {reader} has another picture, and a case is one: name another case.")

    def answer(self, reader: str, case: str, picture_sha256: str, answer: Prediction) -> None:
        """Store an answer before it leaves; one that is shown again, or after the second opinion, is not stored.

        :raises OutOfOrder: as `require_may_ask` says, which is asked again because time has passed.
        :raises LineUnwritable: it is not stored.
        """
        self.require_may_ask(reader, case, picture_sha256)
        self._pictures[reader, case] = picture_sha256
        reading = self.study.readings[reader, case]
        found = ShownAnswer(answer.label, dict(answer.probabilities), answer.decision)
        if reading.second is not None or found in reading.answers[-1:]:
            return
        told = {"label": found.label, "probabilities": found.probabilities, "decision": found.decision}
        self._add("model", reader, case, {**told, "model_sha256": self.study.model_sha256})

    def second(self, reader: str, case: str, diagnosis: object) -> Reading:
        """Store an opinion after the answer; the same one again changes nothing.

        :raises InputRejected: the model has no such diagnosis.
        :raises OutOfOrder: another one is there, or the answer was not shown.
        :raises LineUnwritable: it is not stored.
        """
        diagnosis = self.study.require_diagnosis(diagnosis)
        if self.study.is_new_second(reader, case, diagnosis):
            self._add("second", reader, case, {"diagnosis": diagnosis})
        return self.study.readings[reader, case]

    def close(self) -> None:
        """Put everything on the disk and let the next process write.

        :raises LineUnwritable: it does not lie on the disk.
        """
        self._held.close()

    def _add(self, event: str, reader: str, case: str, values: Mapping[str, Any]) -> None:
        record = {"event": event, "time": now(), "reader": reader, "case": case, **values}
        self._write(record)
        self.study.take(record)

    def _write(self, record: Mapping[str, Any]) -> None:
        self._file.append(line_of(record))
        self._file.sync()
