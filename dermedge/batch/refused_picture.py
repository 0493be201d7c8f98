"""A picture that is known to be useless before anybody reads it: its turn gives the reason, as that of any other."""

from __future__ import annotations

from typing import NoReturn

from dermedge_runtime.errors import InputRejected


class RefusedPicture:
    """Stands in the place of a picture that cannot be used."""

    def __init__(self, name: str, reason: str) -> None:
        self.name, self._reason = name, reason
        self.sha256: str | None = None

    def fetch(self) -> NoReturn:
        """Give no picture.

        :raises InputRejected: always, with the reason.
        """
        raise InputRejected(self._reason)
