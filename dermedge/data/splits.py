"""Evaluation protocols: which photographs train, which validate, which test, and whether that split leaks.

`grouped` (default): by lesion, or by what else the schema groups by, stratified, 70/15/15. `refit`: the same test set,
the validation set in training, for a last training whose settings were chosen before. `paper`: random photographs,
70/30, no validation set, with dx_type (paper, section 3.2.1), which puts photographs of one lesion on both sides.
Photographs of one content are of one group, whatever their lesion ids. Not covered: near-duplicates across lesion ids.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from sklearn.model_selection import train_test_split

from dermedge_runtime.errors import InputRejected, UsageError
from dermedge_runtime.files import write_text

from .groups import group_key, groups_of
from .ham10000 import HAM10000
from .samples import Sample
from .schema import PAPER, DataSchema

REFIT = "refit"
PROTOCOLS = ("grouped", REFIT, PAPER)
SPLITS = ("train", "validation", "test")
_MINIMUM_LESIONS = 3


@dataclass(frozen=True, slots=True)
class Split:
    """Assignment of every photograph to train, validation or test."""

    protocol: str
    rows: tuple[tuple[str, str, str], ...]
    """(image_id, id of its group, one of `SPLITS`), in the order of the metadata table."""
    group_name: str = "lesion"
    """What the groups are, as the schema calls them."""

    def ids(self, name: str) -> list[str]:
        """Image ids of one part, in the order of the table."""
        return [image_id for image_id, _, part in self.rows if part == name]

    def select(self, samples: Sequence[Sample], name: str) -> list[Sample]:
        """Samples of one part.

        :raises InputRejected: the data set lacks photographs of the split.
        """
        by_id = {sample.image_id: sample for sample in samples}
        wanted = self.ids(name)
        absent = [image_id for image_id in wanted if image_id not in by_id]
        if absent:
            raise InputRejected(
                f"{len(absent)} images of the run's {name} split are not in the data folder,"
                f" first {', '.join(absent[:5])}."
                " Give the folder the run was trained on with --data."
            )
        return [by_id[image_id] for image_id in wanted]

    def to_csv(self) -> str:
        """Give the split as a table; its SHA-256 is the split's identity."""
        table = pd.DataFrame(self.rows, columns=["image_id", f"{self.group_name}_id", "split"], dtype=object)
        return table.to_csv(index=False, lineterminator="\n")

    @property
    def sha256(self) -> str:
        """Hash of `to_csv`."""
        return hashlib.sha256(self.to_csv().encode()).hexdigest()

    def save(self, path: Path) -> None:
        """Write `to_csv` atomically."""
        write_text(path, self.to_csv())

    @classmethod
    def load(cls, path: Path, protocol: str) -> Split:
        """Read what `save` wrote.

        :raises ValueError: another table.
        :raises csv.Error: no table.
        """
        # Not by pandas: it fills short rows up.
        with path.open(encoding="utf-8", newline="") as stream:
            header, *rows = [tuple(row) for row in csv.reader(stream, strict=True)]
        if len(header) != 3 or not header[1].endswith("_id") or any(len(row) != 3 for row in rows):
            raise ValueError(f"its columns are {', '.join(header)}")
        return cls(protocol, tuple((image, group, part) for image, group, part in rows), header[1].removesuffix("_id"))


def make_split(samples: Sequence[Sample], protocol: str, seed: int, schema: DataSchema = HAM10000) -> Split:
    """Split a data set.

    :param schema: the data set's, which names classes and groups.
    :raises InputRejected: a class with fewer than three lesions (or other groups), or, under `paper`, too few images
        to split.
    :raises UsageError: an unknown protocol.
    """
    if protocol not in PROTOCOLS:
        raise UsageError(f"Unknown protocol '{protocol}'; known are {', '.join(PROTOCOLS)}.")
    part = _random(samples, seed) if protocol == PAPER else _grouped(samples, seed, schema)
    if protocol == REFIT:
        part = ["train" if name == "validation" else name for name in part]
    rows = tuple((s.image_id, s.lesion_id, part[i]) for i, s in enumerate(samples))
    return Split(protocol, rows, schema.table.group_name)


def _grouped(samples: Sequence[Sample], seed: int, schema: DataSchema) -> list[str]:
    photographs = pd.DataFrame({"group": groups_of(samples), "label": [sample.label for sample in samples]})
    label_of = _labels_of_groups(photographs)
    counts = {label: int((label_of == label).sum()) for label in sorted(photographs["label"].unique())}
    few = [f"{schema.classes[label]} ({count})" for label, count in counts.items() if count < _MINIMUM_LESIONS]
    if few:
        raise InputRejected(
            f"Every class needs at least {_MINIMUM_LESIONS} {schema.table.group_name}s,"
            f" one for each of {', '.join(SPLITS)}; too few: {', '.join(few)}."
        )
    part: dict[str, str] = {}
    for label in counts:  # class by class, so that even three lesions reach all three parts
        own = label_of.index[label_of == label].tolist()
        held = max(2, round(0.3 * len(own)))
        train, rest = train_test_split(own, test_size=held, random_state=seed)
        validation, test = train_test_split(rest, test_size=0.5, random_state=seed)
        part |= dict.fromkeys(train, "train") | dict.fromkeys(validation, "validation") | dict.fromkeys(test, "test")
    return photographs["group"].map(part).tolist()


def _labels_of_groups(photographs: pd.DataFrame) -> pd.Series[int]:
    """Give the class that each group is stratified by, the groups by name: its only one, or of several the rarest."""
    pairs = photographs.drop_duplicates()
    pairs = pairs.assign(groups=pairs["label"].map(pairs["label"].value_counts()))
    first = pairs.sort_values(["groups", "label"]).drop_duplicates("group")
    return first.set_index("group")["label"].sort_index()


def _random(samples: Sequence[Sample], seed: int) -> list[str]:
    if len(samples) < 4:
        raise InputRejected(f"{len(samples)} images are too few to split 70/30.")
    _, test = train_test_split(range(len(samples)), test_size=0.3, random_state=seed)
    held = set(test)
    return ["test" if index in held else "train" for index in range(len(samples))]


def count_leaks(split: Split, samples: Sequence[Sample] = ()) -> int:
    """Number of test photographs whose lesion also has a photograph in train or validation.

    :param samples: of the data set; with them, those of other lesions whose very file is there again count too.
    """
    return len(_leaking(split, samples))


def _leaking(split: Split, samples: Sequence[Sample]) -> list[str]:
    """Names of the test photographs that leak."""
    table = pd.DataFrame(split.rows, columns=["image", "group", "part"])
    contents = {sample.image_id: sample.content for sample in samples if sample.content}
    table["group"], table["content"] = table["group"].map(group_key), table["image"].map(contents)
    tested = table["part"] == "test"
    others = table[~tested]
    seen = table["group"].isin(others["group"]) | table["content"].isin(others["content"].dropna())
    return table.loc[tested & seen, "image"].tolist()


def check_leaks(split: Split, samples: Sequence[Sample] = ()) -> int:
    """Count leaks and refuse a split that has any, unless the protocol is `paper`, which leaks by design.

    :param samples: as `count_leaks`.
    :raises InputRejected: the split leaks.
    """
    leaking = _leaking(split, samples)
    if leaking and split.protocol != PAPER:
        raise InputRejected(
            f"{len(leaking)} of {len(split.ids('test'))} test images show a {split.group_name} that is also in"
            f" training, or are a copy of a training image, first {', '.join(leaking[:5])}."
            f" Train a new run split by {split.group_name} (--protocol grouped),"
            " or ask for --protocol paper to repeat the paper's split."
        )
    return len(leaking)
