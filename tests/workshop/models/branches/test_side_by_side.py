"""Branches side by side: their maps, their names, their weights, and what cannot be joined."""

import hashlib
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from dermedge.models.branches.branch import ImageBranch
from dermedge.models.branches.families import FAMILIES, family_of, new_branch
from dermedge.models.branches.family import BranchFamily
from dermedge.models.branches.picture_size import check_picture_size
from dermedge.models.branches.pretrained import PretrainedWeights, WeightSource
from dermedge.models.branches.side_by_side import SideBySide, SideBySideFamily, SideBySideWeights
from dermedge.models.fake_quantised import fake_quantised
from dermedge_runtime.errors import DermedgeError, UsageError

PICTURE = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


class Cells(ImageBranch):
    """One convolution without borders, or with a border that it does not pad."""

    def __init__(self, channels: int, stride: int, lost: int = 0) -> None:
        super().__init__()
        self.channels, self.stride = channels, stride
        self.layer = nn.Conv2d(3, channels, stride + lost, stride=stride)

    def forward(self, image: Tensor) -> Tensor:
        return self.layer(image)


@dataclass(frozen=True)
class Given(WeightSource):
    """Weights of a network of one tensor."""

    name: str
    licence: str = "MIT"
    here: bool = True
    elsewhere: str = "to copy"

    @property
    def source(self) -> str:
        return f"the shelf of {self.name}"

    def is_here(self) -> bool:
        return self.here

    def load(self, *, download: bool) -> PretrainedWeights:
        if not self.here:
            raise DermedgeError(f"{self.name} is not here")
        return PretrainedWeights({"layer": torch.tensor(1.0)}, self.source, f"hash of {self.name}", self.licence)


class CellsFamily(BranchFamily):
    library = "tests"
    made: ClassVar = {"four": (5, 4), "eight": (6, 8), "six": (3, 6), "bare": (4, 8, 3)}

    def names(self) -> tuple[str, ...]:
        return tuple(self.made)

    def make(self, name: str, dropout: float) -> ImageBranch:
        return Cells(*self.made[name])

    def left_out(self, name: str) -> frozenset[str]:
        return frozenset({"classifier"})

    def weight_source(self, name: str) -> WeightSource | None:
        return None if name == "six" else Given(name)


FAMILY = SideBySideFamily(lambda name: CellsFamily())


def test_the_channels_lie_behind_each_other_and_a_finer_map_is_averaged() -> None:
    joined = FAMILY.make("four+eight", 0.0)
    assert isinstance(joined, SideBySide) and (joined.channels, joined.stride) == (11, 8)
    four, eight = joined.parts
    found = joined(PICTURE)
    assert found.shape == (2, 11, 8, 8)
    torch.testing.assert_close(found[:, 5:], eight(PICTURE))
    torch.testing.assert_close(found[:, :5].mean((2, 3)), four(PICTURE).mean((2, 3)))
    torch.testing.assert_close(found[:, :5, 0, 1], four(PICTURE)[:, :, :2, 2:4].mean((2, 3)))
    found.square().sum().backward()
    assert all(weight.grad is not None for weight in joined.parameters())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("six+eight", "the cells of six are 6 pixels wide, which does not divide the 8 of the other branch"),
        ("four+bare", r"of one picture their maps have 64 \(four\) and 63 \(bare\) cells a side"),
    ],
)
def test_maps_that_do_not_come_to_one_size_are_refused(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=f"cannot be joined: .*{said}"):
        FAMILY.make(name, 0.0)


def test_the_table_of_branches_knows_them_by_their_names() -> None:
    assert isinstance(family_of("resnet50+resnet101"), SideBySideFamily)
    both = new_branch("dermiresnet+dermiresnet")
    assert both.channels == 2 * new_branch("dermiresnet").channels
    check_picture_size("dermiresnet+dermiresnet", 64)
    with pytest.raises(UsageError, match=r"--image-size 65 does not suit dermiresnet\+dermiresnet, .* take 64 or 96"):
        check_picture_size("dermiresnet+dermiresnet", 65)
    for name, said in (("dermiresnet+resnet51", "'resnet51'; did you mean resnet50"), ("dermiresnet+", "branch ''")):
        with pytest.raises(UsageError, match=said):
            new_branch(name)


def test_they_are_in_no_list() -> None:
    (own,) = (family for family in FAMILIES if isinstance(family, SideBySideFamily))
    assert own.names() == ()


def test_the_weights_of_every_branch_come_from_its_own_source() -> None:
    source = FAMILY.weight_source("four+eight")
    assert source is not None and source.is_here()
    found = source.load(download=False)
    assert set(found.tensors) == {"parts.0.layer", "parts.1.layer"}
    assert found.source == "the shelf of four + the shelf of eight"
    assert found.sha256 == hashlib.sha256(b"hash of four hash of eight").hexdigest()
    parts = found.to_record()["parts"]
    assert [(each["sha256"], each["licence"]) for each in parts] == [("hash of four", "MIT"), ("hash of eight", "MIT")]
    assert FAMILY.weight_source("four+six") is None
    assert FAMILY.left_out("four+eight") == {"parts.0.classifier", "parts.1.classifier"}


def test_licences_add_up_and_a_missing_file_says_how_to_get_it() -> None:
    source = SideBySideWeights((Given("four"), Given("eight", licence="Apache-2.0", here=False)))
    assert (source.licence, source.is_here(), source.elsewhere) == ("MIT AND Apache-2.0", False, "to copy")
    with pytest.raises(DermedgeError, match="eight is not here"):
        source.load(download=False)


def test_one_branch_alone_records_no_parts() -> None:
    assert "parts" not in Given("four").load(download=False).to_record()


def test_the_rounding_of_a_joint_is_not_emulated() -> None:
    with pytest.raises(UsageError, match="this one has cat"):
        fake_quantised(new_branch("dermiresnet+dermiresnet"))
