"""What `service_fuzz.py` tells schemathesis to leave out: requests that are wrong by the document alone.

A form has no way to send an empty list: a field `age: []`, meant to be wrong, is simply absent from the request, which
is right then, and answered. And an empty input, `age: ""`, is what a browser sends for what nobody filled in: it counts
as left out, as the document says in words. So such bodies are not made.
"""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.hook
def filter_body(context: Any, body: Any) -> bool:
    """Keep every body but those with an empty list or an empty text."""
    return not (isinstance(body, dict) and any(value in ([], "") for value in body.values()))
