"""A simulated machine whose speed follows a trace: drift, spikes, clock drops, slow noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from profiler.measure import Session, measure
from profiler.protocol import Protocol

Trace = Callable[[float], float]
"""Slowness (1 is usual) at a time in ms."""

SHORT = Protocol(round_ms=4.0, warmup_ms=20.0, model_cap_ms=10.0)


class Machine:
    """Simulated time; runs last as long as the trace of that moment says, with white noise."""

    def __init__(self, trace: Trace = lambda now: 1.0, white: float = 0.0, seed: int = 0) -> None:
        self.now = 0.0
        self.trace = trace
        self.white = white
        self.rng = np.random.default_rng(seed)
        self.order: list[str] = []

    def runner(self, name: str, ms: float) -> Callable[[int], float]:
        """A model that takes `ms` on the usual machine."""

        def run(n: int) -> float:
            if not self.order or self.order[-1] != name:
                self.order.append(name)
            noise = float(np.exp(self.white * self.rng.standard_normal() / np.sqrt(n)))
            took = ms * self.trace(self.now) * noise
            self.now += took * n
            return took

        return run

    def session(self, models: dict[str, float], protocol: Protocol = SHORT) -> Session:
        """All models measured against each other."""
        runners = {name: self.runner(name, ms) for name, ms in models.items()}
        return measure(runners, self.runner("sentinel", 1.0), protocol, watch=lambda ms: "")


def some_models(count: int = 24) -> dict[str, float]:
    """Latencies between 0.3 and 3 ms."""
    return {f"m{i:02}": float(ms) for i, ms in enumerate(np.geomspace(0.3, 3.0, count))}


def length(models: dict[str, float], protocol: Protocol = SHORT) -> float:
    """How long such a session lasts on a calm machine, in ms."""
    machine = Machine()
    machine.session(models, protocol)
    return machine.now


def autocorrelated(sigma: float, memory_ms: float, seed: int, step_ms: float = 5.0) -> Trace:
    """Slowness that wanders: a first-order autoregression with this standard deviation."""
    rng = np.random.default_rng(seed)
    keep = float(np.exp(-step_ms / memory_ms))
    steps = rng.standard_normal(20_000) * sigma * np.sqrt(1 - keep**2)
    level, path = sigma * rng.standard_normal(), []
    for step in steps:
        level = keep * level + step
        path.append(level)
    return lambda now: float(np.exp(path[min(int(now / step_ms), len(path) - 1)]))
