"""Folders and files at an address, such as s3://bucket/folder, walked and fetched as those on a disk.

Everything that fsspec has a package for: s3 (s3fs), gs (gcsfs), abfs (adlfs) and others.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from dermedge.batch.readable import ENDINGS
from dermedge.batch.walk import Walk
from dermedge_runtime.commands.folder_content import FolderContent, content_of
from dermedge_runtime.commands.shown_names import shown
from dermedge_runtime.errors import DermedgeError, UsageError

from .ray_errors import one_line

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
"""Two letters and more: one is a drive of Windows."""


def is_address(text: str) -> bool:
    """Tell an address from a path."""
    return _SCHEME.match(text) is not None


def without_file_scheme(text: str) -> str:
    """Give the path that a file:// address is; everything else as it is."""
    return url2pathname(unquote(urlsplit(text).path)) if text.lower().startswith("file://") else text


def file_system(address: str) -> tuple[Any, str]:
    """Open what an address lies in.

    :return: fsspec's file system, and the path in it.
    :raises UsageError: nobody knows this kind of address.
    :raises DermedgeError: the package for it is not installed, or it cannot be opened.
    """
    scheme = address.partition("://")[0]
    try:
        fs = _opened(scheme, os.getpid())
        return fs, str(fs._strip_protocol(address))
    except ImportError as error:
        raise DermedgeError(f"For {scheme}:// addresses a package is missing: {one_line(error)}.") from error
    except ValueError as error:
        raise UsageError(f"{shown(address)} is no address that can be opened: {one_line(error)}.") from error
    except Exception as error:  # each package has errors of its own
        raise unreachable(address, error) from error


@lru_cache(maxsize=8)
def _opened(scheme: str, process: int) -> Any:
    """Open a file system once in a process: its connections do not survive a fork."""
    import fsspec

    return fsspec.filesystem(scheme, use_listings_cache=False, skip_instance_cache=True)


def unreachable(address: str, error: BaseException) -> DermedgeError:
    """Make the error of an address that gives no answer."""
    return DermedgeError(f"{shown(address)} cannot be reached: {one_line(error)}.")


def fetch(address: str, into: Path) -> None:
    """Copy the file at an address.

    :raises FileNotFoundError: there is none.
    :raises DermedgeError: it cannot be had for another reason, which may concern every other one too.
    """
    fs, path = file_system(address)
    try:
        fs.get_file(path, str(into))
    except FileNotFoundError:
        raise
    except Exception as error:
        raise unreachable(address, error) from error


@dataclass(frozen=True, slots=True)
class _Listed:
    """An entry of a folder at an address."""

    name: str
    kind: str

    def is_dir(self) -> bool:
        return self.kind == "directory"

    def is_file(self) -> bool:
        return self.kind == "file"


class AddressWalk(Walk):
    """A walk over files and folders, on disks and at addresses."""

    def is_folder(self, path: str) -> bool:
        """Tell whether an argument is a folder that is there.

        :raises DermedgeError: its address cannot be reached.
        """
        if not is_address(path):
            return super().is_folder(path)
        fs, inside = file_system(path)
        try:
            return bool(fs.isdir(inside))
        except Exception as error:
            raise unreachable(path, error) from error

    def content(self, folder: str) -> FolderContent:
        """Look into one folder.

        :raises OSError: it cannot be read.
        :raises DermedgeError: its address cannot be reached.
        """
        if not is_address(folder):
            return super().content(folder)
        return content_of(_listed(folder), ENDINGS)


def _listed(folder: str) -> Iterator[_Listed]:
    fs, inside = file_system(folder)
    try:
        entries = fs.ls(inside, detail=True)
    except Exception as error:
        raise unreachable(folder, error) from error
    for entry in entries:
        whole = str(entry["name"]).rstrip("/")
        if whole != inside.rstrip("/"):  # a folder's own mark in an object store
            yield _Listed(whole.rpartition("/")[2], str(entry["type"]))
