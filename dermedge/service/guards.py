"""Who may ask: the right host, the right origin, the right token, and no more bytes than one request may have.

A page elsewhere cannot ask in a visitor's name (Origin), nor by a name of its own that leads here (Host).
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse

from .problems import CONTENT_TYPE, Problem
from .request_form import MOST_BYTES

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
OPEN = ("/", "/docs", "/healthz", "/readyz")
"""Paths that need no token, and whatever lies below /page: they say nothing of anybody."""
_LONGEST_DRAIN_S = 2.0
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; manifest-src 'self'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


class Guards:
    """Stands before the application."""

    def __init__(self, app: App, *, hosts: Iterable[str] = (), any_address: bool = False, token: str = "") -> None:
        """Let nothing through but what is allowed.

        :param hosts: names, besides those of this machine for itself, by which the service may be asked for.
        :param any_address: also by any numeric address: where it listens on all of them.
        :param token: what every request must bear; empty: none is needed.
        """
        self._app, self._token = app, token.encode()
        self._hosts, self._any_address = _LOCAL | {host.lower() for host in hosts}, any_address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with a problem."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # no WebSocket is served
        headers, limited = Headers(scope=scope), _Limited(receive)

        async def send_guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                await limited.drain()
                there = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(
                        (name.lower().encode(), value.encode())
                        for name, value in HEADERS.items()
                        if name.lower().encode() not in there
                    ),
                ]
            await send(message)

        try:
            self._check(scope, headers)
        except Problem as problem:
            response = JSONResponse(problem.to_record(), problem.status, problem.headers, CONTENT_TYPE)
            await response(scope, receive, send_guarded)
            return
        await self._app(scope, limited, send_guarded)

    def _check(self, scope: Scope, headers: Headers) -> None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            raise Problem(
                HTTPStatus.FORBIDDEN, "The service is not known by this host name; start it with --public-name NAME."
            )
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            raise Problem(HTTPStatus.FORBIDDEN, "The request comes from a page of another origin.")
        if not self._is_open(scope["path"]) and not self._bears_token(headers):
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "A token is needed: Authorization: Bearer TOKEN.",
                {"WWW-Authenticate": "Bearer"},
            )
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > MOST_BYTES:
            raise too_large()

    def _is_ours(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and not host.endswith("]") else host
        name = name.strip("[]").lower()
        if name in self._hosts:
            return True
        if not self._any_address:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _is_open(self, path: str) -> bool:
        return not self._token or path in OPEN or path.startswith("/page/")

    def _bears_token(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        # Both are always compared, so that the time tells nothing.
        right = hmac.compare_digest(given.strip().encode(), self._token)
        return scheme.lower() == "bearer" and right


class _Limited:
    """Gives a request's body as it comes, and ends one that is too long, whatever its length was said to be."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self._taken, self._ended = receive, 0, False

    async def __call__(self) -> Any:
        message = await self._receive()
        self._ended = not message.get("more_body", False)
        self._taken += len(message.get("body", b""))
        if self._taken > MOST_BYTES:
            raise too_large()
        return message

    async def drain(self) -> None:
        """Read what is left of the body, for a while: a client that still sends would lose an early answer."""
        with suppress(Problem, TimeoutError):
            async with asyncio.timeout(_LONGEST_DRAIN_S):
                while not self._ended:
                    await self()


def too_large() -> Problem:
    """Say that a request is too large."""
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A request has at most {MOST_BYTES // 2**20} MB.")
