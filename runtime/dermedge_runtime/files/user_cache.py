"""The user's cache folder for dermedge: found in every surroundings, also without a home.

Not covered: whether it can be written; who writes there says so, and goes on without where it can.
"""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

from dermedge_runtime.errors import UsageError

_instead_of: dict[Path, Path] = {}
"""By a folder that is another user's: what this process takes for it."""


def cache_folder() -> Path:
    """The user's cache folder, absolute; the environment variable DERMEDGE_CACHE overrides it.

    Where there is no home, as for a container's user without a passwd entry, it is one below the temporary folder.

    :raises UsageError: DERMEDGE_CACHE names the home (`~`) of nobody.
    """
    override = os.environ.get("DERMEDGE_CACHE")
    if override:
        return _given(override)
    if sys.platform == "win32":
        below = _absolute("LOCALAPPDATA") or _in_home("AppData", "Local")
    elif sys.platform == "darwin":
        below = _in_home("Library", "Caches")
    else:
        # The XDG specification: a relative path is to be ignored.
        below = _absolute("XDG_CACHE_HOME") or _in_home(".cache")
    return _in_temporary_folder() if below is None else below / "dermedge"


def _given(text: str) -> Path:
    try:
        path = Path(text).expanduser()
    except (RuntimeError, KeyError):
        raise UsageError(
            f"DERMEDGE_CACHE is {text}, and that home is not known here; name a folder from / on."
        ) from None
    return Path(os.path.abspath(path))


def _absolute(variable: str) -> Path | None:
    path = Path(os.environ.get(variable, ""))
    return path if path.is_absolute() else None


def _in_home(*names: str) -> Path | None:
    if os.name == "posix" and not os.environ.get("HOME", "unset").strip():
        return None
    try:
        home = Path.home()
    except (RuntimeError, KeyError, OSError):  # no HOME, and no entry in the table of users
        return None
    # HOME=/ is what Docker gives a user whom it does not know, and on small devices the home of root.
    known = home.is_absolute() and (home != Path(home.anchor) or os.access(home, os.W_OK))
    return home.joinpath(*names) if known else None


def _in_temporary_folder() -> Path:
    """Give a folder that is this user's own: in a folder open to all, another user may have made one of that name."""
    import tempfile

    try:
        base = Path(tempfile.gettempdir())
    except OSError:  # there is none that can be written
        base = Path(os.path.abspath(os.sep), "tmp")
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    folder = base / f"dermedge-{user}"
    with suppress(OSError):
        folder.mkdir(mode=0o700)
    if _is_our_own(folder):
        return folder
    if folder not in _instead_of:
        try:
            _instead_of[folder] = Path(tempfile.mkdtemp(prefix=f"{folder.name}-"))
        except OSError:
            _instead_of[folder] = base / f"{folder.name}-{os.urandom(8).hex()}"
    return _instead_of[folder]


def _is_our_own(folder: Path) -> bool:
    try:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode):
            return False
        if hasattr(os, "getuid"):
            if found.st_uid != os.getuid():
                return False
            if stat.S_IMODE(found.st_mode) & 0o077:
                folder.chmod(0o700)
    except FileNotFoundError:
        return True  # it could not be made: nobody's, and whoever writes there says why
    except OSError:
        return False
    return True
