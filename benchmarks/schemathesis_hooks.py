"""What `service_fuzz.py` tells schemathesis to leave out: exactly one kind of request, which cannot be sent.

A form has no way to send an empty list: a field `age: []`, meant to be wrong, is simply absent from the request, which
is right then, and answered. So such bodies are not made.
"""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.hook
def filter_body(context: Any, body: Any) -> bool:
    """Keep every body but those with an empty list."""
    return not (isinstance(body, dict) and any(value == [] for value in body.values()))
