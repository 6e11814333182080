"""`GpuBackend`: what backends share that measure on a CUDA device; see `profiler.capabilities`.

Tolerances and lengths of rounds, what NVML sees, clocks, and which GPU a target is for. Knows no
runtime.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from latency_tables.table import Target
from profiler import cuda_device, machine
from profiler.backend import BackendError
from profiler.gpu import nvml
from profiler.gpu.device import Device
from profiler.gpu.watch import GpuWatch, still_clocks
from profiler.measure import Watch
from profiler.protocol import Protocol

OWN = Protocol(iterations=30, round_ms=20.0, tolerance=0.01)
"""Clocks of a GPU are steadier than a CPU's, and its runs shorter."""
TUNED = ("iterations", "round_ms", "tolerance", "rows")


class GpuBackend:
    """Capabilities of a backend on device 0.

    Attributes:
        own: what takes the place of what a protocol leaves at its default.
    """

    own: Protocol = OWN

    def facts(self) -> dict[str, str]:
        """Of the host and the GPU, for a target's details."""
        return {
            **machine.facts(),
            **cuda_device.facts(),
            **nvml.facts(nvml.here()),
            "host": machine.device(),
        }

    def protocol(self, asked: Protocol) -> Protocol:
        """`asked`, with what suits a GPU in place of what was left at its default."""
        usual = Protocol()
        left = [name for name in TUNED if getattr(asked, name) == getattr(usual, name)]
        return replace(asked, **{name: getattr(self.own, name) for name in left})

    def watch(self, target: Target) -> Watch:
        """Sees what NVML tells; nothing without it. The host's load does not reach CUDA graphs."""
        found = nvml.here()
        return (lambda ms: "") if isinstance(found, str) else GpuWatch(found)

    @contextmanager
    def steady(self, target: Target) -> Iterator[Target]:
        """Locks the SM clock where that is allowed; the details say what came of it."""
        with still_clocks(nvml.here()) as outcome:
            yield replace(target, details={**target.details, cuda_device.CLOCKS: outcome})

    @staticmethod
    def check_device(device: Device, target: Target) -> None:
        """Raises BackendError where `device` is another GPU than the target's."""
        wanted, found = target.details.get(cuda_device.UUID, ""), device.identity().uuid
        if wanted and found and wanted.lower() != found.lower():
            raise BackendError(
                f"the target is the GPU {wanted}, but {device.name} uses {found}; "
                "CUDA_VISIBLE_DEVICES must be the same for both"
            )
