"""What a backend may offer beyond `Backend`, where its device wants to be measured its own way.

Each is a method that a plugin may have: `protocol`, `watch`, `steady`, `alone`. Without it, what
holds for a CPU holds. Also which device a target's lock is for.
"""

from __future__ import annotations

import typing
from contextlib import AbstractContextManager, nullcontext

from latency_tables.table import Target
from profiler.backend import Backend
from profiler.cuda_device import UUID
from profiler.measure import Watch
from profiler.protocol import Protocol


@typing.runtime_checkable
class Tuned(typing.Protocol):
    """A backend with tolerances, lengths of rounds or a row method of its own."""

    def protocol(self, asked: Protocol) -> Protocol:
        """`asked`, with what suits the device in place of what was left at its default."""


@typing.runtime_checkable
class Watching(typing.Protocol):
    """A backend that sees disturbances of its device."""

    def watch(self, target: Target) -> Watch | None:
        """Called in the measuring process; None where nothing can be seen."""


@typing.runtime_checkable
class Steadying(typing.Protocol):
    """A backend that can hold its device still."""

    def steady(self, target: Target) -> AbstractContextManager[Target]:
        """While it lasts, the device is as the target's details then say."""


@typing.runtime_checkable
class Settling(typing.Protocol):
    """A backend that can do more for its models in a process that runs nothing else."""

    def alone(self, target: Target) -> None:
        """Called once in the measuring process, before its first model is built."""


def tuned(backend: Backend, asked: Protocol) -> Protocol:
    """How models of this backend are measured when `asked` is asked for."""
    return backend.protocol(asked) if isinstance(backend, Tuned) else asked


def watch_of(backend: Backend, target: Target) -> Watch | None:
    """What sees disturbances of the device; None for the usual watch over CPU time."""
    return backend.watch(target) if isinstance(backend, Watching) else None


def steady(backend: Backend, target: Target) -> AbstractContextManager[Target]:
    """Holds the device still where the backend can; gives the target with what was done."""
    return backend.steady(target) if isinstance(backend, Steadying) else nullcontext(target)


def settle(backend: Backend, target: Target) -> None:
    """This process will measure models of this target, and do nothing else."""
    if isinstance(backend, Settling):
        backend.alone(target)


def lock_name(target: Target) -> str:
    """Which device only one may measure at a time: this very GPU, or all CPUs of a name."""
    uuid = target.details.get(UUID)
    return f"{target.device} {uuid}" if uuid else target.device
