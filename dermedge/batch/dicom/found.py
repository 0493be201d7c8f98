"""List the frames of a DICOM file as pictures, with what the file says of the patient; no pixels are read yet."""

from __future__ import annotations

import os

from dermedge.batch.found_picture import FoundPicture
from dermedge.require import how_to_install
from dermedge_runtime.inputs.clinical import ClinicalSchema
from dermedge_runtime.inputs.kept_source import absolute
from dermedge_runtime.inputs.picture_source import cannot_read

from .frame import DicomFile, DicomFrame, open_file, state_of
from .header import read_header
from .patient_values import TAGS, patient_values


def dicom_pictures(path: str, fields: ClinicalSchema) -> list[FoundPicture]:
    """List the pictures of a DICOM file.

    Its header is read, up to the pixels. Of the patient only age, sex and site are taken, as far as the model has
    fields for them; of a date of birth only the age in full years, see `patient_values`.

    :param fields: the clinical fields of the model.
    :return: one for every frame; its number is None where the file has one frame. All share one set of values.
    :raises InputRejected: it is no DICOM file, holds no pictures or such as are not read, or pydicom is missing.
    """
    name = os.fsdecode(path)
    place = absolute(name)
    with open_file(place, name) as stream:
        state = state_of(stream)
        try:
            header, dataset = read_header(stream, TAGS)
        except ImportError as error:
            how = how_to_install(["pydicom"], "dicom")
            raise cannot_read(name, f"DICOM files are read by pydicom, which is not installed. {how}") from error
        clinical = patient_values(dataset, fields)
    file = DicomFile(place, name, header, state)
    if header.frames == 1:
        return [FoundPicture(name, DicomFrame(file, 0), clinical)]
    return [FoundPicture(name, DicomFrame(file, k), clinical, k + 1) for k in range(header.frames)]
