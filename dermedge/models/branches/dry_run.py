"""Find out about a network without its weights: torch's meta device knows shapes and costs, and computes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

_Module = TypeVar("_Module", bound=nn.Module)
_SIZES = (256, 512)
"""In pixels; both are multiples of the strides that networks have, and of the windows of some."""


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """The last map of a network that grows with the picture."""

    channels: int
    stride: int
    """Pixels of the picture to a side of a cell."""
    channels_last: bool
    """It is [B, h, w, C], as some libraries' transformers have it."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a network costs for one picture."""

    parameters: int
    operations: int | None
    """Multiply-adds of convolutions and matrix products; None where they were not counted."""


class _WithoutMemory(TorchFunctionMode):
    """Weights are made on the meta device; what a network computes while it is made is still computed."""

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        if func is torch.empty and given.get("device") is None:
            given["device"] = "meta"
        return func(*args, **given)


def without_memory(make: Callable[[], _Module]) -> _Module:
    """Make a network on the meta device; torch's random numbers stay where they are.

    :param make: makes it, such as `lambda: resnet50()`.
    """
    with torch.random.fork_rng(devices=[]), _WithoutMemory():
        network = make()
    return network.to("meta").eval()


def shapes_at_two_sizes(run: Callable[[Tensor], Mapping[str, Any]]) -> dict[str, tuple[tuple[int, ...], ...]]:
    """Give the shapes of all tensors that `run` returns, for a small and a large picture."""
    with torch.no_grad():
        small, large = (run(torch.empty(1, 3, size, size, device="meta")) for size in _SIZES)
    return {
        name: (tuple(tensor.shape), tuple(large[name].shape))
        for name, tensor in small.items()
        if isinstance(tensor, Tensor)
    }


def feature_map(small: Sequence[int], large: Sequence[int]) -> FeatureMap | None:
    """Read the shapes of a tensor at two sizes; None: it is no map that grows with the picture."""
    if len(small) != 4:
        return None
    growing = [axis for axis in (1, 2, 3) if large[axis] > small[axis]]
    if growing not in ([2, 3], [1, 2]):
        return None
    side = growing[0]
    stride = round((_SIZES[1] - _SIZES[0]) / (large[side] - small[side]))
    channels_last = growing == [1, 2]
    return FeatureMap(small[3 if channels_last else 1], stride, channels_last)


def cost_of(network: nn.Module, size: int | None) -> Cost:
    """Count the parameters of a network on the meta device, and the operations of one picture.

    :param size: height and width of the picture, in pixels; None: count no operations.
    """
    parameters = sum(each.numel() for each in network.parameters())
    if size is None:
        return Cost(parameters, None)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network(torch.empty(1, 3, size, size, device="meta"))
    return Cost(parameters, counter.get_total_flops() // 2)  # it counts a multiply-add as two


def unread_modules(network: nn.Module, run: Callable[[Tensor], Tensor]) -> tuple[str, ...]:
    """Give the outermost modules of a network on the meta device that `run` neither calls nor reads a weight of."""
    called: set[nn.Module] = set()
    hooks = [each.register_forward_hook(lambda module, *_: called.add(module)) for each in network.modules()]
    run(torch.empty(1, 3, _SIZES[0], _SIZES[0], device="meta")).sum().backward()  # type: ignore[no-untyped-call]
    for hook in hooks:
        hook.remove()
    found: list[str] = []
    for name, module in network.named_modules():
        if not name or any(name.startswith(f"{outer}.") for outer in found):
            continue
        read = any(each.grad is not None for each in module.parameters())
        if not read and called.isdisjoint(module.modules()):
            found.append(name)
    network.zero_grad()
    return tuple(found)


def remove_unread(network: nn.Module, names: Sequence[str]) -> None:
    """Put something that holds no weights in the place of what `unread_modules` found."""
    for name in names:
        parent, _, own = name.rpartition(".")
        setattr(network.get_submodule(parent), own, nn.Identity())
