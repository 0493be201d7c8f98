"""A file that is read once and served from memory, with a tag by which a browser asks whether it has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
METHODS = ["GET", "HEAD"]
"""By which a file is asked for."""


class StaticFile:
    """One file, as it is sent."""

    def __init__(self, name: str, content: bytes, headers: Mapping[str, str]) -> None:
        """Take a file's bytes.

        :param name: whose ending tells the type.
        :param headers: more of them: how long it may be kept, a policy of its own.
        """
        self._content, self._type = content, _TYPES[name.rpartition(".")[2]]
        self._tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        self._headers = {"ETag": self._tag, **headers}

    def answer(self, request: Request) -> Response:
        """Send the file, or say that the browser has it already."""
        known = {each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")}
        if self._tag in known:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=self._headers)
        return Response(self._content, media_type=self._type, headers=self._headers)


def is_served(name: str) -> bool:
    """Say whether a file of this name has a type to be sent as."""
    return name.rpartition(".")[2] in _TYPES
