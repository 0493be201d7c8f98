"""Every family of image branches: the same map as the library's own network, nothing that is never read, refusals."""

import copy
import socket

import pytest
import torch
from torch import nn

from dermedge.data.ham10000 import HAM10000
from dermedge.models.branches import branch_list, families
from dermedge.models.branches.branch import ImageBranch
from dermedge.models.branches.dry_run import cost_of, without_memory
from dermedge.models.branches.families import FAMILIES, family_of, new_branch
from dermedge.models.branches.family import BranchFamily
from dermedge.models.branches.picture_size import check_picture_size
from dermedge.models.classifier import FusedClassifier
from dermedge_runtime.errors import DermedgeError, UsageError

SMALL = (
    *("dermiresnet", "efficientnet_lite0"),
    *("resnet18", "squeezenet1_1", "mobilenet_v3_small", "regnet_y_400mf", "shufflenet_v2_x0_5", "swin_t"),
    *("timm:convnext_atto", "timm:mobilenetv3_small_050", "timm:mambaout_femto", "timm:hgnetv2_b0"),
)
"""A network or two of every kind of ending: maps whose channels come last, heads with layers of their own."""
PICTURE = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", SMALL)
def test_a_branch_gives_a_map_of_its_channels_and_stride_and_trains_all_that_it_has(name: str) -> None:
    branch = new_branch(name).train()
    features = branch(PICTURE)
    assert features.shape[:2] == (2, branch.channels)
    side = 64 // branch.stride
    assert features.shape[2] == features.shape[3] and side - 1 <= features.shape[2] <= side
    features.square().sum().backward()
    assert [each for each, weight in branch.named_parameters() if weight.grad is None] == []


@pytest.mark.parametrize("name", ["resnet18", "timm:convnext_atto", "efficientnet_lite0"])
def test_a_branch_is_drawn_from_the_seed_alone(name: str) -> None:
    drawn = []
    for _ in range(2):
        torch.manual_seed(4)
        drawn.append([*new_branch(name).state_dict().values(), torch.rand(1)])
    assert all(torch.equal(one, other) for one, other in zip(*drawn, strict=True))


def test_a_copy_of_a_branch_answers_alike() -> None:
    branch = new_branch("resnet18").eval()
    assert torch.equal(copy.deepcopy(branch)(PICTURE), branch(PICTURE))


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "mobilenet_v3_small", "googlenet"])
def test_a_branch_of_torchvision_is_the_librarys_network_up_to_its_pooling(name: str) -> None:
    from torchvision.models import get_model

    extra = {"init_weights": False, "transform_input": True} if name == "googlenet" else {}
    whole = get_model(name, weights=None, **extra).eval()
    branch = new_branch(name).eval()
    found = {key: whole.state_dict()[key.removeprefix("network.")] for key in branch.state_dict()}
    branch.load_state_dict(found)
    classifier = getattr(whole, list(dict(whole.named_children()))[-1])
    with torch.no_grad():
        expected = whole(branch.normalisation(PICTURE))
        scores = classifier.eval()(branch(PICTURE).mean((2, 3)))
    assert torch.allclose(scores, expected, atol=1e-5)
    assert set(whole.state_dict()) - {key.removeprefix("network.") for key in found} <= family_of(name).left_out(name)


@pytest.mark.parametrize("name", ["convnext_atto", "mambaout_femto", "mobilenetv3_small_050"])
def test_a_branch_of_timm_is_the_librarys_network_up_to_its_head(name: str) -> None:
    import timm

    whole = timm.create_model(name).eval()
    branch = new_branch(f"timm:{name}").eval()
    branch.network.load_state_dict(whole.state_dict(), strict=False)
    with torch.no_grad():
        theirs = whole.forward_features(branch.normalisation(PICTURE))
        ours = branch(PICTURE)
    assert torch.equal(ours.permute(0, 2, 3, 1) if branch.channels_last else ours, theirs)
    lacking = set(whole.state_dict()) - set(branch.network.state_dict())
    assert lacking == family_of(f"timm:{name}").left_out(f"timm:{name}") != set()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("vit_b_16", "vit_b_16 ends in tokens, as vision transformers do"),
        ("maxvit_t", "maxvit_t is made for one size of picture"),
        ("timm:vit_tiny_patch16_224", "ends in tokens, as vision transformers do"),
        ("timm:swin_tiny_patch4_window7_224", "made for pictures of 224 x 224 pixels alone"),
        ("timm:xcit_nano_12_p16_224", "ends in tokens, as vision transformers do"),
    ],
)
def test_a_network_without_a_feature_map_is_refused_with_the_reason(name: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        new_branch(name)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("resnet51", "did you mean resnet50\\?"),
        ("dermiresnt", "did you mean dermiresnet\\?"),
        ("timm:convnxt_atto", "did you mean timm:convnext_atto\\?"),
        ("timm:convnext_atto.of_nobody", "did you mean timm:convnext_atto"),
        ("zzz", "'zzz'\\."),
    ],
)
def test_an_unknown_branch_names_the_nearest_and_how_many_there_are(name: str, near: str) -> None:
    listed = sum(len(family.names()) for family in FAMILIES if not family.prefix)
    with pytest.raises(UsageError, match=f"no image branch.*{near}.* lists {listed}, timm has [0-9]+ more"):
        family_of(name)


def test_a_tag_of_timm_is_part_of_the_name() -> None:
    source = family_of("timm:convnext_atto.d2_in1k").weight_source("timm:convnext_atto.d2_in1k")
    assert source is not None and source.licence == "apache-2.0" and "convnext_atto.d2_in1k" in source.source


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_without_a_library_its_networks_are_missed_and_the_others_work(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(self: object) -> tuple[str, ...]:
        raise DermedgeError(f"This command needs {library}, which is not installed.")

    for family in FAMILIES:
        if family.library == library and family.names()[0] not in ("efficientnet_lite0",):
            monkeypatch.setattr(type(family), "names", absent)
            monkeypatch.setattr(type(family), "has", lambda self, name: bool(self.names()))
    assert family_of("dermiresnet").library == "dermedge"
    with pytest.raises(DermedgeError, match=f"{library}, which is not installed"):
        family_of("resnet51" if library == "torchvision" else "timm:convnext_atto")


def test_no_family_opens_a_connection_for_its_names_networks_and_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in ("efficientnet_lite0", "resnet18", "timm:convnext_atto"):
        source = family_of(name).weight_source(name)
        assert source is not None and source.licence and source.source
        source.is_here()
        new_branch(name)


def test_the_cost_is_that_of_the_layers() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Flatten(), nn.Linear(8 * 16, 10)).to("meta")
    cost = cost_of(network, 8)
    assert cost.parameters == 8 * 3 * 9 + 8 + 8 * 16 * 10 + 10
    assert cost.operations == 8 * 3 * 9 * 16 + 8 * 16 * 10


@pytest.mark.slow
@pytest.mark.exhaustive
def test_every_network_of_torchvision_is_a_branch_or_refused() -> None:
    refused = []
    for name in next(each for each in FAMILIES if each.library == "torchvision").names():
        try:
            branch = without_memory(lambda name=name: new_branch(name))
        except UsageError:
            refused.append(name)
            continue
        features = branch(torch.empty(1, 3, 224, 224, device="meta"))
        assert features.shape[1] == branch.channels, name
        assert 224 // branch.stride - 2 <= features.shape[2] <= 224 // branch.stride, name
    assert refused == ["maxvit_t", *(name for name in refused if name.startswith("vit_"))]


def test_the_table_has_every_family_once() -> None:
    names = [name for family in families.FAMILIES for name in family.names()]
    assert len(names) == len(set(names))


class _Coarse(ImageBranch):
    channels, stride = 4, 8

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 8, stride=8)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.layer(image)


class _CoarseFamily(BranchFamily):
    library = "ours"

    def names(self) -> tuple[str, ...]:
        return ("coarse",)

    def make(self, name: str, dropout: float) -> ImageBranch:
        return _Coarse()

    def weight_source(self, name: str) -> None:
        """Nobody has pretrained it."""


def test_a_family_is_all_that_a_new_branch_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    table = (*FAMILIES, _CoarseFamily())
    for module in (families, branch_list):
        monkeypatch.setattr(module, "FAMILIES", table)
    check_picture_size("coarse", 64)
    with pytest.raises(UsageError, match="take 64 or 72"):
        check_picture_size("coarse", 65)
    (row,) = branch_list.rows(["coarse"], 64)
    assert not isinstance(row, str)
    assert (row.library, row.parameters, row.operations) == ("ours", 4 * 3 * 64 + 4, 4 * 3 * 64 * 64)
    schema = HAM10000.clinical("grouped")
    model = FusedClassifier("image_only", schema, 7, image_branch="coarse").eval()
    assert model(PICTURE, None, None).shape == (2, 7)
    state = {f"{key}": tensor + 1 for key, tensor in _Coarse().state_dict().items()}
    assert family_of("coarse").fit("coarse", state, "s.pth").keys() == state.keys()
