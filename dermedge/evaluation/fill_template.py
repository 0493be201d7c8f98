"""What pages and cards say lies in `templates/`, as Jinja files; here they are filled in."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape


def fill(template: str, /, **values: Any) -> str:
    """Fill in a template.

    In HTML every value is escaped. A value that the template names and that is not given is an error.

    :param template: name of a file in `templates/`.
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader(__package__),
        autoescape=select_autoescape(enabled_extensions=("html.jinja",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
