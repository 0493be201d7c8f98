"""Any network of timm that ends in a feature map, as `timm:NAME`, with timm's pretrained weights.

`NAME` may have the tag of certain weights, as in `timm:convnext_atto.d2_in1k`. The map is what timm's
`forward_features` gives; layers that only the classifier reads are removed, so that nothing is trained or saved that is
never read. Not covered: networks that end in tokens, or that are made for one size of picture; they are refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dermedge.require import extras
from dermedge_runtime.errors import DermedgeError, UsageError

from .branch import ImageBranch, Normalisation
from .dry_run import FeatureMap, feature_map, remove_unread, shapes_at_two_sizes, unread_modules, without_memory
from .family import BranchFamily
from .hub_files import HubFile, cannot_download
from .pretrained import PretrainedWeights, WeightSource
from .weight_files import fitted, read_weights

PREFIX = "timm:"
_log = logging.getLogger(__name__)
_FILES = ("model.safetensors", "pytorch_model.bin")
"""Of a repository on the Hugging Face hub, the first preferred, as timm does."""


@dataclass(frozen=True, slots=True)
class _Place:
    """What a network's last feature map is, and what of the network it does not need."""

    map: FeatureMap
    unread: tuple[str, ...]


class TimmBranch(ImageBranch):
    """A network of timm without what follows its last feature map; its tensors keep their names."""

    def __init__(self, name: str) -> None:
        """Make the untrained network.

        :param name: as timm has it, with or without a tag.
        :raises UsageError: it has no feature map.
        :raises DermedgeError: timm is not installed.
        """
        super().__init__()
        place, network = _place_of_map(name), _whole(name)
        self.channels, self.stride = place.map.channels, place.map.stride
        self.channels_last = place.map.channels_last
        self.normalisation = Normalisation(network.pretrained_cfg["mean"], network.pretrained_cfg["std"])
        remove_unread(network, place.unread)
        self.network: nn.Module = network

    def forward(self, image: Tensor) -> Tensor:
        """See the base class."""
        features: Tensor = self.network.forward_features(self.normalisation(image))  # type: ignore[operator]
        return features.permute(0, 3, 1, 2) if self.channels_last else features


def _whole(name: str, **settings: Any) -> Any:
    with extras("pretrained"):
        import timm
    return timm.create_model(name, **{"pretrained": False, **settings})


@cache
def _place_of_map(name: str) -> _Place:
    network = without_memory(lambda: _whole(name))
    run, settings = _features(network), network.pretrained_cfg
    if settings.get("fixed_input_size"):
        _, height, width = settings["input_size"]
        if run(torch.empty(1, 3, height, width, device="meta"))["map"].dim() == 3:
            raise UsageError(_in_tokens(name))
        raise UsageError(
            f"{PREFIX}{name} is made for pictures of {height} x {width} pixels alone, and an image branch must read"
            " any size."
        )
    try:
        pair = shapes_at_two_sizes(run).get("map")
    except (RuntimeError, AssertionError, ValueError, TypeError) as error:
        raise UsageError(f"{PREFIX}{name} does not read pictures of every size, and an image branch must.") from error
    if pair and len(pair[0]) == 3:
        raise UsageError(_in_tokens(name))
    found = feature_map(*pair) if pair else None
    if found is None:
        raise UsageError(f"{PREFIX}{name} has no feature map that grows with the picture, which an image branch needs.")
    return _Place(found, unread_modules(network, lambda image: run(image)["map"]))


def _in_tokens(name: str) -> str:
    return f"{PREFIX}{name} ends in tokens, as vision transformers do, and an image branch needs a feature map."


def _features(network: Any) -> Callable[[Tensor], dict[str, Any]]:
    return lambda image: {"map": network.forward_features(image)}


@dataclass(frozen=True, slots=True)
class TimmWeights(WeightSource):
    """The weights that timm names for a network, in the cache of the Hugging Face hub or of torch hub."""

    name: str
    settings: Any
    """timm's `PretrainedCfg` of them."""

    @property
    def source(self) -> str:
        """Name of the weights, and where they are published."""
        tag = f".{self.settings.tag}" if self.settings.tag else ""
        return f"timm {self.settings.architecture}{tag} ({self.settings.hf_hub_id or self.settings.url})"

    @property
    def licence(self) -> str:  # type: ignore[override]
        """See the base class."""
        return self.settings.license or "unknown"

    def is_here(self) -> bool:
        """See the base class."""
        return self._found() is not None

    def load(self, *, download: bool) -> PretrainedWeights:
        """See the base class."""
        if download and not self.is_here():
            self._fetch()
        file = self._found()
        if file is None:
            raise DermedgeError(
                f"The pretrained weights of {PREFIX}{self.name} are not here ({self.source})."
                " Pass --download, or bring the file and pass --pretrained-file."
            )
        read = read_weights(file) if self.settings.hf_hub_id else HubFile(self.settings.url).read()
        _check_blob(file, read.sha256)
        # timm itself puts old names and layouts right, and takes every tensor or none.
        try:
            whole = _whole(self.name, pretrained=True, pretrained_cfg_overlay={"state_dict": dict(read.tensors)})
        except (RuntimeError, KeyError) as error:
            text = " ".join(str(error).split())[:200]
            raise DermedgeError(f"The weights {file} are not of {PREFIX}{self.name}: {text}") from error
        wanted = without_memory(lambda: TimmBranch(self.name)).state_dict()
        what = f"The weights {file} are not of {PREFIX}{self.name}"
        tensors = fitted(whole.state_dict(), wanted, frozenset(whole.state_dict()), what)
        return PretrainedWeights(tensors, self.source, read.sha256, self.licence)

    def _found(self) -> Path | None:
        if not self.settings.hf_hub_id:
            path = HubFile(self.settings.url).path
            return path if path.is_file() else None
        from huggingface_hub import try_to_load_from_cache

        for file in self._files():
            found = try_to_load_from_cache(self.settings.hf_hub_id, file)  # looks at this machine alone
            if isinstance(found, str):
                return Path(found)
        return None

    def _fetch(self) -> None:
        if not self.settings.hf_hub_id:
            HubFile(self.settings.url).fetch()
            return
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
        from huggingface_hub.errors import EntryNotFoundError

        address, files = self.settings.hf_hub_id, self._files()
        for file in files:
            try:
                get_hf_file_metadata(hf_hub_url(address, file))  # without a connection, a download tries for a minute
                _log.info("downloading %s of %s", file, address)
                hf_hub_download(address, file)
                return
            except EntryNotFoundError as error:
                if file == files[-1]:
                    raise DermedgeError(cannot_download(address, error)) from error
            except Exception as error:  # those of the library below the hub's, which is another one every few years
                raise DermedgeError(cannot_download(address, error)) from error

    def _files(self) -> tuple[str, ...]:
        named = self.settings.hf_hub_filename
        return (named,) if named else _FILES


def _check_blob(file: Path, sha256: str) -> None:
    """Compare a file with the hash that the hub gave it, where its cache keeps files by their hashes."""
    blob = file.resolve().name
    if len(blob) == len(sha256) and "." not in blob and blob != sha256:
        raise DermedgeError(
            f"The weights {file} have the SHA-256 {sha256[:12]}, and {blob[:12]} was expected."
            " Delete the file and pass --download."
        )


class TimmFamily(BranchFamily):
    """The networks of timm, each with `timm:` before its name."""

    library = "timm"
    prefix = PREFIX

    def names(self) -> tuple[str, ...]:
        """See the base class."""
        with extras("pretrained"):
            import timm
        return tuple(f"{PREFIX}{name}" for name in timm.list_models())

    def has(self, name: str) -> bool:
        """See the base class; a name may have the tag of its weights."""
        own = name.removeprefix(PREFIX)
        with extras("pretrained"):
            import timm
        return own in timm.list_models() or ("." in own and own in timm.list_pretrained())

    def make(self, name: str, dropout: float) -> ImageBranch:
        """See the base class; what these networks drop is dropped after the map."""
        return TimmBranch(name.removeprefix(PREFIX))

    def left_out(self, name: str) -> frozenset[str]:
        """See the base class."""
        own = name.removeprefix(PREFIX)
        whole = without_memory(lambda: _whole(own)).state_dict()
        return frozenset(whole) - frozenset(without_memory(lambda: TimmBranch(own)).network.state_dict())

    def weight_source(self, name: str) -> WeightSource | None:
        """See the base class."""
        own = name.removeprefix(PREFIX)
        with extras("pretrained"):
            from timm.models import get_pretrained_cfg
        settings = get_pretrained_cfg(own, allow_unregistered=True)
        if settings is None or not (settings.hf_hub_id or settings.url):
            return None
        return TimmWeights(own, settings)
