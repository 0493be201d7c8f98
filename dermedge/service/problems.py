"""What the service cannot do, as RFC 9457 problem details: the same sentences as the command line's."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

CONTENT_TYPE = "application/problem+json"


@dataclass(slots=True)
class Problem(Exception):
    """One answer that is none."""

    status: int
    detail: str
    """What was asked, what was found, how to mend it."""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The status in words."""
        return HTTPStatus(self.status).phrase

    def to_record(self) -> dict[str, Any]:
        """Give the problem JSON-ready."""
        return {"type": "about:blank", "title": self.title, "status": self.status, "detail": self.detail}


def busy(detail: str, seconds: int = 1) -> Problem:
    """Say that the service has too much to do just now.

    :param seconds: after which it may have time again.
    """
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": str(seconds)})


def rejected(detail: str) -> Problem:
    """Say that a picture or a value cannot be used."""
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
