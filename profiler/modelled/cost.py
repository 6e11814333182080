"""What kernels take on a GPU: the longer of arithmetic and memory, and a start.

A roofline per kernel (Williams, Waterman and Patterson 2009) over tiles and waves. Weights come
from memory, and so does what the maps of a kernel exceed the second-level cache by: the rest was
just written, or is about to be read. Bandwidth is the published one, so memory never takes less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from profiler.modelled.gemm import Gemm, Plan, best
from profiler.modelled.gpus import Gpu, find
from profiler.modelled.kernels import Kernel, kernels
from supernet.shapes import Shape

DIGITS = 9
"""Of a latency, so that sums in another order agree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One kernel on one GPU.

    Attributes:
        plan: tile, waves and arithmetic; None where nothing is computed.
        memory_us: time that its bytes take.
        start_us: time beside its work.
    """

    kernel: Kernel
    plan: Plan | None
    memory_us: float
    start_us: float

    @property
    def compute_us(self) -> float:
        """Time of the arithmetic."""
        return 0.0 if self.plan is None else self.plan.compute_us

    @property
    def total_us(self) -> float:
        """All of it."""
        return self.start_us + max(self.compute_us, self.memory_us)

    @property
    def bound(self) -> Literal["compute", "memory", "start"]:
        """What takes longest."""
        if self.start_us > max(self.compute_us, self.memory_us):
            return "start"
        return "compute" if self.compute_us >= self.memory_us else "memory"


def cost(kernel: Kernel, gpu: Gpu, precision: str) -> Cost:
    """One kernel."""
    moved = kernel.weights + max(0, kernel.maps - gpu.l2_bytes)
    return Cost(
        kernel=kernel,
        plan=None if kernel.gemm is None else best(kernel.gemm, gpu, precision),
        memory_us=moved / (gpu.gbytes * 1e3),
        start_us=gpu.start_us,
    )


def costs(shape: Shape, device: str, batch: int, precision: str) -> list[Cost]:
    """The kernels of one piece, in order.

    Args:
        device: as `profiler.modelled.gpus.find` takes it.

    Raises:
        BackendError: no such device.
    """
    gpu = find(device)
    return [cost(kernel, gpu, precision) for kernel in kernels(shape, batch, precision)]


def total_ms(shapes: Sequence[Shape], device: str, batch: int, precision: str) -> float:
    """Latency in ms of pieces one after another; errors as in `costs`."""
    total = sum(_piece_us(shape, device, batch, precision) for shape in shapes)
    return float(f"{total / 1000:.{DIGITS}g}")


def product_ms(side: int, device: str, precision: str) -> float:
    """A square matrix product in ms, without its start, which is no part of a roof."""
    gpu = find(device)
    return best(Gemm(side, side, side), gpu, precision).compute_us / 1000


@lru_cache(maxsize=1 << 16)
def _piece_us(shape: Shape, device: str, batch: int, precision: str) -> float:
    return sum(found.total_us for found in costs(shape, device, batch, precision))
