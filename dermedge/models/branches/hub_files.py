"""Files of weights in the caches of torch hub, as torchvision and timm fill them: found there, or fetched.

The names of these files end in the first digits of their SHA-256, which are always compared. Nothing here opens a
connection but `HubFile.fetch`.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

import torch

from dermedge_runtime.errors import DermedgeError

from .weight_files import ReadWeights, read_weights

_HASH = re.compile(r"-([0-9a-f]{8,64})\.[a-z]+$")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of weights that is published under an address."""

    url: str

    @property
    def path(self) -> Path:
        """Where torch hub keeps it; `TORCH_HOME` moves that."""
        return Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(self.url).path).name

    def read(self) -> ReadWeights:
        """Read the file that is here.

        :raises DermedgeError: damaged, or its hash is not the one that its name promises.
        """
        read, expected = read_weights(self.path), self._hash()
        if not read.sha256.startswith(expected):
            raise DermedgeError(
                f"The weights {self.path} have the SHA-256 {read.sha256[: len(expected)]}, and {expected} was expected."
                " Delete the file and pass --download."
            )
        return read

    def fetch(self) -> None:
        """Download the file, unless it is here.

        :raises DermedgeError: no connection, or another content than its name promises.
        """
        if self.path.is_file():
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        _log.info("downloading %s", self.url)
        try:
            torch.hub.download_url_to_file(self.url, str(self.path), self._hash() or None, progress=False)
        except OSError as error:  # urllib's errors are such
            raise DermedgeError(cannot_download(self.url, error)) from error
        except RuntimeError as error:
            raise DermedgeError(
                f"What {self.url} gave is not what its name promises: its SHA-256 is another."
            ) from error

    def _hash(self) -> str:
        found = _HASH.search(self.path.name)
        return found.group(1) if found else ""


def cannot_download(address: str, error: BaseException) -> str:
    """Say that a download has failed, and what would do without one."""
    reason = " ".join(str(getattr(error, "reason", "") or error).split()).rstrip(".")
    return (
        f"{address} cannot be downloaded: {reason}. Connect this machine, or bring the file and pass --pretrained-file."
    )
