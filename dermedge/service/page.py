"""The page that the service shows to people, at /, and the documentation of its interface, at /docs.

The files lie in the folder `page` beside this module. A language is one file more there: texts.de.js beside
texts.en.js. Not covered: what the page does, which is JavaScript, and asks the same interface as any program.
"""

from __future__ import annotations

from http import HTTPStatus
from importlib.resources import files

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from swagger_ui_bundle import swagger_ui_path

from .problems import Problem
from .request_form import MOST_BYTES
from .static_file import METHODS, StaticFile, is_served

_INDEX, _DOCS = "index.html", "docs.html"
_SWAGGER = ("swagger-ui-bundle.js", "swagger-ui.css")
DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Of /docs alone: Swagger UI writes styles into its elements."""


def add_page(app: FastAPI) -> None:
    """Add the page, its files below /page/, the documentation, and Swagger's files beside the page's."""
    found = _page_files()
    served = {name: StaticFile(name, content) for name, content in {**found, **_swagger_files()}.items()}
    index = served.pop(_INDEX)
    del served[_DOCS]
    docs = StaticFile(_DOCS, found[_DOCS], {"Content-Security-Policy": DOCS_POLICY})

    @app.api_route("/", methods=METHODS, include_in_schema=False)
    async def page(request: Request) -> Response:
        return index.answer(request)

    @app.api_route("/docs", methods=METHODS, include_in_schema=False)
    async def documentation(request: Request) -> Response:
        return docs.answer(request)

    @app.api_route("/page/{name}", methods=METHODS, include_in_schema=False)
    async def page_file(request: Request, name: str) -> Response:
        if name not in served:
            raise Problem(HTTPStatus.NOT_FOUND, "The page has no such file.")
        return served[name].answer(request)


def _page_files() -> dict[str, bytes]:
    folder = files(__package__) / "page"
    contents = {file.name: file.read_bytes() for file in folder.iterdir() if is_served(file.name)}
    languages = " ".join(sorted(name.split(".")[1] for name in contents if name.startswith("texts.")))
    for name in (_INDEX, _DOCS):
        contents[name] = contents[name].replace(b'data-languages="en"', f'data-languages="{languages}"'.encode())
    most = f'data-most-bytes="{MOST_BYTES}"'.encode()
    contents[_INDEX] = contents[_INDEX].replace(b'data-most-bytes="26214400"', most)
    return contents


def _swagger_files() -> dict[str, bytes]:
    return {name: (swagger_ui_path / name).read_bytes() for name in _SWAGGER}
