"""The pieces of `profiler.torch_modules` with each convolution as one kernel of cuDNN's.

Bias, the residual sum and ReLU ride along, as in a deployed network: run on their own they take
longer on a GPU than the convolution. Where cuDNN has no such kernel, torch runs them one by one,
and `unfused` tells. Imports torch, so it is imported only where torch is used.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from profiler.torch_modules import Bottleneck


class FusedConvolution(nn.Module):
    """A convolution with bias, then the sum with another map if given, then ReLU.

    Attributes:
        fused: whether cuDNN does it in one kernel; None before the first run, which finds out.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.fused: bool | None = None

    def forward(self, x: Tensor, addend: Tensor | None = None) -> Tensor:
        """[n, cin, size, size] to [n, cout, out_size, out_size]."""
        if self.fused is False:
            return self._plain(x, addend)
        try:
            y = self._fused(x, addend)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            if self.fused:
                raise
            self.fused = False
            return self._plain(x, addend)
        self.fused = True
        return y

    def _fused(self, x: Tensor, addend: Tensor | None) -> Tensor:
        c = self.conv
        around = c.kernel_size[0] // 2
        how = (c.bias, c.stride, (around, around), c.dilation, c.groups)
        if addend is None:
            return torch.cudnn_convolution_relu(x, c.weight, *how)
        return torch.cudnn_convolution_add_relu(x, c.weight, addend, 1.0, *how)

    def _plain(self, x: Tensor, addend: Tensor | None) -> Tensor:
        y: Tensor = self.conv(x)
        if addend is not None:
            y += addend
        return functional.relu(y, inplace=True)


class FusedBottleneck(nn.Module):
    """`Bottleneck` in three kernels, four with a projection; shares its weights."""

    def __init__(self, block: Bottleneck) -> None:
        super().__init__()
        self.conv1 = FusedConvolution(block.conv1)
        self.conv2 = FusedConvolution(block.conv2)
        self.conv3 = FusedConvolution(block.conv3)
        self.shortcut = block.shortcut

    def forward(self, x: Tensor) -> Tensor:
        """[n, cin, size, size] to [n, cout, out_size, out_size]."""
        y: Tensor = self.conv3(self.conv2(self.conv1(x)), self.shortcut(x))
        return y


def fused(module: nn.Module) -> nn.Module:
    """A piece, or pieces one after another, with their convolutions fused; shares the weights."""
    match module:
        case Bottleneck():
            return FusedBottleneck(module)
        case nn.Sequential():
            return nn.Sequential(*_steps(list(module)))
        case _:
            return module


def unfused(module: nn.Module) -> list[str]:
    """Names of the convolutions that cuDNN does not fuse, known after a run."""
    found = module.named_modules()
    return [n for n, m in found if isinstance(m, FusedConvolution) and m.fused is False]


def _steps(steps: list[nn.Module]) -> Iterator[nn.Module]:
    """A convolution takes the ReLU behind it along."""
    following: list[nn.Module | None] = [*steps[1:], None]
    for step, after in zip(steps, following, strict=True):
        if isinstance(step, nn.Conv2d) and isinstance(after, nn.ReLU):
            yield FusedConvolution(step)
        elif not isinstance(step, nn.ReLU):
            yield fused(step)
