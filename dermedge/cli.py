"""The entry of the command line: it looks at the first word, and imports what stands behind that word alone.

The commands of the edge need numpy, Pillow and ONNX Runtime; those of the workshop need an extra and have a parser of
their own. `dermedge --help` imports none of these.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module

from dermedge_runtime.commands.command_line import run_command_line
from dermedge_runtime.commands.command_list import (
    RUNTIME_SUMMARIES,
    Group,
    dispatch,
    runtime_command,
    runtime_missing,
)

from .batch import SUMMARY as INFER
from .bench import SUMMARY as BENCH
from .commands import SUMMARIES
from .require import extras, how_to_install, missing_packages
from .service import SUMMARIES as SERVICE

_ABOUT = """\
Train a skin-lesion classifier on image and clinical data, export it to one file, run it anywhere.
Research use only: not a medical device, not for diagnosis.
Once `dermedge --install-completion` has run, the shell completes commands, options and choices."""
_ABOVE_THE_RUNTIME = {
    "bench": "dermedge.bench.bench_command",
    "infer": "dermedge.batch.infer_command",
    "serve": "dermedge.service.serve_command",
    "sign": "dermedge.service.signing.sign_command",
    "verify": "dermedge.service.signing.verify_command",
    "audit": "dermedge.service.audit.audit_command",
    "feedback": "dermedge.evaluation.reader_study.feedback_command",
}
_COMPLETION = ("--install-completion", "--show-completion")
_ASKED_BY_SHELL = "_DERMEDGE_COMPLETE"


def main() -> None:
    """Run the command line."""
    run_command_line(_dispatch)


def _dispatch(arguments: Sequence[str]) -> int:
    edge = Group(
        "At the edge", RUNTIME_SUMMARIES | {"infer": INFER, "bench": BENCH} | SERVICE, _edge_command, runtime_missing
    )
    workshop = Group("In the workshop", SUMMARIES, _workshop_command, _workshop_missing)
    if os.environ.get(_ASKED_BY_SHELL) or (arguments and arguments[0] in _COMPLETION):
        with extras("train"):
            from .commands.workshop import complete
        return complete(arguments, edge.summaries)
    return dispatch(_ABOUT, (edge, workshop), arguments)


def _edge_command(word: str, arguments: Sequence[str]) -> int:
    if word in _ABOVE_THE_RUNTIME:
        return int(import_module(_ABOVE_THE_RUNTIME[word]).run(arguments))
    return runtime_command(word, arguments)


def _workshop_command(word: str, arguments: Sequence[str]) -> int:
    with extras("train" if word in ("train", "branches", "ensemble", "recipes", "synthesise") else "export"):
        from .commands.workshop import run
    return run([word, *arguments])


def _workshop_missing() -> str:
    missing = missing_packages("export")
    return f"Not all of their packages are installed. {how_to_install(missing, 'export')}" if missing else ""


if __name__ == "__main__":
    main()
