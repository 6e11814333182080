"""PyTorch on the CPU through `torch.compile`: kernels generated per model by a C++ compiler.

Weights are frozen, as for deployment: they may be folded and laid out ahead. Every run pays for
the checks that its input is still what was compiled for, whatever the model's size: sums of small
blocks overstate a network here. A first build takes long, while the compiler is tried out.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from profiler.torch_backend import TorchBackend

if TYPE_CHECKING:
    from torch import Tensor, nn

COMPILERS = {"win32": "cl", "darwin": "clang++"}
"""What inductor calls where CXX is not set; g++ elsewhere."""


class Plugin(TorchBackend):
    """Backend `torch_compiled`; see `profiler.backend.Backend`."""

    name = "torch_compiled"
    summary = "PyTorch on the CPU through torch.compile (inductor, frozen weights), fp32"

    def unavailable(self) -> str | None:
        if reason := super().unavailable():
            return reason
        compiler = os.environ.get("CXX", COMPILERS.get(sys.platform, "g++"))
        if shutil.which(compiler) is None:
            return f"torch.compile needs a C++ compiler, but {compiler} is not found (CXX names it)"
        if not Path(sysconfig.get_path("include"), "Python.h").exists():
            return "torch.compile needs Python's headers, but Python.h is not installed"
        return None

    def settings(self) -> dict[str, str]:
        return {**super().settings(), "compiler": "inductor", "freezing": "true"}

    def prepared(self, module: nn.Module, example: Tensor) -> Callable[[Tensor], object]:
        import torch
        from torch._inductor import config

        # Traced first, for code of its own: compiled variants are kept per code object, and after
        # a few bottlenecks torch would refuse to compile another.
        traced = torch.fx.symbolic_trace(module)
        compiled: Callable[[Tensor], object] = torch.compile(traced, fullgraph=True, dynamic=False)
        with config.patch(freezing=True):
            compiled(example)  # compiles, for the number of threads that is set
        return compiled
