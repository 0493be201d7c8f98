"""Generated pictures of rare classes, from the training split of a data set to a folder that a training can read.

Whatever is made of the split is for training alone: validation and test stay photographs, and the split says which
photographs a generator has seen.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from dermedge.config import Device
from dermedge.data.samples import Sample, read_samples
from dermedge.data.schema import DataSchema
from dermedge.data.schema_file import load_schema
from dermedge.data.splits import make_split
from dermedge_runtime.commands.option_types import nearest
from dermedge_runtime.errors import InputRejected, UsageError

from .generator_training import make_pictures, train_generator
from .made_pictures import MadePictures, made_in, write_table_and_record
from .processes import torch_device
from .train import versions

_log = logging.getLogger(__name__)
FEWEST_LESIONS = 20
"""Of a class, to make pictures of: of fewer, a generator makes copies."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be made, and of what."""

    data: Path | None
    classes: tuple[str, ...]
    count: int
    """Pictures of each class."""
    image_size: int = 64
    """Height and width, in pixels."""
    steps: int = 3000
    """Of the generator's training, with 32 photographs each."""
    seed: int = 0
    """Decides the split, and everything that is drawn."""
    protocol: str = "grouped"
    schema: str = "ham10000"
    device: Device = "cpu"


def synthesise(wanted: Wanted, target: Path, *, overwrite: bool = False) -> MadePictures:
    """Train a generator on the training split, and write pictures of some classes.

    :param target: folder, which appears whole or not at all.
    :param overwrite: replace generated pictures that lie there.
    :raises UsageError: an unknown class, or one that is named twice; a target within the data folder.
    :raises InputRejected: data that cannot be read, or a class with fewer than 20 lesions to train on.
    :raises DeviceUnavailable: cuda without a usable GPU.
    :raises DermedgeError: something is at the target already, it cannot be written, or the training comes apart.
    """
    device, schema = torch_device(wanted.device), load_schema(wanted.schema)
    _check_classes(wanted.classes, schema)
    _check_place(target, wanted.data)
    samples = read_samples(wanted.data, schema)
    split = make_split(samples, wanted.protocol, wanted.seed, schema)
    training = split.select(samples, "train")
    of_class = {code: [each for each in training if schema.classes[each.label] == code] for code in wanted.classes}
    _check_lesions(of_class, schema)
    with made_in(target, overwrite=overwrite) as folder:
        _log.info("train a generator on %d photographs", len(training))
        generator = train_generator(
            *(training, len(schema.classes)),
            size=wanted.image_size,
            steps=wanted.steps,
            seed=wanted.seed,
            device=device,
        )
        rng, noise = np.random.default_rng(wanted.seed), torch.Generator().manual_seed(wanted.seed)
        made: list[Sample] = []
        for code, own in of_class.items():
            pictures = make_pictures(generator, own[0].label, wanted.count, noise).numpy()
            patients = [own[index] for index in rng.integers(len(own), size=wanted.count)]
            made += _saved(folder, code, pictures, patients)
        record = {
            "made": "by a generator; for training alone",
            "schema": schema.name,
            "licence": schema.licence_of_weights,
            "classes": list(schema.classes),
            "pictures": dict.fromkeys(wanted.classes, wanted.count),
            "trained_on": {"photographs": len(training), "protocol": wanted.protocol, "split_seed": wanted.seed},
            "split_sha256": split.sha256,
            "image_size": wanted.image_size,
            "steps": wanted.steps,
            "versions": versions(),
        }
        write_table_and_record(folder, made, schema, record)
    return MadePictures.open(target)


def _saved(folder: Path, code: str, pictures: NDArray[np.uint8], patients: Sequence[Sample]) -> list[Sample]:
    """Save pictures uint8 [N, size, size, 3] of a class, each with the clinical values of a patient."""
    made = []
    for number, (pixels, patient) in enumerate(zip(pictures, patients, strict=True), start=1):
        name = f"made-{code}-{number:04}"
        Image.fromarray(pixels).save(folder / f"{name}.png")
        made.append(replace(patient, image_id=name, lesion_id=name, path=folder / f"{name}.png", content=""))
    return made


def _check_place(target: Path, data: Path | None) -> None:
    """Refuse a place where the pictures would be taken for those of the data."""
    if data is not None and target.resolve().is_relative_to(data.resolve()):
        raise UsageError(f"{target} is in the data folder {data}, which is only read. Name another folder with --out.")


def _check_classes(classes: Sequence[str], schema: DataSchema) -> None:
    for code in classes:
        if code not in schema.classes:
            known = ", ".join(schema.classes)
            raise UsageError(f"{schema.name} has no class '{code}'; known are {known}{nearest(code, schema.classes)}")
    if twice := [code for code in dict.fromkeys(classes) if classes.count(code) > 1]:
        raise UsageError(f"The class {twice[0]} is named twice.")


def _check_lesions(of_class: Mapping[str, Sequence[Sample]], schema: DataSchema) -> None:
    for code, own in of_class.items():
        lesions = len({each.lesion_id for each in own})
        if lesions < FEWEST_LESIONS:
            raise InputRejected(
                f"There are {lesions} lesions of {code} to train a generator on, and of fewer than {FEWEST_LESIONS} it"
                f" makes copies. Leave {code} out, or take more data."
            )
