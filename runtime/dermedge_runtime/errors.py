"""The errors a user can cause, each with the exit code the command line gives it.

Every message is one sentence or two: what was asked, what was found, how to mend it.
"""

from __future__ import annotations


class DermedgeError(Exception):
    """Base of every error that dermedge raises on purpose; `exit_code` is the command line's."""

    exit_code = 1


class UsageError(DermedgeError):
    """Options that contradict each other or name something that does not exist."""

    exit_code = 2


class InputRejected(DermedgeError):
    """A picture, a clinical value or a data set that cannot be read or makes no sense."""

    exit_code = 3


class ModelFileError(DermedgeError):
    """A model file that is missing, broken, unsafe or not ours."""

    exit_code = 4


class DeviceUnavailable(DermedgeError):
    """A requested device that cannot be had; never replaced by another one silently.

    `cause` and `mend` are its two halves, for programs; `installed` is False where nothing of the device is installed.
    """

    exit_code = 5

    def __init__(self, message: str, *, cause: str = "", mend: str = "", installed: bool = True) -> None:
        super().__init__(message)
        self.cause, self.mend, self.installed = cause or message, mend, installed
