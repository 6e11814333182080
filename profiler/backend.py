"""`Backend`: what a runtime must offer so that its blocks can be timed, and how backends are found.

To add one, put a file into `profiler/backends/` with a class `Plugin` of this protocol. Its
heavy imports belong inside methods: finding a backend never imports its runtime. A backend that
does not find its device but is told it has `devices`, their names, and `Plugin(device)`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import profiler.backends
from latency_tables.table import Target
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.shapes import Shape


class BackendError(RuntimeError):
    """A backend that is unknown, cannot run here, or failed; the message says why."""


class BrokenError(BackendError):
    """The measuring process, or its CUDA context, is of no more use; a fresh one may be."""


class OutOfMemoryError(BackendError):
    """The device has too little memory for what is to be alive at once; for less it may do."""


Runner = Callable[[int], float]
"""Runs a model n times and returns the time of each run in milliseconds, averaged over the n."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remarks:
    """What a runner has to say of what it ran; see `Measurement.flags` and `Measurement.notes`."""

    flags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@runtime_checkable
class Remarking(Protocol):
    """A runner that has remarks; asked once, when the session is over."""

    def remarks(self) -> Remarks:
        """Of all runs since it was built."""


class Backend(Protocol):
    """One runtime. Instances are cheap; models are built by `block` and `network`."""

    name: str
    summary: str
    precisions: tuple[str, ...]
    files: bool
    """Whether `file` loads ONNX files."""

    def unavailable(self) -> str | None:
        """Why this backend cannot run here, or None if it can."""

    def target(self, precision: str, batch: int, threads: int) -> Target:
        """The target measured by models built with the same three settings."""

    def block(self, shape: Shape, target: Target) -> Runner:
        """Builds one stem, bottleneck or head with random weights and distinct inputs."""

    def chain(self, shapes: Sequence[Shape], target: Target) -> Runner:
        """Builds pieces one after another, as they follow each other in a network.

        Raises:
            ConfigError: no piece, or one that does not take what the piece before it gives.
        """

    def network(self, network: NetworkSpec, config: ChannelConfig, target: Target) -> Runner:
        """Builds a whole network with random weights."""

    def file(self, path: str, target: Target) -> Runner:
        """Loads an exported model (an ONNX file).

        Raises:
            BackendError: this backend has not `files`, or cannot load this one.
        """

    def gemm(self, side: int, target: Target) -> Runner:
        """Builds a square matrix product of `side`, 2 side³ operations; the batch is not used."""

    def copy(self, elements: int, target: Target) -> Runner:
        """Builds what reads `elements` values and writes as many; the batch is not used.

        A value has 4 bytes in fp32, 2 in fp16, 1 in int8.
        """


def check_precision(backend: Backend, precision: str) -> None:
    """Raises BackendError unless `backend` has this precision."""
    if precision not in backend.precisions:
        raise BackendError(
            f"precision of {backend.name} must be one of {', '.join(backend.precisions)}, "
            f"but got {precision!r}"
        )


def check_size(what: str, size: int) -> None:
    """Raises BackendError unless a probe's size is positive."""
    if size < 1:
        raise BackendError(f"{what} must be >= 1, but got {size}")


def names() -> list[str]:
    """Names of all backends in `profiler/backends/`, whether they can run here or not."""
    return sorted(module.name for module in pkgutil.iter_modules(profiler.backends.__path__))


def load(name: str, device: str | None = None) -> Backend:
    """The backend called `name`.

    Args:
        device: one of the backend's `devices`; most have none and use the one they run on.

    Raises:
        BackendError: no such backend or device; names the valid choices.
    """
    if name not in names():
        raise BackendError(f"backend must be one of {', '.join(names())}, but got {name!r}")
    kind = importlib.import_module(f"profiler.backends.{name}").Plugin
    if device is None:
        plugin: Backend = kind()
        return plugin
    known: Sequence[str] = getattr(kind, "devices", ())
    if device not in known:
        choices = f"must be one of {', '.join(known)}" if known else "is the one that it runs on"
        raise BackendError(f"device of {name} {choices}, but got {device!r}")
    chosen: Backend = kind(device)
    return chosen
