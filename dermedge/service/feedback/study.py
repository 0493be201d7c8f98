"""What readers said of cases before and after the model's answer, and the order in which it must come.

An event is a record by its name: `first` (an opinion without the model), `model` (an answer that the reader was shown),
`second` (the opinion after it). Not covered: how they are kept, which is `feedback_file`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dermedge_runtime.commands.option_types import nearest
from dermedge_runtime.commands.shown_names import shown
from dermedge_runtime.errors import InputRejected

DO_NOT_KNOW = "do_not_know"
"""What a reader may say besides the model's classes; it is never right."""
LONGEST_NAME = 64
"""Characters of a reader's or a case's name."""


class OutOfOrder(InputRejected):
    """An opinion or an answer at the wrong time: before the first opinion, or after it was given already."""


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """What the model said to one reader."""

    label: str
    probabilities: Mapping[str, float]
    decision: str | None


@dataclass(slots=True)
class Reading:
    """What one reader and the model said of one case."""

    first: str
    answers: list[ShownAnswer] = field(default_factory=list)
    """Those that differ, in the order they were shown; the second opinion was given with the last."""
    second: str | None = None


@dataclass(slots=True)
class Study:
    """All readings with one model."""

    model: str
    model_sha256: str
    classes: tuple[str, ...]
    class_names: Mapping[str, str]
    readings: dict[tuple[str, str], Reading] = field(default_factory=dict)
    """By reader and case, in the order of their first opinions."""

    def require_diagnosis(self, diagnosis: object) -> str:
        """Give a diagnosis that a reader may name.

        :raises InputRejected: it is none; names the nearest.
        """
        known = (*self.classes, DO_NOT_KNOW)
        if not isinstance(diagnosis, str):
            raise InputRejected(f"diagnosis is one of {', '.join(known)}.")
        if diagnosis not in known:
            ending = nearest(diagnosis, known)
            hint = ending if ending != "." else f"; there are {', '.join(known)}."
            raise InputRejected(f"The model has no diagnosis {shown(diagnosis[:LONGEST_NAME])}{hint}")
        return diagnosis

    def require_first(self, reader: str, case: str) -> Reading:
        """Give the reading of a case whose first opinion is there.

        :raises OutOfOrder: it is not.
        """
        reading = self.readings.get((reader, case))
        if reading is None:
            raise OutOfOrder(
                f"There is no first opinion of {reader} on case {case}: send it to /v1/feedback/first, and then ask"
                " the model."
            )
        return reading

    def is_new_first(self, reader: str, case: str, diagnosis: str) -> bool:
        """Tell whether a first opinion is to be stored; False: the same one is there.

        :raises OutOfOrder: another one is there.
        """
        reading = self.readings.get((reader, case))
        if reading is not None and reading.first != diagnosis:
            raise OutOfOrder(
                f"{reader} has said {reading.first} of case {case}, and a first opinion stays: send {reading.first} to"
                " go on with this case, or name another one."
            )
        return reading is None

    def is_new_second(self, reader: str, case: str, diagnosis: str) -> bool:
        """Tell whether a second opinion is to be stored; False: the same one is there.

        :raises OutOfOrder: another one is there, or the model has not answered.
        """
        reading = self.require_first(reader, case)
        if not reading.answers:
            raise OutOfOrder(
                f"{reader} has not seen the model's answer to case {case}: the second opinion comes after it."
            )
        if reading.second not in (None, diagnosis):
            raise OutOfOrder(f"{reader} has said {reading.second} of case {case} after the answer, and that stays.")
        return reading.second is None

    def take(self, record: Mapping[str, Any]) -> None:
        """Take an event in.

        :raises InputRejected: it is none of a study, or does not follow from those before.
        """
        event = record.get("event")
        if event not in ("first", "model", "second"):
            raise InputRejected(f"it has the event {shown(str(event)[:LONGEST_NAME])}.")
        reader, case = (require_name(name, record.get(name)) for name in ("reader", "case"))
        if event == "model":
            answer = self._answer(record)
            reading = self.require_first(reader, case)
            if reading.second is not None:
                raise OutOfOrder(f"an answer to case {case} comes after the second opinion of {reader}.")
            reading.answers.append(answer)
            return
        diagnosis = self.require_diagnosis(record.get("diagnosis"))
        if event == "first":
            is_new = self.is_new_first(reader, case, diagnosis)
            self.readings.setdefault((reader, case), Reading(diagnosis))
        else:
            is_new = self.is_new_second(reader, case, diagnosis)
            self.readings[reader, case].second = diagnosis
        if not is_new:
            raise OutOfOrder(f"the {event} opinion of {reader} on case {case} is there twice.")

    def _answer(self, record: Mapping[str, Any]) -> ShownAnswer:
        label, probabilities, decision = (record.get(key) for key in ("label", "probabilities", "decision"))
        is_whole = isinstance(probabilities, dict) and set(probabilities) == set(self.classes)
        if not is_whole or label not in self.classes or not isinstance(decision, str | None):
            raise InputRejected("its answer is none of the study's model.")
        if record.get("model_sha256") != self.model_sha256:
            raise InputRejected("its answer is another model's.")
        return ShownAnswer(str(label), dict(probabilities or {}), decision)


def require_name(what: str, value: object) -> str:
    """Give a reader's or a case's name, trimmed, each letter in its composed form.

    :param what: `reader` or `case`, for messages.
    :raises InputRejected: it is empty, too long or holds control characters.
    """
    if not isinstance(value, str | None):
        raise InputRejected(f'{what} is a text, such as "7"; it came as something else.')
    name = unicodedata.normalize("NFC", value or "").strip()
    if not name:
        raise InputRejected(f"{what} is missing: send a short text, such as a pseudonym or a number.")
    if len(name) > LONGEST_NAME:
        raise InputRejected(f"{what} has {len(name)} characters; {LONGEST_NAME} are the most.")
    if not name.isprintable():
        raise InputRejected(f"{what} holds control characters: {shown(name)}.")
    return name
