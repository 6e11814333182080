"""PyTorch on the CPU as it is: eager, no compilation, operator by operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from profiler.torch_backend import TorchBackend

if TYPE_CHECKING:
    from torch import Tensor, nn


class Plugin(TorchBackend):
    """Backend `torch`; see `profiler.backend.Backend`."""

    name = "torch"
    summary = "PyTorch on the CPU, eager, fp32"

    def prepared(self, module: nn.Module, example: Tensor) -> Callable[[Tensor], object]:
        return module
