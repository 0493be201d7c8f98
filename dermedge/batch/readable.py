"""What the pictures of a file are, by its name and first bytes: a plain picture, the frames of a DICOM file, HEIC."""

from __future__ import annotations

from dermedge_runtime.commands.folder_content import SUFFIXES
from dermedge_runtime.errors import InputRejected
from dermedge_runtime.inputs.clinical import ClinicalSchema
from dermedge_runtime.inputs.later_picture import HashedFile

from .dicom.found import dicom_pictures
from .dicom.recognised import ENDINGS as DICOM_ENDINGS
from .dicom.recognised import is_dicom
from .found_picture import FoundPicture
from .heic_file import ENDINGS as HEIC_ENDINGS
from .heic_file import HeicFile, is_heic
from .refused_picture import RefusedPicture

__all__ = ["ENDINGS", "is_dicom", "is_heic", "pictures_in"]

ENDINGS = SUFFIXES | DICOM_ENDINGS | HEIC_ENDINGS
"""Of the files that a folder stands for, in small letters."""


def pictures_in(path: str, fields: ClinicalSchema) -> list[FoundPicture]:
    """Give the pictures of a file, none of them read yet; a file that cannot be used gives one, which says so.

    :param fields: of the model, for what the file itself says of the patient.
    """
    if is_heic(path):
        return [FoundPicture(path, HeicFile(path))]
    # One that ends as a plain picture does is no DICOM file, so that not every file has to be opened for that.
    if not path.lower().endswith(tuple(SUFFIXES)) and is_dicom(path):
        try:
            return dicom_pictures(path, fields)
        except InputRejected as error:
            return [FoundPicture(path, RefusedPicture(path, str(error)))]
    return [FoundPicture(path, HashedFile(path))]
