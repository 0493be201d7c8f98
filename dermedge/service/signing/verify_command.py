"""The options of `dermedge verify`."""

from __future__ import annotations

import json
from collections.abc import Sequence

from dermedge.service import SUMMARIES
from dermedge_runtime.commands.command_line import show
from dermedge_runtime.commands.command_parser import CommandParser
from dermedge_runtime.commands.option_types import path

from .verify_model import Verified, verify_model


def parser() -> CommandParser:
    """Define the options."""
    defined = CommandParser(
        "verify", SUMMARIES["verify"], "Where something is absent or does not agree, the exit code is 4."
    )
    defined.arguments("MODEL", path, fewest=1, most=1, help="Model file.")
    defined.option(
        "--key",
        path,
        metavar="PUB",
        help="Public key in PEM that the model must be signed with; without it only MODEL.sha256 is checked. Needs the"
        " extra sign.",
    )
    defined.flag("--json", dest="as_json", help="Print JSON instead of text.")
    return defined


def run(arguments: Sequence[str]) -> int:
    """Run `dermedge verify`.

    :param arguments: what follows the word.
    :return: the exit code.
    :raises DermedgeError: whatever is refused; a `ModelFileError` where the model is not verified.
    """
    options = parser().parse(arguments)
    if options is None:
        return 0
    (model,) = options.model
    found = verify_model(model, options.key)
    if options.as_json:
        record = {"model": str(model), "sha256": found.sha256, "signed_by": found.signed_by}
        show(json.dumps(record | {"lock_file": found.lock_file, "unchecked_signature": found.unchecked_signature}))
        return 0
    show("\n".join([f"{model}: SHA-256 {found.sha256}", *_checked(found)]))
    return 0


def _checked(found: Verified) -> list[str]:
    lines = []
    if found.signed_by is not None:
        lines.append(f"  signature: verified, made with the key {found.signed_by}")
    elif found.unchecked_signature:
        lines.append("  signature: not checked, because no key was given; name the maker's public key with --key")
    if found.lock_file:
        lines.append("  lock file: agrees; it shows damage, and not who made the model")
    return lines
