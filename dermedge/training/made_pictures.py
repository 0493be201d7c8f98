"""A folder of generated pictures: written once, whole or not at all; read as pictures to train on, and as nothing else.

| file | what it is |
|---|---|
| `made.json` | classes, counts, the split that the generator was trained on, hashes of all other files |
| `made.csv` | a row for each picture: its name, its class, and clinical values of a training patient of that class |
| `made-CLASS-0001.png` | a picture |
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from dermedge.config import TrainConfig
from dermedge.data.files.content_hashes import hash_file
from dermedge.data.samples import Sample
from dermedge.data.schema import DataSchema
from dermedge.data.splits import Split
from dermedge.models.fusion import fusion_class
from dermedge.progress import in_threads
from dermedge_runtime.errors import DermedgeError, InputRejected, UsageError
from dermedge_runtime.files import write_json, write_text

from .made_record import CLASS, IMAGE, RECORD, TABLE, MadeRecord, read_record, read_table
from .one_writer import one_writer
from .run import Run

SYNTHETIC = "synthetic"
"""The key of the generated pictures in the record of a run and in the description of a model file."""


@dataclass(frozen=True, slots=True)
class MadePictures:
    """Generated pictures that lie in a folder, whole."""

    path: Path
    record: MadeRecord
    """What `made.json` says."""
    sha256: str
    """Of `made.json`, which names the hashes of all other files."""
    _table: pd.DataFrame = field(repr=False, compare=False)
    """All of `made.csv`, as texts."""

    @classmethod
    def open(cls, path: Path) -> MadePictures:
        """Read the record, and compare every file with it.

        :raises InputRejected: there are no such pictures, or a file is absent, damaged or has changed.
        """
        record = read_record(path)
        names, hashes = list(record.files), list(record.files.values())
        for name in names:
            if not (path / name).is_file():
                raise InputRejected(f"{path / name} is absent. Make the pictures again, with --overwrite.")
        found = list(in_threads(hash_file, [path / name for name in names], "hash generated pictures"))
        changed = [name for name, was, now in zip(names, hashes, found, strict=True) if was != now]
        if changed:
            raise InputRejected(
                f"{len(changed)} of {len(names)} files in {path} have changed since they were made, such as"
                f" {changed[0]}. Make the pictures again, with --overwrite."
            )
        return cls(path, record, hash_file(path / RECORD), read_table(path, record))

    @property
    def counts(self) -> dict[str, int]:
        """Pictures by class."""
        return dict(self.record.pictures)

    def check(self, split: Split, schema: DataSchema) -> None:
        """See that a training may read them.

        :raises InputRejected: made of another kind of data, or by a generator that has seen what the training holds
            back.
        """
        made = _kind(self.record.schema_name, self.record.classes, self._table.columns[2:])
        ours = _kind(schema.name, schema.classes, [entry.field.name for entry in schema.fields])
        if made != ours:
            raise InputRejected(
                f"The pictures in {self.path} are made of {made}, and this training reads {ours}. Make pictures of its"
                " own data."
            )
        if self.record.split_sha256 != split.sha256:
            raise InputRejected(
                f"The generator of {self.path} was trained on another split, so it may have seen what this training"
                " holds back. Make the pictures with the same data, --protocol and seed of the split."
            )

    def samples(self, schema: DataSchema) -> list[Sample]:
        """Give them as photographs of a training split, each a lesion of its own.

        :raises InputRejected: a clinical value that no patient can have.
        """
        return [
            Sample(
                image_id=row[IMAGE],
                lesion_id=row[IMAGE],
                path=self.path / f"{row[IMAGE]}.png",
                label=schema.classes.index(row[CLASS]),
                clinical={
                    entry.field.name: value
                    for entry in schema.fields
                    if (value := entry.read(row[entry.field.name], frozenset())) is not None
                },
            )
            for row in self._table.to_dict("records")
        ]


def _kind(name: str, classes: Iterable[str], fields: Iterable[str]) -> str:
    return f"{name} with the classes {', '.join(classes)} and the clinical fields {', '.join(fields) or 'none'}"


def recorded_pictures(made: MadePictures) -> dict[str, Any]:
    """Give what the record of a run says of generated pictures that it is trained on."""
    return {"path": str(made.path.resolve()), "sha256": made.sha256, "pictures": made.counts}


def pictures_of(run: Run) -> list[Sample]:
    """Give the generated pictures that a run is trained on; none where it has none.

    :raises InputRejected: they are gone, or have changed.
    :raises DermedgeError: others lie in their place than when the run began.
    """
    if not run.config.synthetic:
        return []
    made = MadePictures.open(Path(run.record[SYNTHETIC]["path"]))
    if made.sha256 != run.config.synthetic:
        raise DermedgeError(
            f"The generated pictures in {made.path} are others than when the run in {run.path} began. Put the earlier"
            " ones back, or start again with --overwrite."
        )
    return made.samples(run.schema)


def check_synthetic(config: TrainConfig) -> None:
    """Look, before anything is written, whether generated pictures make sense.

    :raises UsageError: settings that contradict them.
    """
    if not fusion_class(config.fusion).uses_image:
        raise UsageError(f"--synthetic adds pictures, and {config.fusion} reads none. Leave it out.")
    if config.freeze_image_branch:
        raise UsageError("--synthetic shows pictures, and --freeze-image-branch trains on features: leave one out.")
    if config.look_inside:
        raise UsageError("--look-inside needs a lesion mask of every picture, and --synthetic has none: give one.")


@contextmanager
def made_in(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a new folder beside the target, which takes its name once the body has ended.

    What a killed process left beside the target is removed by the next one.

    :raises DermedgeError: something is there already, another process makes it, or the folder cannot be written.
    """
    _refuse_earlier(target, overwrite=overwrite)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        busy = f"Another process is making {target}. Wait for its end, or name another folder with --out."
        with one_writer(target.with_name(f".{target.name}.lock"), busy):
            beside = target.with_name(f".{target.name}.making")
            made, earlier = beside / "made", beside / "earlier"
            if earlier.exists() and not target.exists():
                earlier.rename(target)  # a process was killed between the two renames below
            shutil.rmtree(beside, ignore_errors=True)
            _refuse_earlier(target, overwrite=overwrite)  # again: what is there now may have come meanwhile
            made.mkdir(parents=True)
            try:
                yield made
                _refuse_earlier(target, overwrite=overwrite)  # again: something may have come there meanwhile
                if target.exists():
                    target.rename(earlier)  # and away with it, once the new one has its place
                made.rename(target)
            finally:
                shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise DermedgeError(f"{target} cannot be written: {error.strerror or error}.") from error


def write_table_and_record(folder: Path, samples: Sequence[Sample], schema: DataSchema, record: dict[str, Any]) -> None:
    """Write what belongs to the pictures that lie in a folder."""
    fields = [entry.field.name for entry in schema.fields]
    rows = [
        {
            IMAGE: each.image_id,
            CLASS: schema.classes[each.label],
            **{name: each.clinical.get(name) for name in fields},
        }
        for each in samples
    ]
    table = pd.DataFrame(rows, columns=[IMAGE, CLASS, *fields], dtype=object)
    write_text(folder / TABLE, table.to_csv(index=False, lineterminator="\n"))
    files = {path.name: hash_file(path) for path in sorted(folder.iterdir())}
    write_json(folder / RECORD, {**record, "files": files})


def _refuse_earlier(target: Path, *, overwrite: bool) -> None:
    if not target.exists():
        return
    if not (target / RECORD).is_file():
        if target.is_dir() and not any(target.iterdir()):
            return
        raise UsageError(f"{target} is there and holds no generated pictures: name another folder with --out.")
    if not overwrite:
        raise DermedgeError(f"{target} holds generated pictures already. Pass --overwrite, or name another folder.")
    try:
        known = {RECORD, *read_record(target).files}
    except InputRejected as error:
        raise UsageError(
            f"{target / RECORD} cannot be read, so it is not known what --overwrite may replace: name another folder"
            " with --out."
        ) from error
    if others := sorted(path.name for path in target.iterdir() if path.name not in known):
        raise UsageError(f"{target} also holds {others[0]}, which --overwrite would remove. Move it away.")
