"""Lesion masks: where they lie beside the pictures, and how they are read.

Masks are HAM10000's (Tschandl et al., Nat Med 26, 2020): any size, aligned with the whole frame, white on the lesion.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dermedge.data.samples import Sample
from dermedge.data.schema import DataSchema
from dermedge_runtime.errors import InputRejected

MASK_SUFFIX = "_segmentation.png"
_FIRST = 5


def mask_files(samples: Sequence[Sample], data: Path, schema: DataSchema, option: str) -> list[Path]:
    """Find the mask of every picture.

    :param data: the data folder.
    :param option: what asked for them, to be left out where there are none.
    :raises InputRejected: the schema names no folder of masks, or some are absent.
    """
    if not schema.images.masks:
        raise InputRejected(f"The schema {schema.name} names no folder of lesion masks. Leave {option} out.")
    folder = data / schema.images.masks
    files = [folder / f"{sample.path.stem}{MASK_SUFFIX}" for sample in samples]
    absent = [sample.image_id for sample, file in zip(samples, files, strict=True) if not file.is_file()]
    if absent:
        raise InputRejected(
            f"{len(absent)} of {len(samples)} lesion masks are not in {folder}: {', '.join(absent[:_FIRST])}."
            f" Put the published masks there, or leave {option} out."
        )
    return files


def read_mask(path: Path, size: int) -> NDArray[np.bool_]:
    """Read a lesion mask, bool [size, size], aligned with the squashed picture.

    :raises InputRejected: it cannot be read.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("L").resize((size, size), Image.Resampling.NEAREST)) > 127
    except (OSError, ValueError, SyntaxError, EOFError, OverflowError, Image.DecompressionBombError) as error:
        raise InputRejected(
            f"The lesion mask {path} cannot be read: it is no whole picture. Put the published one there."
        ) from error
