"""Generated patients with matching pictures, in HAM10000's layout, for the demo and the tests.

How a lesion looks depends on its class, and so do site, age and sex, with overlap, so that both modalities carry signal
and neither is enough. Figures measured on them say that the software works, nothing about medicine.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from dermedge_runtime.files import write_text

from .ham10000 import CLASSES, SITES
from .synthetic_picture import LOOKS, picture

_DX_TYPE = {"nv": "follow_up", "bkl": "consensus", "df": "consensus", "vasc": "consensus"}


def write_dataset(folder: Path, lesions_per_class: int, seed: int = 0) -> int:
    """Write metadata and pictures; every third lesion has two photographs, some values are unknown.

    :return: number of photographs.
    """
    rng = np.random.default_rng(seed)
    rows = list(_patients(lesions_per_class, rng))
    for index, row in enumerate(rows):
        part = folder / f"HAM10000_images_part_{1 + (index >= len(rows) // 2)}"
        part.mkdir(parents=True, exist_ok=True)
        picture(row["dx"], rng).save(part / f"{row['image_id']}.jpg", quality=90)
    table = pd.DataFrame(rows).to_csv(index=False, lineterminator="\n")
    write_text(folder / "HAM10000_metadata.csv", table)  # last: it makes the folder a data set
    return len(rows)


def _patients(lesions_per_class: int, rng: np.random.Generator) -> Iterator[dict[str, str]]:
    image = 0
    for lesion in range(lesions_per_class * len(CLASSES)):
        code = CLASSES[lesion % len(CLASSES)]
        look = LOOKS[code]
        site = str(rng.choice(look.sites if rng.random() < 0.8 else SITES))
        age = float(np.clip(5 * round(rng.normal(look.age, 12) / 5), 0, 85))
        row = {
            "lesion_id": f"SYN_{lesion:07d}",
            "image_id": "",
            "dx": code,
            "dx_type": _DX_TYPE.get(code, "histo") if rng.random() < 0.7 else "histo",
            "age": "" if rng.random() < 0.03 else str(age),
            "sex": "unknown" if rng.random() < 0.03 else str(rng.choice(("female", "male"))),
            "localization": "unknown" if rng.random() < 0.03 else site,
        }
        for _ in range(2 if (lesion // len(CLASSES)) % 3 == 0 else 1):
            yield row | {"image_id": f"SYN_{image:07d}"}
            image += 1
