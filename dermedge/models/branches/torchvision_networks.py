"""Any classification network of torchvision up to its last feature map, with the weights of its enumerations.

The map is found, not listed: the last value before the classifier whose height and width grow with the picture, in
the graph that torchvision's feature extraction makes of the network. Weights are those of the enumeration's `DEFAULT`.
Not covered: networks that end in tokens (ViT), or that are made for one size of picture (MaxViT); they are refused.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from torch import Tensor, nn

from dermedge.require import extras
from dermedge_runtime.errors import DermedgeError, UsageError

from .branch import ImageBranch, Normalisation
from .dry_run import FeatureMap, feature_map, shapes_at_two_sizes, without_memory
from .family import BranchFamily
from .hub_files import HubFile
from .pretrained import PretrainedWeights, WeightSource

_MAP = "map"
_NEAR_THE_END = 8
"""Nodes before the classifier among which the map nearly always is: normalisation, permutation, pooling, flattening."""
_AUXILIARY = ("googlenet", "inception_v3")
"""Networks with further classifiers, which only their own training reads."""
_LICENCES = {"SWAG": "CC-BY-NC-4.0"}
_LICENCE = "BSD-3-Clause"
"""Of torchvision, which states no other one for its own weights, and leaves open what their training data ask."""
# As torchvision renames them when it loads the weights of its densenets, which are older than its names.
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a network's graph its last feature map is."""

    node: str
    map: FeatureMap


class TorchvisionBranch(ImageBranch):
    """A network of torchvision without what follows its last feature map; its tensors keep their names."""

    def __init__(self, name: str) -> None:
        """Make the untrained network.

        :param name: one of `torchvision.models.list_models`.
        :raises UsageError: it has no feature map.
        :raises DermedgeError: torchvision is not installed.
        """
        super().__init__()
        with extras("pretrained"):
            from torchvision.models.feature_extraction import create_feature_extractor
        place = _place_of_map(name)
        self.channels, self.stride = place.map.channels, place.map.stride
        self.normalisation = Normalisation(*_mean_and_deviation(name))
        self.network: nn.Module = create_feature_extractor(_whole(name), {place.node: _MAP})

    def forward(self, image: Tensor) -> Tensor:
        """See the base class."""
        features: Tensor = self.network(self.normalisation(image))[_MAP]
        return features

    def __deepcopy__(self, memo: dict[int, Any]) -> TorchvisionBranch:
        """Copy it in the mode it is in: the graph of torchvision's extraction would be copied into training mode."""
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied.__dict__ = copy.deepcopy(self.__dict__, memo)
        return copied.train(self.training)


def _whole(name: str, *, auxiliary: bool = False) -> nn.Module:
    """Make a network as torchvision has it.

    :param auxiliary: with the further classifiers of `_AUXILIARY`.
    """
    from torchvision.models import get_model

    # Their weights expect the deviations of 0.5 that `transform_input` makes of the usual ones.
    extra = {"aux_logits": auxiliary, "init_weights": False, "transform_input": True} if name in _AUXILIARY else {}
    network: nn.Module = get_model(name, weights=None, **extra)
    return network


@cache
def _place_of_map(name: str) -> _Place:
    with extras("pretrained"):
        from torchvision.models import MaxVit, VisionTransformer
        from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names
    network = without_memory(lambda: _whole(name))
    if isinstance(network, VisionTransformer):
        raise UsageError(f"{name} ends in tokens, as vision transformers do, and an image branch needs a feature map.")
    if isinstance(network, MaxVit):
        raise UsageError(f"{name} is made for one size of picture, and an image branch must read any.")
    classifier = list(network.named_children())[-1][0]
    nodes = [each for each in get_graph_node_names(network)[1] if each.split(".")[0] != classifier]
    # Near the end first: the extraction looks through all nodes for each that it is asked for.
    for start, end in ((-_NEAR_THE_END, None), (None, -_NEAR_THE_END)):
        found = None
        shapes = shapes_at_two_sizes(create_feature_extractor(network, nodes[start:end])) if nodes[start:end] else {}
        for node, pair in shapes.items():
            if (grows := feature_map(*pair)) and not grows.channels_last:
                found = _Place(node, grows)
        if found is not None:
            return found
    raise UsageError(f"{name} has no feature map that grows with the picture, which an image branch needs.")


def _weights(name: str) -> Any:
    """Give the member of the enumeration that torchvision itself recommends."""
    from torchvision.models import get_model_weights

    return get_model_weights(name).DEFAULT


def _mean_and_deviation(name: str) -> tuple[list[float], list[float]]:
    prepared = _weights(name).transforms()
    return prepared.mean, prepared.std


@dataclass(frozen=True, slots=True)
class TorchvisionWeights(WeightSource):
    """The weights that torchvision recommends for a network, in torch hub's cache."""

    name: str

    @property
    def source(self) -> str:
        """Name in the enumeration, such as "torchvision ResNet50_Weights.IMAGENET1K_V2"."""
        return f"torchvision {_weights(self.name)}"

    @property
    def licence(self) -> str:  # type: ignore[override]
        """See the base class."""
        stated = _weights(self.name).meta.get("license", "")
        return next((known for part, known in _LICENCES.items() if part in stated), stated or _LICENCE)

    def is_here(self) -> bool:
        """See the base class."""
        return self._file().path.is_file()

    def load(self, *, download: bool) -> PretrainedWeights:
        """See the base class."""
        file = self._file()
        if download:
            file.fetch()
        if not self.is_here():
            raise DermedgeError(
                f"The pretrained weights of {self.name} are not here: there is no {file.path}."
                " Pass --download, or bring the file and pass --pretrained-file."
            )
        read = file.read()
        tensors = TorchvisionFamily().fit(self.name, read.tensors, str(file.path))
        return PretrainedWeights(tensors, self.source, read.sha256, self.licence)

    def _file(self) -> HubFile:
        return HubFile(_weights(self.name).url)


class TorchvisionFamily(BranchFamily):
    """The classification networks of torchvision by their own names."""

    library = "torchvision"

    def names(self) -> tuple[str, ...]:
        """See the base class."""
        with extras("pretrained"):
            from torchvision import models
        return tuple(models.list_models(module=models))

    def make(self, name: str, dropout: float) -> ImageBranch:
        """See the base class; what these networks drop is dropped after the map."""
        return TorchvisionBranch(name)

    def left_out(self, name: str) -> frozenset[str]:
        """See the base class."""
        whole = without_memory(lambda: _whole(name, auxiliary=True))
        kept = without_memory(lambda: TorchvisionBranch(name)).network.state_dict()
        return frozenset(whole.state_dict()) - frozenset(kept)

    def fit(self, name: str, found: Mapping[str, Tensor], what: str) -> dict[str, Tensor]:
        """See the base class."""
        renamed = {_OLD_DENSENET.sub(r"\1\2", each): tensor for each, tensor in found.items()}
        return super().fit(name, renamed, what)

    def weight_source(self, name: str) -> WeightSource:
        """See the base class."""
        return TorchvisionWeights(name)
