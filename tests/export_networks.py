"""Networks of every fusion with non-trivial weights, as after a training, and inputs for them."""

from collections.abc import Callable

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from dermedge.data.splits import schema_of
from dermedge.models.classifier import FusedClassifier
from dermedge.models.dermiresnet import ResidualUnit

SIZE = 64


def random_classifier(fusion: str, seed: int = 0) -> FusedClassifier:
    """A network whose batch normalisations and alphas are not the identity, as after a training."""
    torch.manual_seed(seed)
    schema = schema_of("grouped")
    model = FusedClassifier(fusion, schema, 7).eval()
    if model.encoder is not None:
        model.encoder.median.fill_(50)
        model.encoder.mean.fill_(52)
        model.encoder.std.fill_(17)
        model.encoder.mode.copy_(torch.tensor([1, 2]))
    with torch.no_grad():
        for index, module in enumerate(model.modules()):
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.2)
            if isinstance(module, ResidualUnit):
                module.alpha.fill_((0.7, -0.6, 1.3, 0.9)[index % 4])
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


def change_weights(proto: onnx.ModelProto, tensor: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Change one tensor of an exported graph in place; `tensor` as in `stages.4.conv1.weight`."""
    (found,) = (entry for entry in proto.graph.initializer if entry.name == f"model.trunk.{tensor}")
    found.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(found)).astype(np.float32), found.name))
