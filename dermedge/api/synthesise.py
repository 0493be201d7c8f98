"""`dermedge.synthesise`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dermedge.require import extras
from dermedge_runtime.errors import UsageError

from .names import check_known, path_of

if TYPE_CHECKING:
    from dermedge.training.made_pictures import MadePictures

IMAGE_SIZES = (32, 64, 128)
IMAGE_SIZE, STEPS = 64, 3000
PROTOCOLS = ("grouped", "refit", "paper")


def synthesise(
    data: Path | str,
    classes: Sequence[str],
    count: int,
    out: Path | str,
    *,
    image_size: int = IMAGE_SIZE,
    steps: int = STEPS,
    seed: int = 0,
    protocol: str = "grouped",
    schema: Path | str = "ham10000",
    device: Literal["cpu", "cuda"] = "cpu",
    overwrite: bool = False,
) -> MadePictures:
    """Train a generator on the training split, and write pictures of rare classes to train on beside photographs.

    ::

        dermedge.synthesise("data/ham10000", ["df", "vasc"], 200, "made")
        run = dermedge.train("data/ham10000", synthetic="made")

    A training takes the pictures only where its split is that of the generator: the same data, protocol and seed.

    :param classes: codes of the classes to make pictures of.
    :param count: pictures of each class, 1 to 10,000.
    :param out: folder to write.
    :param image_size: height and width of the pictures, in pixels: 32, 64 or 128.
    :param steps: of the generator's training, with 32 photographs each.
    :param seed: decides the split, and everything that is drawn.
    :param overwrite: replace generated pictures that lie there.
    :return: the pictures; `path` and `counts` say where they are and how many.
    :raises UsageError: a value out of its range, or an unknown class, which the message names.
    :raises InputRejected: data that cannot be read, or a class with fewer than 20 lesions to train on.
    :raises DeviceUnavailable: cuda without a usable GPU.
    :raises DermedgeError: something is in the folder already, it cannot be written, the training comes apart, or a
        package is not installed.
    """
    with extras("train"):
        from dermedge.training.synthesis import Wanted
        from dermedge.training.synthesis import synthesise as make
    check_known("image size", str(image_size), [str(size) for size in IMAGE_SIZES])
    check_known("protocol", protocol, PROTOCOLS)
    check_known("device", device, ("cpu", "cuda"))
    for name, value, most in (("count", count, 10_000), ("steps", steps, 1_000_000)):
        if not isinstance(value, int) or not 1 <= value <= most:
            raise UsageError(f"{name} takes a whole number from 1 to {most}, got {value!r}.")
    named = (classes,) if isinstance(classes, str) else tuple(classes)
    wanted = Wanted(
        data=path_of("data", data),
        classes=named,
        count=count,
        image_size=image_size,
        steps=steps,
        seed=seed,
        protocol=protocol,
        schema=str(schema),
        device=device,
    )
    return make(wanted, path_of("out", out), overwrite=overwrite)
