"""The options of `dermedge sign`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dermedge.service import SUMMARIES
from dermedge_runtime.commands.command_line import show
from dermedge_runtime.commands.command_parser import CommandParser
from dermedge_runtime.commands.option_types import path
from dermedge_runtime.errors import UsageError

from .key_files import HOW_TO_MAKE, read_private_key


def parser() -> CommandParser:
    """Define the options."""
    defined = CommandParser("sign", SUMMARIES["sign"], f"To make a key: {HOW_TO_MAKE}")
    defined.arguments("MODEL", path, fewest=1, most=1, help="Model file.")
    defined.option(
        "--key", path, metavar="KEY", help="Private key in PEM, P-256 or P-384; writes MODEL.sig. Needs the extra sign."
    )
    defined.option(
        "--password-file", path, metavar="PATH", help="Its first line is the key's password; by default you are asked."
    )
    defined.flag("--lock", help="Write the hash to MODEL.sha256, which sha256sum -c reads too.")
    return defined


def run(arguments: Sequence[str]) -> int:
    """Run `dermedge sign`.

    :param arguments: what follows the word.
    :return: the exit code.
    :raises DermedgeError: whatever is refused.
    """
    options = parser().parse(arguments)
    if options is None:
        return 0
    (model,) = options.model
    if options.key is None and not options.lock:
        raise UsageError("Say how: --key KEY signs the model, --lock notes its hash; both can be given.")
    if options.password_file is not None and options.key is None:
        raise UsageError("--password-file belongs to --key, which is missing.")
    for line in _signed(model, options.key, options.password_file, lock=options.lock):
        show(line)
    return 0


def _signed(model: Path, key: Path | None, password_file: Path | None, *, lock: bool) -> list[str]:
    from dermedge_runtime.files import refuse_overwriting
    from dermedge_runtime.model.model_file import read_model_file

    from .key_password import read_password
    from .lock_file import lock_file_of, write_lock_file
    from .signature import require_package, signature_of, write_signature

    inputs = [name for name in (model, key, password_file) if name is not None]
    for target in (signature_of(model), lock_file_of(model)):
        refuse_overwriting(target, inputs)
    file = read_model_file(model)  # what is damaged or foreign is not signed
    told = [f"{model}: SHA-256 {file.sha256}"]
    if key is not None:
        require_package()
        public, password = read_private_key(key, lambda: read_password(password_file, key))
        if password is None and password_file is not None:
            raise UsageError(f"{key} is not protected by a password; leave --password-file out.")
        told.append(f"  {write_signature(model, file.content, key, password, public)}: signed by {public.fingerprint}")
    if lock:
        told.append(f"  {write_lock_file(model, file.sha256)}: its lock file")
    return told
