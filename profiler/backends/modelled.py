"""GPUs that need not be here: latencies computed from their public figures, nothing is timed.

Deterministic, and no substitute for measuring: tables of this backend say so everywhere, mix with
no measured ones and certify no budget. How it computes is `profiler.modelled`'s matter.
"""

from __future__ import annotations

from collections.abc import Sequence

from latency_tables.table import MODELLED, Target
from profiler.backend import BackendError, Runner, check_precision, check_size, load, names
from profiler.modelled.cost import product_ms, total_ms
from profiler.modelled.gemm import LOAD, TILES
from profiler.modelled.gpus import DEFAULT, GPUS, find
from profiler.modelled.kernels import ALIGNMENT, BYTES
from profiler.pieces import check_chain
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.shapes import Shape

VERSION = "1"
"""Counts up when a figure or rule changes: tables of different versions are not comparable."""


class Plugin:
    """Backend `modelled`; see `profiler.backend.Backend`."""

    name = MODELLED
    summary = "GPUs by their public figures: tiles, waves and roofline; nothing is measured"
    precisions: tuple[str, ...] = ("fp32", "fp16", "int8")
    files = False
    devices = tuple(GPUS)

    def __init__(self, device: str = DEFAULT) -> None:
        self.gpu = find(device)

    def unavailable(self) -> str | None:
        return None

    def target(self, precision: str, batch: int, threads: int) -> Target:
        check_precision(self, precision)
        gpu = self.gpu
        return Target(
            device=gpu.name,
            runtime=self.name,
            runtime_version=VERSION,
            precision=precision,
            batch=batch,
            threads=threads,
            details={
                "sms": str(gpu.sms),
                "boost_mhz": str(gpu.boost_mhz),
                "tera_ops_dense": f"{gpu.tera_ops[precision]:g}",
                "memory_gbytes_per_s": f"{gpu.gbytes:g}",
                "l2_mib": str(gpu.l2_mib),
                "start_us": f"{gpu.start_us:g} (assumed)",
                "tile_load": f"{LOAD} (assumed)",
                "tiles": " ".join(map(str, TILES)),
                "alignment": str(ALIGNMENT[precision]),
                "source": gpu.source,
            },
        )

    def block(self, shape: Shape, target: Target) -> Runner:
        return self._pieces([shape], target)

    def chain(self, shapes: Sequence[Shape], target: Target) -> Runner:
        check_chain(shapes, target.batch)
        return self._pieces(shapes, target)

    def network(self, network: NetworkSpec, config: ChannelConfig, target: Target) -> Runner:
        return self._pieces(network.shapes(config), target)

    def file(self, path: str, target: Target) -> Runner:
        able = ", ".join(name for name in names() if load(name).files)
        raise BackendError(f"{self.name} loads no ONNX files; backends which do: {able}")

    def gemm(self, side: int, target: Target) -> Runner:
        check_precision(self, target.precision)
        check_size("side", side)
        return _constant(product_ms(side, target.device, target.precision))

    def copy(self, elements: int, target: Target) -> Runner:
        check_precision(self, target.precision)
        check_size("elements", elements)
        moved = 2 * elements * BYTES[target.precision]
        return _constant(moved / find(target.device).gbytes / 1e6)

    def _pieces(self, shapes: Sequence[Shape], target: Target) -> Runner:
        check_precision(self, target.precision)
        return _constant(total_ms(shapes, target.device, target.batch, target.precision))


def _constant(ms: float) -> Runner:
    return lambda n: ms
