"""`TorchBackend`: what backends share that run torch modules on the CPU, in fp32.

A subclass decides how a module is prepared. Knows no CUDA: there the table's other backends say
what a deployed network costs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from latency_tables.table import Target
from profiler import machine
from profiler.backend import BackendError, Runner, check_precision, check_size, load, names
from profiler.feed import INPUTS, cycled, samples
from profiler.pieces import check_chain, input_shape
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor, nn


class TorchBackend:
    """See `profiler.backend.Backend`; a subclass adds `prepared`."""

    name: str
    summary: str
    precisions: tuple[str, ...] = ("fp32",)
    files = False

    def unavailable(self) -> str | None:
        # not imported here: it takes seconds, and `doctor` asks every backend
        return None if find_spec("torch") else "torch is not installed"

    def target(self, precision: str, batch: int, threads: int) -> Target:
        import torch

        check_precision(self, precision)
        return Target(
            device=machine.device(),
            runtime=self.name,
            runtime_version=str(torch.__version__),
            precision=precision,
            batch=batch,
            threads=threads,
            details={**machine.facts(), **self.settings()},
        )

    def settings(self) -> dict[str, str]:
        """What is chosen for the runtime, for the record."""
        import torch

        return {
            "memory_format": "channels_last",
            "batch_norm": "folded",
            "autograd": "inference_mode",
            "matmul_precision": torch.get_float32_matmul_precision(),
            "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY", "unset"),
            "inputs": str(INPUTS),
        }

    def prepared(self, module: nn.Module, example: Tensor) -> Callable[[Tensor], object]:
        """`module` as it is to be run on inputs like `example`; the target's threads are set."""
        raise NotImplementedError

    def block(self, shape: Shape, target: Target) -> Runner:
        from profiler.torch_modules import piece

        into = input_shape(shape, target.batch)
        return self._runner(piece(shape), into, target, shape.geometry)

    def chain(self, shapes: Sequence[Shape], target: Target) -> Runner:
        from torch import nn

        from profiler.torch_modules import piece

        check_chain(shapes, target.batch)
        into = input_shape(shapes[0], target.batch)
        pieces = nn.Sequential(*(piece(shape) for shape in shapes))
        return self._runner(pieces, into, target, f"chain of {len(shapes)}")

    def network(self, network: NetworkSpec, config: ChannelConfig, target: Target) -> Runner:
        from profiler.torch_modules import network_of

        into = input_shape(network.shapes(config)[0], target.batch)
        return self._runner(network_of(network, config), into, target, "network")

    def file(self, path: str, target: Target) -> Runner:
        able = ", ".join(name for name in names() if load(name).files)
        raise BackendError(f"{self.name} loads no ONNX files; backends which do: {able}")

    def gemm(self, side: int, target: Target) -> Runner:
        from profiler.torch_modules import gemm

        check_size("side", side)
        return self._runner(gemm(side), (side, side), target, f"product of {side}")

    def copy(self, elements: int, target: Target) -> Runner:
        from profiler.torch_modules import Copy

        check_size("elements", elements)
        return self._runner(Copy(elements), (elements,), target, f"copy of {elements}")

    def _runner(
        self, module: nn.Module, shape: tuple[int, ...], target: Target, what: str
    ) -> Runner:
        import torch

        from profiler.torch_modules import initialised

        check_precision(self, target.precision)
        order = torch.channels_last if len(shape) == 4 else torch.contiguous_format
        feeds = [torch.from_numpy(v).to(memory_format=order) for v in samples(shape, np.float32)]
        module = initialised(module).to(memory_format=torch.channels_last)
        try:
            with _inference(target.threads):
                run = self.prepared(module, feeds[0])
                run(feeds[0])
        except RuntimeError as error:
            raise BackendError(f"{self.name} cannot run {what}: {error}") from None
        timed = cycled(run, feeds)

        def runner(n: int) -> float:
            with _inference(target.threads):
                return timed(n)

        return runner


@contextmanager
def _inference(threads: int) -> Iterator[None]:
    """Inference mode on this many threads; the process's own number is restored."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(before)
