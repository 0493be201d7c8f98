"""The image branch with the rounding of an INT8 file in it, so that a training can learn to live with it.

Weights are rounded to int8 per output channel, of `SAFE_WEIGHT_BITS` bits; what a layer hands on is rounded to uint8
with one range per tensor. So rounds what the export makes for a CPU. A rectifier is rounded together with the layer
before it, a leaky one apart. Gradients pass the rounding as if it were not there, within the range.

Batch normalisation is frozen to its running statistics. It is then a factor per output channel, and so is the step of
a weight: folded into the weights before the rounding, as the export does, it gives the same numbers, so that it may
stay where it is. The weights keep their names, and are float32 as in any run.

torch.fx finds what follows what; rounding and ranges are torch's. Not covered: the rest of the network, which is
float32 in a file too, and other layers than those named by `_SUPPORTED` (`fake_quantised` refuses them).
"""

from __future__ import annotations

import operator
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.ao.quantization import FusedMovingAvgObsFakeQuantize, MovingAverageMinMaxObserver

from dermedge_runtime.errors import UsageError
from dermedge_runtime.model.description import SAFE_WEIGHT_BITS

from .branches.branch import ImageBranch, Normalisation

_LARGEST_WEIGHT = 2 ** (SAFE_WEIGHT_BITS - 1)
_LEVELS = 255
_QUANTISERS = "quantisers"
_MOMENTUM = 0.01
"""Share of a batch in the moving range of a tensor."""
_RECTIFIERS = (nn.ReLU, nn.ReLU6)
_PASSING = (nn.Identity, nn.Dropout, nn.Dropout2d, nn.MaxPool2d)
"""What hands rounded values on as they are; dropout is nothing once trained."""
_SUMS = (operator.add, operator.iadd, torch.add)
_SUPPORTED = "convolutions, batch normalisation, ReLU, ReLU6, LeakyReLU, max pooling and sums"


class FakeQuantisedBranch(fx.GraphModule):
    """An image branch as torch.fx sees it, with `quantisers` beside its own modules; made by `fake_quantised`."""

    channels: int
    stride: int

    def train(self, mode: bool = True) -> FakeQuantisedBranch:
        """Switch the moving of the ranges on or off; batch normalisation stays as it is after training."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
            elif isinstance(module, FusedMovingAvgObsFakeQuantize):
                module.enable_observer(mode)
        return self

    def find_ranges(self, image: Tensor) -> None:
        """Set the ranges to those of some pictures, float [B, 3, H, W] in [0, 1], and leave training mode."""
        quantisers = [module for module in self.modules() if isinstance(module, FusedMovingAvgObsFakeQuantize)]
        self.eval()
        for quantiser in quantisers:
            quantiser.activation_post_process.reset_min_max_vals()
            quantiser.enable_observer()
            quantiser.disable_fake_quant()
        with torch.no_grad():
            self(image)
        for quantiser in quantisers:
            quantiser.disable_observer()
            quantiser.enable_fake_quant()


def fake_quantised(branch: ImageBranch) -> FakeQuantisedBranch:
    """Give the branch with the rounding in it; the weights are the branch's own, and so are their names.

    :raises UsageError: the branch has other layers than `_SUPPORTED`, or torch.fx cannot follow it.
    """
    graph = _traced(branch)
    modules = dict(branch.named_modules())
    _check(graph, modules)
    rounded = [node for node in graph.nodes if _is_rounded(node, modules)]
    names = [f"{_QUANTISERS}.{index}" for index in range(len(rounded))]
    for node, name in zip(rounded, names, strict=True):
        with graph.inserting_after(node):
            quantiser = graph.call_module(name)
        node.replace_all_uses_with(quantiser)
        quantiser.args = (node,)
    own = {str(node.target) for node in graph.nodes if node.op in ("call_module", "get_attr")}.difference(names)
    root = {name: operator.attrgetter(name)(branch) for name in own}
    made = FakeQuantisedBranch(root | {name: _activation_quantiser() for name in names}, graph)
    made.channels, made.stride = branch.channels, branch.stride
    for module in made.modules():
        if isinstance(module, nn.Conv2d):
            _round_weights(module)
    return made.train(branch.training)


def ordinary_weights(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Leave the quantisers out of the weights of a network.

    :param prefix: what the names of the branch's weights begin with, such as "trunk.".
    """
    return {name: tensor for name, tensor in state.items() if not name.startswith(f"{prefix}{_QUANTISERS}.")}


class _LayerTracer(fx.Tracer):
    """Sees convolutions and normalisations as layers, in whatever library they were written."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """See the base class."""
        layers = (nn.Conv2d, nn.BatchNorm2d, Normalisation)
        return isinstance(m, layers) or bool(super().is_leaf_module(m, module_qualified_name))


def _traced(branch: ImageBranch) -> fx.Graph:
    try:
        return _LayerTracer().trace(branch)
    except Exception as error:  # whatever the branch's own code makes of a symbol in the place of a picture
        raise UsageError(
            f"--quantise-aware cannot follow this image branch ({str(error).splitlines()[0]}). Leave it out."
        ) from error


def _check(graph: fx.Graph, modules: dict[str, nn.Module]) -> None:
    for node in graph.nodes:
        if node.op in ("placeholder", "output", "get_attr") or _kind(node, modules) is not None:
            continue
        layer = modules.get(str(node.target))
        name = getattr(node.target, "__name__", str(node.target)) if layer is None else type(layer).__name__
        if isinstance(layer, nn.BatchNorm2d):
            name = type(_activation_of(layer)).__name__
        raise UsageError(
            f"--quantise-aware takes an image branch of {_SUPPORTED}; this one has {name}, whose"
            " rounding in an INT8 file is not emulated. Leave --quantise-aware out, or name a run of another branch."
        )


def _kind(node: fx.Node, modules: dict[str, nn.Module]) -> str | None:
    """Say what a node does: product, normalisation, rectifier, leaky, passing, sum or scale; None for anything else."""
    if node.op == "call_function":
        if node.target in _SUMS:
            return "sum"
        scaled = node.target in (operator.mul, torch.mul) and any(_is_parameter(each) for each in node.args)
        return "scale" if scaled else None
    layer = modules.get(str(node.target)) if node.op == "call_module" else None
    if isinstance(layer, nn.BatchNorm2d):
        return "normalisation" if isinstance(_activation_of(layer), (nn.Identity, *_RECTIFIERS)) else None
    kinds: dict[str, Any] = {"product": nn.Conv2d, "picture": Normalisation, "leaky": nn.LeakyReLU}
    kinds |= {"rectifier": _RECTIFIERS, "passing": _PASSING}
    return next((kind for kind, classes in kinds.items() if isinstance(layer, classes)), None)


def _activation_of(normalisation: nn.BatchNorm2d) -> nn.Module:
    """Give the activation that timm's layer has in it."""
    return cast(nn.Module, getattr(normalisation, "act", nn.Identity()))


def _is_parameter(value: Any) -> bool:
    return isinstance(value, fx.Node) and value.op == "get_attr"


def _is_rounded(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    """Whether a file rounds what a node gives: not where one kernel computes what follows too."""
    kind = "picture" if node.op == "placeholder" else _kind(node, modules)
    if kind in (None, "passing", "scale"):
        return False
    fused = {"product": ("normalisation", "rectifier"), "normalisation": ("rectifier",), "sum": ("rectifier",)}
    fused["picture"] = ("picture",)
    following = [_kind(user, modules) for user in _users(node, modules)]
    return not following or any(each not in fused.get(str(kind), ()) for each in following)


def _users(node: fx.Node, modules: dict[str, nn.Module]) -> list[fx.Node]:
    """Nodes that read a node's output, seen through those that do nothing."""
    found: list[fx.Node] = []
    for user in node.users:
        idle = user.op == "call_module" and isinstance(modules[str(user.target)], nn.Identity)
        found += _users(user, modules) if idle else [user]
    return found


def _activation_quantiser() -> FusedMovingAvgObsFakeQuantize:
    """Round to uint8, asymmetrically, with one range; torch makes zero a step of it."""
    return FusedMovingAvgObsFakeQuantize(
        observer=MovingAverageMinMaxObserver,
        quant_min=0,
        quant_max=_LEVELS,
        dtype=torch.quint8,
        qscheme=torch.per_tensor_affine,
        averaging_constant=_MOMENTUM,
    )


class _RoundedWeights:
    """What a convolution's class is mixed with: it computes with rounded weights, and learns, saves and loads its own.

    As torch's parametrisations do it, but the weights keep their name.
    """

    _parameters: dict[str, nn.Parameter]

    @property
    def weight(self) -> Tensor:
        """The rounded weights, float32 [O, I, h, w]."""
        return rounded_weights(self._parameters["weight"])


def _round_weights(layer: nn.Conv2d) -> None:
    """Let a convolution of whatever class compute with rounded weights, in place."""
    if not isinstance(layer, _RoundedWeights):
        layer.__class__ = type(f"Rounded{type(layer).__name__}", (_RoundedWeights, type(layer)), {})


def rounded_weights(weight: Tensor) -> Tensor:
    """Round weights to int8 per output channel as a file does, float32 [O, ...] to the same."""
    largest = weight.detach().abs().amax(dim=tuple(range(1, weight.ndim)))
    step = (largest / _LARGEST_WEIGHT).clamp_min(torch.finfo(torch.float32).tiny)
    zero = torch.zeros_like(step, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, step, zero, 0, -_LARGEST_WEIGHT, _LARGEST_WEIGHT)
