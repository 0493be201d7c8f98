"""A table of a TOML file whose entries are taken by name and kind; what is missing, wrong or left over is an error."""

from __future__ import annotations

import difflib
import math
import unicodedata
from collections.abc import Iterable
from typing import Any, NoReturn

from dermedge_runtime.errors import InputRejected

_KINDS = {str: "text", bool: "true or false", int: "a whole number", float: "a number", list: "a list", dict: "a table"}
_REQUIRED: Any = object()


class CheckedTable:
    """One table; every method takes an entry out, `close` refuses what nobody took."""

    def __init__(self, record: Any, source: str, where: str = "") -> None:
        """:param source: the file, for messages. :param where: the table's own name within it, empty for the whole."""
        self._source, self._where = source, where
        if not isinstance(record, dict):
            self.reject(f"{where or 'it'} must be a table, found {describe(record)}")
        self._left = dict(record)
        self._known: list[str] = []

    def reject(self, reason: str) -> NoReturn:
        """Raise the error of this file.

        :raises InputRejected: always.
        """
        raise InputRejected(f"The schema {self._source}: {reason}.")

    def name_of(self, key: str) -> str:
        """Full name of an entry, such as table.image."""
        return f"{self._where}.{key}" if self._where else key

    def _take(self, key: str, default: Any) -> Any:
        self._known.append(key)
        value = self._left.pop(key, default)
        if value is _REQUIRED:
            self.reject(f"the key {self.name_of(key)} is missing")
        return value

    def _wrong(self, key: str, wanted: str, value: Any) -> NoReturn:
        self.reject(f"{self.name_of(key)} must be {wanted}, found {describe(value)}")

    def text(self, key: str, default: str = _REQUIRED) -> str:
        """Take a text without spaces around it; a required one is not empty."""
        value = self._take(key, default)
        if not isinstance(value, str) or (default is _REQUIRED and not value.strip()):
            self._wrong(key, "a text", value)
        return unicodedata.normalize("NFC", value.strip())

    def character(self, key: str) -> str:
        """Take one character; empty where the entry is absent."""
        value = self._take(key, "")
        if not isinstance(value, str) or len(value) > 1:
            self._wrong(key, "one character", value)
        return value

    def flag(self, key: str, default: bool) -> bool:
        """Take true or false."""
        value = self._take(key, default)
        if not isinstance(value, bool):
            self._wrong(key, "true or false", value)
        return value

    def number(self, key: str) -> float:
        """Take a finite number."""
        value = self._take(key, _REQUIRED)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self._wrong(key, "a number", value)
        return float(value)

    def texts(self, key: str, default: Iterable[str] = _REQUIRED) -> tuple[str, ...]:
        """Take a list of texts; a required one is not empty."""
        value = self._take(key, default)
        found = all(isinstance(entry, str) for entry in value) if isinstance(value, list | tuple) else False
        if not found or (default is _REQUIRED and not value):
            self._wrong(key, "a list of texts", value)
        return tuple(unicodedata.normalize("NFC", entry.strip()) for entry in value)

    def mapping(self, key: str, *, required: bool = False) -> dict[str, str]:
        """Take a table of texts."""
        value = self._take(key, _REQUIRED if required else {})
        if not isinstance(value, dict) or not all(isinstance(entry, str) for entry in value.values()):
            self._wrong(key, "a table of texts", value)
        form = unicodedata.normalize
        taken = {form("NFC", name.strip()): form("NFC", entry.strip()) for name, entry in value.items()}
        if len(taken) < len(value):
            self.reject(f"two names in {self.name_of(key)} differ in spaces or in the encoding of an accent alone")
        return taken

    def table(self, key: str, *, required: bool = False) -> CheckedTable:
        """Take a table within this one."""
        return CheckedTable(self._take(key, _REQUIRED if required else {}), self._source, self.name_of(key))

    def tables(self, key: str) -> list[CheckedTable]:
        """Take a list of tables that is not empty."""
        value = self._take(key, _REQUIRED)
        if not isinstance(value, list) or not value:
            self._wrong(key, f"one or more tables [[{self.name_of(key)}]]", value)
        return [CheckedTable(each, self._source, f"{self.name_of(key)}[{n}]") for n, each in enumerate(value, 1)]

    def close(self) -> None:
        """Refuse entries that nobody took: a misspelt key must not be passed over."""
        for key in self._left:
            near = difflib.get_close_matches(key, self._known, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else f"; known are {', '.join(self._known)}"
            self.reject(f"the key {self.name_of(key)} is unknown{hint}")


def describe(value: Any) -> str:
    """Name a value and its kind, for messages."""
    kind = _KINDS.get(type(value), "something else")
    return f"{kind}, {value!r}" if isinstance(value, str | int | float) else kind
