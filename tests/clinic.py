"""A clinic's own table: other columns, classes and words than HAM10000's, semicolons, pictures in folders by year."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SCHEMA = """\
name = "Example clinic 2024"
licence = "internal use only"
unknown = ["?"]

[table]
files = ["cases.csv"]
delimiter = ";"
image = "Photo"
diagnosis = "Finding"
group = ["Ward", "Patient"]
group_name = "patient"

[classes]
benign = "benign lesion"
malignant = "malignant lesion"
other = "another lesion"

[diagnoses]
"melanoma in situ" = "malignant"
nevus = "benign"

[[fields]]
name = "age"
column = "Age (years)"
kind = "numeric"
unit = "years"
minimum = 0
maximum = 110

[[fields]]
name = "site"
column = "Site"
kind = "categorical"
vocabulary = ["head", "trunk", "limb"]
synonyms = { Kopf = "head", arm = "limb", leg = "limb" }

[[fields]]
name = "itch"
kind = "boolean"
synonyms = { yes = "true", no = "false" }

[[fields]]
name = "confirmed"
kind = "boolean"
paper_only = true
"""
HEADER = "Ward;Patient;Photo;Finding;Age (years);Site;itch;confirmed;Remark"
ROWS = (
    "A;1;2023/p1.png;nevus;30;Kopf;yes;false;",
    "A;1;2024/p1.jpeg;Benign;31;trunk;no;false;later",
    "B;1;2024/p2;melanoma in situ;?;ARM;?;true;",
    "B;2;p3.jpg;other;70.5;;TRUE;true;",
)


def write_clinic(folder: Path, rows: tuple[str, ...] = ROWS, *, schema: str = SCHEMA, header: str = HEADER) -> Path:
    """Write table and schema, and a picture for each row; gives the schema's path.

    `2023/p1.png`, `p3.jpg` and `p2` lie on disk as JPEG: the table's endings are of the originals.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cases.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    rng = np.random.default_rng(0)
    for row in rows:
        path = (folder / "photos" / row.split(";")[2]).with_suffix(".jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(path)
    path = folder / "clinic.toml"
    path.write_text(schema, encoding="utf-8")
    return path


def many_rows(patients: int) -> tuple[str, ...]:
    """One photograph per patient, the three classes in turn."""
    findings, sites = ("nevus", "malignant", "other"), ("head", "Kopf", "leg", "?")
    return tuple(
        f"A;{n};p{n}.jpg;{findings[n % 3]};{20 + n};{sites[n % 4]};{('yes', 'false', '?')[n % 3]};true;"
        for n in range(patients)
    )
