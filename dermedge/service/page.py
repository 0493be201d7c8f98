"""The page that the service shows to people, at /, and the documentation of its interface, at /docs.

The files lie in the folder `page` beside this module. A language is one file more there: texts.de.js beside
texts.en.js. Not covered: what the page does, which is JavaScript, and asks the same interface as any program.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from http import HTTPStatus
from importlib.resources import files

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from swagger_ui_bundle import swagger_ui_path

from .problems import Problem
from .request_form import MOST_BYTES
from .static_file import METHODS, StaticFile, is_served

DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Of /docs alone: Swagger UI writes styles into its elements."""
_SWAGGER = ("swagger-ui-bundle.js", "swagger-ui.css")
_ASKED_EACH_TIME = {"Cache-Control": "no-cache"}
_KEPT = {"Cache-Control": "public, max-age=31536000, immutable"}


def add_page(app: FastAPI) -> None:
    """Add the page and the documentation, and their files below /page/VERSION/.

    The version is a digest of all files: browsers keep them for good, and never mix those of two versions.
    """
    contents = {**_page_files(), **{name: (swagger_ui_path / name).read_bytes() for name in _SWAGGER}}
    version = _digest(contents)
    page = StaticFile("index.html", _filled_in(contents.pop("index.html"), contents, version), _ASKED_EACH_TIME)
    docs = StaticFile(
        "docs.html",
        _filled_in(contents.pop("docs.html"), contents, version),
        {**_ASKED_EACH_TIME, "Content-Security-Policy": DOCS_POLICY},
    )
    kept = {name: StaticFile(name, content, _KEPT) for name, content in contents.items()}

    @app.api_route("/", methods=METHODS, include_in_schema=False)
    async def show_page(request: Request) -> Response:
        return page.answer(request)

    @app.api_route("/docs", methods=METHODS, include_in_schema=False)
    async def show_docs(request: Request) -> Response:
        return docs.answer(request)

    @app.api_route("/page/{asked}/{name}", methods=METHODS, include_in_schema=False)
    async def page_file(request: Request, asked: str, name: str) -> Response:
        if asked != version or name not in kept:
            raise Problem(HTTPStatus.NOT_FOUND, "The page has no such file; load it again.")
        return kept[name].answer(request)


def _page_files() -> dict[str, bytes]:
    folder = files(__package__) / "page"
    return {file.name: file.read_bytes() for file in folder.iterdir() if is_served(file.name)}


def _digest(contents: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name in sorted(contents):
        digest.update(name.encode() + hashlib.sha256(contents[name]).digest())
    return digest.hexdigest()[:16]


def _filled_in(html: bytes, contents: Mapping[str, bytes], version: str) -> bytes:
    """Put in where the files are, the languages that are there, and how much a request may hold."""
    languages = " ".join(sorted(name.split(".")[1] for name in contents if name.startswith("texts.")))
    values = {"page/": f"page/{version}/", "LANGUAGES": languages, "MOST_BYTES": str(MOST_BYTES)}
    for word, value in values.items():
        html = html.replace(word.encode(), value.encode())
    return html
