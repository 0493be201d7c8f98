"""Whether a file is meant to be a DICOM file: by its ending, or by its mark; pydicom is not needed for that."""

from __future__ import annotations

import os
import stat
from pathlib import PurePath

ENDINGS = frozenset({".dcm", ".dicom"})
PREAMBLE = 128
MARK = b"DICM"


def is_dicom(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file ends as DICOM files do, or has their mark after its first 128 bytes; never fails."""
    try:
        if PurePath(os.fsdecode(path)).suffix.lower() in ENDINGS:
            return True
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with open(path, "rb") as stream:  # noqa: PTH123 - a path of bytes is one, too
            return stream.read(PREAMBLE + len(MARK))[PREAMBLE:] == MARK
    except (OSError, ValueError):  # ValueError: a null character
        return False
