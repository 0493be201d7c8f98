"""The options of `dermedge infer`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dermedge_runtime.devices.providers import DEVICES
from dermedge_runtime.errors import UsageError

from .command_list import RUNTIME_SUMMARIES
from .command_parser import CommandParser
from .option_types import model, number, one_of, path, path_text

if TYPE_CHECKING:
    from dermedge_runtime.classifier import Classifier


def parser(summary: str = RUNTIME_SUMMARIES["infer"]) -> CommandParser:
    """Define the options.

    :param summary: the command's line in the list of commands.
    """
    defined = CommandParser("infer", summary, "Whatever is left out is unknown.")
    defined.arguments("IMAGES", path_text, help="Picture files, folders of them, and - for standard input.")
    defined.option(
        "--model",
        model,
        metavar="PATH",
        help="Model file, or the name of a model in the box, such as box; by default the newest in MODELS, else box.",
    )
    defined.option("--models", path, metavar="PATH", default="models", help="Folder of exported models.")
    # Many, so that a second value of a patient is refused as that of --field is; of other options the last one counts.
    defined.option("--age", number, metavar="NUMBER", many=True, help="Years.")
    defined.option("--sex", metavar="TEXT", many=True, help="female or male.")
    defined.option("--site", metavar="TEXT", many=True, help="Site of the lesion, such as back.")
    defined.option(
        "--field", metavar="NAME=VALUE", dest="fields", many=True, help="Any other clinical field of the model."
    )
    defined.flag("--explain", help="Also why, in words and figures, and IMAGE.heatmap.png in OVERLAYS.")
    defined.option("--overlays", path, metavar="PATH", help="Folder for --explain. [default: overlays]")
    defined.option("--target", metavar="CLASS", help="Explain this class; by default the predicted one.")
    defined.option("--report", path, metavar="PATH", help="Write one self-contained HTML page.")
    devices = ", ".join(DEVICES)
    defined.option("--device", one_of(DEVICES), metavar="DEVICE", default="auto", help=f"Where it runs: {devices}.")
    defined.flag("--json", dest="as_json", help="Print JSON instead of text.")
    return defined


def run(arguments: Sequence[str]) -> int:
    """Run `dermedge infer`.

    :param arguments: what follows the word.
    :return: the exit code, as `infer` gives it.
    :raises DermedgeError: whatever is refused.
    """
    options = parser().parse(arguments)
    if options is None:
        return 0
    return infer_as_asked(options)


def infer_as_asked(options: Namespace) -> int:
    """Do what the options ask for; returns and raises as `run`."""
    clinical = clinical_values(options)
    from .infer import infer

    return infer(
        opened_model(options),
        options.images,
        clinical,
        explain=options.explain,
        target=options.target,
        overlays=options.overlays,
        report=options.report,
        as_json=options.as_json,
    )


def opened_model(options: Namespace) -> Classifier:
    """Open the model that the options name, on the device that they name.

    :raises ModelFileError: there is none, or a broken one.
    :raises DeviceUnavailable: the device cannot be had.
    """
    from dermedge_runtime.classifier import Classifier
    from dermedge_runtime.model.exported_models import newest_or_boxed_model

    return Classifier(options.model or newest_or_boxed_model(options.models), options.device)


def clinical_values(options: Namespace) -> dict[str, Any]:
    """Give the clinical values that hold for all pictures, by field.

    :raises UsageError: a field that is given twice, or written in another way than NAME=VALUE.
    """
    named: dict[str, Sequence[Any]] = {"age": options.age, "sex": options.sex, "site": options.site}
    given = [(name, value) for name, values in named.items() for value in values]
    for text in options.fields:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise UsageError(f"--field takes NAME=VALUE, got '{text}'.")
        given.append((name, value))
    clinical: dict[str, Any] = {}
    for name, value in given:
        if name in clinical:
            raise UsageError(f"The field {name} is given twice.")
        clinical[name] = value
    return clinical
