"""PyTorch on a CUDA device: cuDNN's fused kernels in CUDA graphs, no TensorRT needed.

Channels last, batch norm folded, and every convolution with its bias, sum and ReLU in one kernel
where cuDNN has one; cuDNN tries out which of its kernels is fastest. Rows are pieces on their own:
nothing is fused across them, and they have no borders to pay for. Always device 0;
CUDA_VISIBLE_DEVICES chooses another.
"""

from __future__ import annotations

from functools import cached_property
from importlib import metadata
from typing import TYPE_CHECKING

from latency_tables.table import Target
from profiler import cuda_device
from profiler.backend import Runner, check_precision
from profiler.feed import INPUTS
from profiler.gpu.backend import GpuBackend
from profiler.gpu.pool import Pool
from profiler.gpu.timing import EngineRunner
from profiler.gpu.torch_device import SharingTorchDevice
from profiler.torch_backend import TorchBackend

if TYPE_CHECKING:
    from torch import nn


class Plugin(GpuBackend, TorchBackend):
    """Backend `torch_cuda`; see `profiler.backend.Backend` and `profiler.capabilities`."""

    name = "torch_cuda"
    summary = "PyTorch on a CUDA device: cuDNN in CUDA graphs, fp32 without TF32, fp16"
    precisions: tuple[str, ...] = ("fp32", "fp16")

    def unavailable(self) -> str | None:
        if not cuda_device.names():
            return "no CUDA device, or no NVIDIA driver"
        if reason := super().unavailable():
            return reason
        cpu_only = metadata.version("torch").endswith("+cpu")
        return "torch is installed without CUDA" if cpu_only else None

    def target(self, precision: str, batch: int, threads: int) -> Target:
        import torch

        check_precision(self, precision)
        return Target(
            device=cuda_device.names()[0],
            runtime=self.name,
            runtime_version=str(torch.__version__),
            precision=precision,
            batch=batch,
            threads=threads,
            details={**self.facts(), **self.settings()},
        )

    def settings(self) -> dict[str, str]:
        import torch

        return {
            "memory_format": "channels_last",
            "batch_norm": "folded",
            "fusion": "bias, sum and ReLU by cuDNN",
            "cudnn": str(torch.backends.cudnn.version()),  # type: ignore[no-untyped-call]
            "cudnn_benchmark": "1",
            "tf32": "0",
            "cuda_graphs": "1",
            "inputs": str(INPUTS),
        }

    @cached_property
    def _device(self) -> SharingTorchDevice:
        import torch

        # of the process: what this backend runs is measured, and nothing else should run beside it
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
        return SharingTorchDevice(torch)

    @cached_property
    def _pool(self) -> Pool:
        return Pool(self._device)

    def _runner(
        self, module: nn.Module, shape: tuple[int, ...], target: Target, what: str
    ) -> Runner:
        import torch

        from profiler.torch_engine import TYPES, TorchEngine
        from profiler.torch_fused import fused
        from profiler.torch_modules import initialised

        check_precision(self, target.precision)
        self.check_device(self._device, target)
        ready = fused(initialised(module)).to("cuda:0", TYPES[target.precision][1])
        ready = ready.to(memory_format=torch.channels_last)
        engine = TorchEngine(ready, shape, target.precision, what)
        return EngineRunner(engine, self._device, pool=self._pool)
