"""DICOM files as cameras and archives write them, made with pydicom; and ways to compress their pixels."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from broken_pictures import encode, skin
from lossless_jpeg import lossless_jpeg
from PIL import Image

from dermedge_runtime.inputs.clinical import CategoricalField, ClinicalSchema, NumericField

IMPLICIT, LITTLE, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
JPEG, LOSSLESS, LOSSLESS_14 = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.57"
JPEG_LS, JPEG_LS_LOSSY = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"
JPEG_2000, JPEG_2000_LOSSY, RLE = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.5"
PHOTOGRAPH, DERMOSCOPIC = "1.2.840.10008.5.1.4.1.1.77.1.4", "1.2.840.10008.5.1.4.1.1.77.1.7"
SECONDARY = "1.2.840.10008.5.1.4.1.1.7"
SECRETS = {
    "PatientName": "Zwiebelfisch^Adalbert",
    "PatientID": "PID-4711-SECRET",
    "PatientBirthDate": "19680229",
    "StudyDate": "20230228",
    "AccessionNumber": "ACC-SECRET",
    "InstitutionName": "Hospital of Secrets",
    "StudyDescription": "Secret description",
    "PatientComments": "Secret comment",
}
HAM10000 = ClinicalSchema(
    (NumericField("age", "years", 0, 120),),
    (
        CategoricalField("sex", ("female", "male")),
        CategoricalField(
            "site",
            (
                *("abdomen", "acral", "back", "chest", "ear", "face", "foot", "genital", "hand", "lower extremity"),
                *("neck", "scalp", "trunk", "upper extremity"),
            ),
        ),
    ),
)
ISIC = ClinicalSchema(
    HAM10000.numeric,
    (
        HAM10000.categorical[0],
        CategoricalField(
            "site",
            (
                *("anterior torso", "head/neck", "lateral torso", "lower extremity", "oral/genital", "palms/soles"),
                *("posterior torso", "upper extremity"),
            ),
        ),
    ),
)
PIXELS = np.asarray(skin(64, 48))
GREY = np.asarray(skin(64, 48).convert("L"))


def dicom(
    path: Path,
    frames: list[bytes] | bytes,
    size: tuple[int, int] = (64, 48),
    syntax: str = LITTLE,
    photometric: str = "RGB",
    *,
    has_bot: bool = True,
    fragments: int = 1,
    pixel_vr: str = "OB",
    **tags: Any,
) -> Path:
    """Write a DICOM file.

    :param frames: compressed frames, to be encapsulated; or all pixels as bytes.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate

    path.parent.mkdir(parents=True, exist_ok=True)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID = tags.pop("SOPClassUID", PHOTOGRAPH)
    dataset.SOPInstanceUID = "1.2.826.0.1.3680043.8.498.42"
    dataset.Columns, dataset.Rows = size
    dataset.SamplesPerPixel = 1 if photometric[:3] in ("MON", "PAL") else 3
    dataset.PhotometricInterpretation = photometric
    if dataset.SamplesPerPixel == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    for name, value in (SECRETS | tags).items():
        if value is not None:
            setattr(dataset, name, value)
    if isinstance(frames, bytes):
        dataset.PixelData = frames + b"\0" * (len(frames) % 2)
    else:
        dataset.PixelData = encapsulate(frames, fragments_per_frame=fragments, has_bot=has_bot)
        if len(frames) > 1:
            dataset.NumberOfFrames = len(frames)
    dataset["PixelData"].VR = pixel_vr
    dataset["PixelData"].is_undefined_length = not isinstance(frames, bytes)
    dataset.save_as(path, enforce_file_format=True)
    return path


def jpeg_2000(pixels: np.ndarray, **options: Any) -> bytes:
    """Encode a codestream, without the boxes of a .jp2 file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG2000", no_jp2=True, **{"mct": 0} | options)
    return stream.getvalue()


def run_length(pixels: np.ndarray) -> bytes:
    """Encode by pydicom."""
    from pydicom.pixels.encoders.base import get_encoder
    from pydicom.uid import UID

    samples = 1 if pixels.ndim == 2 else 3
    return get_encoder(UID(RLE)).encode(
        pixels.tobytes(),
        rows=pixels.shape[0],
        columns=pixels.shape[1],
        samples_per_pixel=samples,
        bits_allocated=8,
        bits_stored=8,
        photometric_interpretation="RGB" if samples == 3 else "MONOCHROME2",
        pixel_representation=0,
        planar_configuration=0,
        number_of_frames=1,
        encoding_plugin="pydicom",
    )


def jpeg_ls(folder: Path, pixels: np.ndarray) -> bytes:
    """Encode by GDCM, which takes whole files."""
    import gdcm
    from pydicom import dcmread
    from pydicom.encaps import get_frame

    grey = pixels.ndim == 2
    plain = dicom(
        folder / "plain.dcm", pixels.tobytes(), pixels.shape[1::-1], photometric="MONOCHROME2" if grey else "RGB"
    )
    reader = gdcm.ImageReader()
    reader.SetFileName(str(plain))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLSLossless))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    packed = folder / "packed.dcm"
    writer.SetFileName(str(packed))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return get_frame(dcmread(packed).PixelData, 0, number_of_frames=1)


def compressed(kind: str, folder: Path, pixels: np.ndarray) -> tuple[str, bytes]:
    """Compress pixels without loss, and tell the transfer syntax."""
    if kind == "RLE":
        return RLE, run_length(pixels)
    if kind == "JPEG 2000":
        return JPEG_2000, jpeg_2000(pixels)
    if kind == "JPEG-LS":
        return JPEG_LS, jpeg_ls(folder, pixels)
    return LOSSLESS, lossless_jpeg(pixels)


def jpeg(pixels: np.ndarray, **options: Any) -> bytes:
    return encode(Image.fromarray(pixels), "JPEG", **options)
