"""The options of `dermedge bench`."""

from __future__ import annotations

import json
import logging
from argparse import Namespace
from collections.abc import Sequence

from dermedge_runtime.commands.command_line import show
from dermedge_runtime.commands.command_parser import CommandParser
from dermedge_runtime.commands.option_types import model, path, some_of, whole_number, whole_numbers
from dermedge_runtime.devices.providers import PROVIDERS
from dermedge_runtime.errors import UsageError

from . import SUMMARY

_log = logging.getLogger(__name__)
_MAX_BATCH = 1024  # largest batch of an exported graph


def parser() -> CommandParser:
    """Define the options."""
    defined = CommandParser("bench", SUMMARY)
    defined.arguments("MODELS", model, help="Model files, or names of models in the box; by default box.")
    devices = tuple(PROVIDERS)
    defined.option(
        "--devices",
        some_of(devices),
        metavar="DEVICES",
        default="cpu,openvino",
        help=f"Comma-separated, of {', '.join(devices)}.",
    )
    defined.option(
        "--batch",
        whole_numbers(1, _MAX_BATCH),
        metavar="NUMBERS",
        dest="batches",
        default="1,32",
        help=f"Comma-separated, 1 to {_MAX_BATCH}.",
    )
    defined.option("--image", path, metavar="PATH", help="Picture to read; by default a generated 600 x 450 JPEG.")
    defined.option("--run", path, metavar="PATH", help="Run whose weights torch runs; by default found.")
    defined.option("--runs", path, metavar="PATH", default="runs", help="Folder of all runs.")
    defined.option(
        "--rounds", whole_number(3), metavar="NUMBER", default="30", help="Timed turns of every contender, at least 3."
    )
    defined.flag("--cuda-graphs", help="Also with CUDA graphs, on devices that have them.")
    defined.flag("--cold", default=True, help="Also time whole processes and their memory. [default]")
    defined.flag("--no-cold", dest="cold", value=False, default=True, help="Leave that out.")
    defined.option("--out", path, metavar="PATH", default="bench.json", help="Where the JSON goes.")
    defined.flag("--json", dest="as_json", help="Print JSON instead of text.")
    return defined


def run(arguments: Sequence[str]) -> int:
    """Run `dermedge bench`.

    :param arguments: what follows the word.
    :return: the exit code.
    :raises DermedgeError: whatever is refused.
    """
    options = parser().parse(arguments)
    if options is None:
        return 0
    from dermedge_runtime.files import write_json
    from dermedge_runtime.model.shipped_model import model_in_the_box

    from .bench import benchmark
    from .report import bench_text

    options.models = options.models or [model_in_the_box()]
    _check_out(options)
    record = benchmark(
        options.models,
        options.devices,
        options.batches,
        image=options.image,
        run_path=options.run,
        runs=options.runs,
        rounds=options.rounds,
        cuda_graphs=options.cuda_graphs,
        cold=options.cold,
    )
    write_json(options.out, record)
    if options.as_json:
        show(json.dumps(record, indent=2, allow_nan=False))
    else:
        show(bench_text(record))
        _log.info("written to %s", options.out)
    return 0


def _check_out(options: Namespace) -> None:
    from dermedge_runtime.files import refuse_overwriting

    if options.out.is_dir():
        raise UsageError(f"--out {options.out} is a folder; name a file.")
    image = [options.image] if options.image else []
    refuse_overwriting(options.out, [*options.models, *image, *(options.run.glob("*") if options.run else [])])
