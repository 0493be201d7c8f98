"""One picture of the many that a batch finds: the file it is in, how to have it, what its file says of the patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dermedge_runtime.inputs.clinical import ClinicalValue
from dermedge_runtime.inputs.later_picture import LaterPicture


@dataclass(frozen=True, slots=True)
class FoundPicture:
    """A picture that has not been read yet."""

    path: str
    """Of its file, as results and messages name it."""
    picture: LaterPicture
    """Fetches it, when its turn comes, in one of the threads that read ahead."""
    clinical: Mapping[str, ClinicalValue] = field(default_factory=dict)
    """What the file itself says of the patient, by the model's field; empty for plain pictures."""
    frame: int | None = None
    """Which frame of a file that holds several, from 1; None: the file is one picture."""
