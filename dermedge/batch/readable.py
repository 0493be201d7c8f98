"""What the pictures of a file are, by its name and first bytes."""

from __future__ import annotations

from dermedge_runtime.commands.folder_content import SUFFIXES
from dermedge_runtime.inputs.clinical import ClinicalSchema
from dermedge_runtime.inputs.later_picture import HashedFile

from .found_picture import FoundPicture

ENDINGS = SUFFIXES
"""Of the files that a folder stands for, in small letters."""


def pictures_in(path: str, fields: ClinicalSchema) -> list[FoundPicture]:
    """Give the pictures of a file, none of them read yet; a file that cannot be used gives one, which says so.

    :param fields: of the model, for what the file itself says of the patient.
    """
    return [FoundPicture(path, HashedFile(path))]
