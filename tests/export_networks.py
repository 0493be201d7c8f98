"""Networks of every fusion with non-trivial weights, as after a training, inputs for them, and their model files."""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from batch_reader import BatchReader
from onnx import numpy_helper
from quarter_branch import quarter_wide
from torch import nn

from dermedge.data.ham10000 import CLASSES, HAM10000
from dermedge.models.branches.dermiresnet import ResidualUnit
from dermedge.models.classifier import FusedClassifier
from dermedge.models.fusion import FUSIONS, fusion_class
from dermedge.models.modalities import Modalities
from dermedge_export.description import write_described
from dermedge_export.fp16.to_float16 import compute_trunk_in_half, store_matrices_in_half
from dermedge_export.graph.to_onnx import output_names
from dermedge_export.int8.quantize import packed, quantize
from dermedge_runtime.inputs.clinical import CATEGORY, ClinicalSchema
from dermedge_runtime.model.description import ImageSpec, ModelSpec
from dermedge_runtime.model.model_file import ModelFile, read_model_file

_SELDOM = ("metanet", "mmf_net", "late", "adaptive", "weighted_concat", "hadamard", "bilinear")
"""Fusions whose exported graphs are exhaustive: tracing one takes seconds, and what is in them the others have too.

concat joins what weighted_concat weighs, gated multiplies as hadamard does, tensor has the outer product of bilinear.
"""
SIZE = 64  # a heatmap of 2 x 2: larger than one pixel, so that it has a shape


def fusion_cases(names: Iterable[str] = FUSIONS, *others: str) -> list[Any]:
    """Every fusion, or these, as parameters of a test that needs its exported graph.

    :param others: further parameters of every case.
    """
    return [pytest.param(name, *others, marks=pytest.mark.exhaustive if name in _SELDOM else ()) for name in names]


def random_classifier(fusion: str, seed: int = 0, unknown: str = CATEGORY, *, narrow: bool = True) -> FusedClassifier:
    """A network whose batch normalisations, alphas and unknown values are not neutral, as after a training."""
    torch.manual_seed(seed)
    with quarter_wide() if narrow else nullcontext():
        model = FusedClassifier(fusion, HAM10000.clinical("grouped", unknown), 7).eval()
    if model.encoder is not None:
        model.encoder.median.fill_(50)
        model.encoder.mean.fill_(52)
        model.encoder.std.fill_(17)
        model.encoder.mode.copy_(torch.tensor([1, 2]))
        if unknown == CATEGORY:
            (first,) = model.head.clinical[0].parametrizations.weight
            first.mix += 0.05 * torch.rand_like(first.mix)
            model.head.clinical[0].parametrizations.weight.original.data.uniform_(-0.2, 0.2)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.2)
        units = [module for module in model.modules() if isinstance(module, ResidualUnit)]
        for unit, alpha in zip(units, (0.7, -0.6, 1.3, 0.9), strict=False):  # no unit without an image branch
            unit.alpha.fill_(alpha)
    return model


def random_inputs(batch: int, seed: int = 0, size: int = SIZE) -> dict[str, torch.Tensor]:
    """Inputs with known and unknown values: uint8 [B, size, size, 3], float32 [B, 1], int32 [B, 2]."""
    generator = torch.Generator().manual_seed(seed)
    numeric = torch.randint(0, 90, (batch, 1), generator=generator).float()
    numeric[0] = torch.nan
    sexes = torch.randint(-1, 2, (batch, 1), generator=generator)
    sites = torch.randint(-1, 14, (batch, 1), generator=generator)
    return {
        "image": torch.randint(0, 256, (batch, size, size, 3), generator=generator, dtype=torch.uint8),
        "numeric": numeric,
        "categorical": torch.cat([sexes, sites], dim=1).to(torch.int32),
    }


@torch.no_grad()
def torch_probabilities_of(model: FusedClassifier, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """What the unfolded network in torch says."""
    scaled = inputs["image"].permute(0, 3, 1, 2).float() / 255
    return torch.softmax(model(scaled, inputs["numeric"], inputs["categorical"]), dim=1)


def open_session(proto: onnx.ModelProto) -> ort.InferenceSession:
    """Open a graph on one thread of the CPU: those of all test workers together would only wait for each other."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])


class RandomReader(BatchReader):
    """Two calibration batches of random inputs, those that a graph reads."""

    def __init__(self, proto: onnx.ModelProto) -> None:
        names = {value.name for value in proto.graph.input}
        batches = [{**random_inputs(4, seed), "target": torch.full((4,), -1, dtype=torch.int32)} for seed in (0, 1)]
        super().__init__([{name: batch[name].numpy() for name in names} for batch in batches])


def in_precision(proto: onnx.ModelProto, precision: str, flavour: str = "cpu") -> onnx.ModelProto:
    """Convert an exported graph, which may be changed in place."""
    if precision == "fp16":
        compute_trunk_in_half(proto)
        store_matrices_in_half(proto)
    elif precision == "int8":
        proto = packed(quantize(proto, RandomReader(proto), flavour), flavour)
    return proto


def random_model_file(
    proto: onnx.ModelProto, folder: Path, fusion: str, precision: str, flavour: str = "cpu"
) -> ModelFile:
    """Write and read a described model file of a random network.

    :param proto: the fusion's graph in that precision, as the fixture `converted` gives it.
    """
    kind, schema = fusion_class(fusion), HAM10000.clinical("grouped", CATEGORY)
    spec = ModelSpec(
        classes=CLASSES,
        class_names=HAM10000.class_names,
        fusion=fusion,
        precision=precision,
        outputs=output_names(Modalities.of(kind), explain=True),
        flavour=flavour if precision == "int8" else "any",
        image=ImageSpec(SIZE, "bilinear") if kind.uses_image else None,
        clinical=schema if kind.uses_clinical else ClinicalSchema(),
    )
    path = folder / f"{fusion}-{precision}.onnx"
    write_described(proto, spec, path)
    return read_model_file(path)


def change_weights(proto: onnx.ModelProto, tensor: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Change one tensor of an exported graph in place; `tensor` as in `stages.4.conv1.weight`."""
    (found,) = (entry for entry in proto.graph.initializer if entry.name == f"model.trunk.{tensor}")
    found.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(found)).astype(np.float32), found.name))
