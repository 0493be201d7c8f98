"""Heat outside the lesion: captum's Grad-CAM and turned masks; what it teaches, what is refused."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from PIL import Image
from torch.nn import functional

import dermedge
from dermedge.config import Augmentation, TrainConfig
from dermedge.data.batches.lesion_data import Batch
from dermedge.data.files.lesion_masks import MASK_SUFFIX
from dermedge.data.ham10000 import HAM10000, read_samples
from dermedge.models.classifier import FusedClassifier
from dermedge.training.look_inside import LookInside, outside_share
from dermedge.training.train import Trainer, train
from dermedge_runtime.errors import InputRejected, UsageError

FOLDER = HAM10000.images.masks
STILL = Augmentation(flips=False, rotation_degrees=0, scaling=0, noise=0)


@pytest.fixture(scope="module")
def data(synthetic_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generated data with masks: a lesion in the upper left quarter of every picture."""
    folder = tmp_path_factory.mktemp("masked") / "data"
    shutil.copytree(synthetic_data, folder)
    (folder / FOLDER).mkdir()
    mask = np.zeros((60, 80), np.uint8)
    mask[:30, :40] = 255
    for sample in read_samples(folder):
        Image.fromarray(mask).save(folder / FOLDER / f"{sample.path.stem}{MASK_SUFFIX}")
    return folder


def network_and_batch(pooling: str = "average", attention: str = "none") -> tuple[FusedClassifier, Batch]:
    torch.manual_seed(0)
    schema = HAM10000.clinical("grouped")
    network = FusedClassifier("concat", schema, 7, 0.0, attention=attention, pooling=pooling)
    mask = torch.zeros(4, 1, 64, 64)
    mask[:, :, 16:32, 8:40] = 1
    mask[2:] = mask[2:].flip(2)
    numeric, categorical = torch.full((4, 1), 50.0), torch.zeros(4, 2, dtype=torch.int32)
    return network, Batch(torch.rand(4, 3, 128, 128), numeric, categorical, torch.tensor([0, 4, 5, 6]), mask=mask)


def outside_by_captum(network: FusedClassifier, batch: Batch) -> np.ndarray:
    last = network.trunk if network.attention is None else network.attention
    inputs = (batch.image, batch.numeric, batch.categorical)
    heat = LayerGradCam(network, last).attribute(inputs, target=batch.label, relu_attributions=True).detach().numpy()
    cells = batch.mask.reshape(4, 1, *[n for cell in heat.shape[2:] for n in (cell, 64 // cell)]).numpy()
    outside = cells.max(axis=(3, 5)) == 0
    return (heat * outside).sum(axis=(1, 2, 3)) / np.maximum(heat.sum(axis=(1, 2, 3)), 1e-8)


@pytest.mark.parametrize(("pooling", "attention"), [("average", "none"), ("gem", "none"), ("average", "soft")])
def test_the_heat_is_grad_cam_of_the_diagnosis(narrow_trunk, pooling, attention):
    network, batch = network_and_batch(pooling, attention)
    part = LookInside(TrainConfig("d", augmentation=STILL), HAM10000)
    part.watch(network)
    for module in network.modules():  # batch statistics as captum's pass has them: those of evaluation
        module.training = module is network.trunk or module is network.attention
    logits = network.score(part.seen(batch), network.encode(batch.numeric, batch.categorical))
    found = part.loss(logits, batch.label).item()
    network.eval()
    assert found == pytest.approx(outside_by_captum(network, batch).mean(), abs=1e-4) and 0.02 < found < 0.98


def test_the_share_that_is_outside():
    slope = torch.ones(3, 1, 2, 2)
    features = torch.tensor([[[[3.0, 1.0], [0.0, -4.0]]], [[[-1.0, -1.0], [-1.0, -1.0]]], [[[0.0, 2.0], [0.0, 0.0]]]])
    mask = torch.zeros(3, 1, 8, 8)
    mask[:, :, 3, 0] = 1  # one pixel makes the upper left cell one of the lesion
    np.testing.assert_allclose(outside_share(features, slope, mask), [0.25, 0.0, 1.0], atol=1e-5)


def test_masks_are_turned_with_their_pictures():
    torch.manual_seed(1)
    mask = torch.zeros(6, 1, 64, 64)
    mask[:, :, 8:24, 12:50] = 1
    whole = functional.interpolate(mask, (128, 128), mode="nearest").expand(-1, 3, -1, -1)
    part = LookInside(TrainConfig("d", augmentation=Augmentation(noise=0.0)), HAM10000)
    empty = torch.zeros(6, 0)
    seen = part.seen(Batch(whole, empty, empty.int(), torch.zeros(6, dtype=torch.int64), mask=mask))
    small = functional.interpolate(seen[:, :1], (64, 64), mode="area")
    difference = (small - part._last["mask"]).abs()
    assert difference.mean() < 0.01 and (part._last["mask"] - mask).abs().mean() > 0.1


def test_heat_moves_inside(narrow_trunk):
    network, batch = network_and_batch()
    part = LookInside(TrainConfig("d", augmentation=STILL), HAM10000)
    part.watch(network)
    optimizer, losses = torch.optim.Adam(network.parameters(), 0.003), []
    for _ in range(40):
        logits = network.score(part.seen(batch), network.encode(batch.numeric, batch.categorical))
        loss = part.loss(logits, batch.label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5]), losses


def test_a_run_goes_on_as_it_began(new_run: Callable, data: Path):
    samples, wanted = read_samples(data), {"data": str(data), "fusion": "concat", "look_inside": 1.0, "image_size": 64}
    config, whole = new_run(**wanted)
    history = train(config, samples, whole)
    _, stopped = new_run(**wanted)
    Trainer(config, samples, stopped).run_epoch(0)
    train(config, samples, stopped)
    assert stopped.weights_file.read_bytes() == whole.weights_file.read_bytes()
    plain, without = new_run(**wanted | {"look_inside": 0.0})
    assert train(plain, samples, without)[0]["train_loss"] < history[0]["train_loss"]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"fusion": "clinical_only"}, "is about the heat map, and clinical_only has none"),
        ({"image_branch": "fixcaps_ds"}, "is about the heat map, and fixcaps_ds has none"),
        ({"mixup": 0.2}, "--mixup mixes two lesions: leave one of them out"),
        ({"cutmix": 0.2}, "--cutmix pastes another lesion: leave"),
        ({"precision": "fp16"}, "--precision fp16 has too small a range"),
        ({"compiled": True}, "leave torchrun and --compile, or it"),
    ],
    ids=str,
)
def test_what_contradicts_it_is_refused(data, tmp_path, settings, sentence):
    given = {"fusion": "concat", "look_inside": 1.0, "image_size": 32, "epochs": 1} | settings
    with pytest.raises(UsageError, match=sentence):
        dermedge.train(data, run=tmp_path / "run", **given)
    assert not (tmp_path / "run" / "config.json").exists()


def test_masks_that_are_absent_or_damaged_are_told(data, synthetic_data, tmp_path):
    given = {"fusion": "image_only", "look_inside": 1.0, "image_size": 32, "epochs": 1}
    with pytest.raises(InputRejected, match=r"lesion masks are not in .*leave --look-inside out"):
        dermedge.train(synthetic_data, run=tmp_path / "run", **given)
    shutil.copytree(data, tmp_path / "data")
    for mask in (tmp_path / "data" / FOLDER).iterdir():
        mask.write_bytes(mask.read_bytes()[:40])
    with pytest.raises(InputRejected, match=r"The lesion mask .* cannot be read: .*Put the published one there"):
        dermedge.train(tmp_path / "data", run=tmp_path / "run", **given)
    for mask in (tmp_path / "data" / FOLDER).iterdir():
        Image.new("L", (8, 8)).save(mask)
    with pytest.raises(InputRejected, match=r"lesion masks show no lesion at 64 x 64 pixels, such as .*_segmentation"):
        dermedge.train(tmp_path / "data", run=tmp_path / "run", **given)
    assert not (tmp_path / "run" / "config.json").exists()
