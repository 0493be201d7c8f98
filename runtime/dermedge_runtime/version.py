"""Which dermedge this is: the release, and in every build between releases the commit that it was made from.

A run and a model file record it, so two builds of one release must not have one name. In a checkout the commit is read
where git keeps it; in a wheel and an sdist it is in `BUILD_FILE`, which the build writes. Not covered: changes that are
not committed.
"""

from __future__ import annotations

import os

RELEASE = "0.2.0.dev0"
"""Raised by hand with every release; with `.devN` it is on the way there."""
BUILD_FILE = "_build.txt"
"""Beside this file in a wheel and an sdist: the commit, and nothing else."""
_HERE = os.path.dirname(os.path.abspath(__file__))
_CHECKOUT = os.path.dirname(os.path.dirname(_HERE))


def commit_of(checkout: str) -> str:
    """Give the commit that is checked out in a folder, 40 hexadecimal digits; empty where there is none.

    Read without git, which an edge machine lacks: a branch's commit lies in a file of its own or in `packed-refs`.
    """
    try:
        folder = _git_folder(os.path.join(checkout, ".git"))
        head = _read(os.path.join(folder, "HEAD"))
        if not head.startswith("ref: "):
            return head
        name, shared = head[len("ref: ") :], _shared_folder(folder)
        loose = os.path.join(shared, *name.split("/"))
        if os.path.isfile(loose):
            return _read(loose)
        packed = _read(os.path.join(shared, "packed-refs")).splitlines()
        return next((line.split(" ")[0] for line in packed if line.endswith(f" {name}")), "")
    except (OSError, UnicodeDecodeError):
        return ""


def _git_folder(path: str) -> str:
    # In a second work tree `.git` is a file that names the folder.
    return _read(path).removeprefix("gitdir: ") if os.path.isfile(path) else path


def _shared_folder(folder: str) -> str:
    common = os.path.join(folder, "commondir")
    return os.path.join(folder, _read(common)) if os.path.isfile(common) else folder


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:  # noqa: PTH123, pathlib costs a cold start 5 ms
        return file.read().strip()


def version(commit: str | None = None) -> str:
    """Give the version as PEP 440 has it, such as 0.2.0.dev0+g1a2b3c4d5e; a release has no local part.

    :param commit: that it was built from; by default that of the build, or of the checkout around this file.
    """
    if commit is None:
        commit = _built_from() or commit_of(_CHECKOUT)
    return f"{RELEASE}+g{commit[:10]}" if commit and ".dev" in RELEASE else RELEASE


def _built_from() -> str:
    try:
        return _read(os.path.join(_HERE, BUILD_FILE))
    except (OSError, UnicodeDecodeError):
        return ""
