"""`Rounded`: a trained network that computes as its eight-bit file will, and learns through it.

Weights are rounded per output channel, maps where a Q/DQ file rounds them (`export.int8`);
gradients pass the rounding unchanged inside its range (straight-through, Jacob et al. 2018,
arXiv 1712.05877). Batch norms keep their statistics: folded into the convolution they only scale
its channels, which rounding per channel does not notice. So what was learnt is a plain network
again, to be exported like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from supernet.resnet import Bottleneck, ResNet


class _Weight(nn.Module):
    """int8, symmetric per output channel, the scale always that of the present weights."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def forward(self, weight: Tensor) -> Tensor:
        with torch.no_grad():
            scale = weight.abs().flatten(1).amax(1).clamp_min(1e-8) / self.most
        zeros = torch.zeros_like(scale, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(
            weight, scale, zeros, 0, -self.most, self.most
        )


class _Map(nn.Module):
    """uint8 with a zero point; until `frozen` it only learns the range."""

    def __init__(self, *, positive: bool) -> None:
        super().__init__()
        self.positive = positive
        self.register_buffer("range", torch.zeros(2))
        self.range: Tensor
        self.frozen = False

    def forward(self, x: Tensor) -> Tensor:
        if not self.frozen:
            low = torch.zeros(()) if self.positive else x.min()
            found = torch.stack((torch.minimum(self.range[0], low), x.max()))
            self.range[0], self.range[1] = found[0], torch.maximum(self.range[1], found[1])
            return x
        low, high = self.range.unbind()
        scale = ((high - low) / 255).clamp_min(1e-8)
        zero = (-low / scale).round().to(torch.int32)
        return torch.fake_quantize_per_tensor_affine(x, scale, zero, 0, 255)


class Rounded(nn.Module):
    """See the module; trained like any network, then `plain` takes the rounding off again."""

    def __init__(
        self, net: ResNet, batches: Iterable[Tensor], *, reduce_range: bool = False
    ) -> None:
        """Args:
        net: trained; it is changed in place.
        batches: images [n, channels, height, width] that set the ranges of the maps.
        reduce_range: weights of 7 bits.
        """
        super().__init__()
        self.net = net.eval()
        self.maps = nn.ModuleList()
        images_map = self._map(positive=False)
        self._hooks = [net.register_forward_pre_hook(lambda _, given: (images_map(given[0]),))]
        for module, positive in _places(net):
            self._hooks.append(module.register_forward_hook(_after(self._map(positive=positive))))
        with torch.no_grad():
            for images in batches:
                net(images)
        for rounding in self._roundings():
            rounding.frozen = True
        for layer in _layers(net):
            parametrize.register_parametrization(
                layer, "weight", _Weight(64 if reduce_range else 127)
            )

    def forward(self, images: Tensor) -> Tensor:
        """As the network."""
        logits: Tensor = self.net(images)
        return logits

    def train(self, mode: bool = True) -> Rounded:
        super().train(mode)
        for module in self.net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def plain(self) -> ResNet:
        """The network without rounding, its weights as they were learnt."""
        for hook in self._hooks:
            hook.remove()
        for layer in _layers(self.net):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
        return self.net.eval()

    def _roundings(self) -> list[_Map]:
        return [module for module in self.maps if isinstance(module, _Map)]

    def _map(self, *, positive: bool) -> _Map:
        self.maps.append(found := _Map(positive=positive))
        return found


def _after(rounding: _Map) -> Callable[[nn.Module, object, Tensor], Tensor]:
    def hook(module: nn.Module, given: object, output: Tensor) -> Tensor:
        rounded: Tensor = rounding(output)
        return rounded

    return hook


def _places(net: ResNet) -> list[tuple[nn.Module, bool]]:
    """Modules whose outputs are kept as integers, and whether a ReLU makes them positive.

    Rounding a batch norm's output to a range from zero is the ReLU behind it.
    """
    found: list[tuple[nn.Module, bool]] = [(net.bn1, True)]
    for block in net.blocks():
        if isinstance(block, Bottleneck):
            found += [(block.bn1, True), (block.bn2, True), (block.bn3, False), (block, True)]
            found += [(block.downsample, False)] if block.downsample is not None else []
    return [*found, (net.avgpool, True)]


def _layers(net: ResNet) -> list[nn.Module]:
    return [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
