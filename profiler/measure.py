"""The measurement protocol: interleaved passes, a sentinel, and rejection of what was disturbed.

Models of a session are measured in fresh random order each pass, so that drift does not favour
any of them. A sentinel model is measured every tenth slot; where it is off, the models beside it
were disturbed and are measured again. What stays disturbed is flagged, and keeps its numbers.
Knows nothing of runtimes, tables and clocks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from latency_tables.table import Measurement
from profiler.backend import Runner
from profiler.machine import Contention
from profiler.rounds import Round, take_round, warm_up
from profiler.stats import measurement

Progress = Callable[[int, int, str], None]
Watch = Callable[[float], str]
"""Called after what took that many ms: says what disturbed it since the last call, or ""."""

UNSTABLE = "unstable"


def quiet(done: int, total: int, note: str) -> None:
    """The default progress: says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How models are measured.

    Attributes:
        rounds: passes over all models; 5 for table points, 11 for finalists, 21 for an A/B.
        iterations: least runs of a round.
        round_ms: least length of a round.
        warmup_ms: least warm-up of the device, spent on the sentinel.
        warmup_cap_ms: where that warm-up ends even if it has not settled.
        model_cap_ms: the same for each model, which is warmed up once per session.
        agreement: the last three chunks of a warm-up agree within this.
        tolerance: how far the sentinel may be off its running median.
        memory: sentinel visits that the running median looks back on.
        sentinel_every: one slot in this many is the sentinel's.
        repeats: how often a disturbed segment is measured again.
        seed: of the orders.
    """

    rounds: int = 5
    iterations: int = 10
    round_ms: float = 10.0
    warmup_ms: float = 200.0
    warmup_cap_ms: float = 10_000.0
    model_cap_ms: float = 50.0
    agreement: float = 0.01
    tolerance: float = 0.03
    memory: int = 51
    sentinel_every: int = 10
    repeats: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("rounds", 1), ("iterations", 1), ("memory", 1), ("repeats", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be >= {least}, but got {getattr(self, name)}")
        if self.sentinel_every < 2:
            raise ValueError(f"sentinel_every must be >= 2, but got {self.sentinel_every}")
        if self.tolerance <= 0 or self.agreement <= 0:
            raise ValueError(
                "tolerance and agreement must be > 0, "
                f"but got {self.tolerance} and {self.agreement}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What `measure` found.

    Attributes:
        measurements: by model name; rounds in pass order, so two models can be paired by pass.
        minima: each round's fastest chunk, in the same order.
        rejected: rounds [ms] that were measured again because of a disturbance.
        sentinel: its median at each visit, in order.
        disturbances: what was seen, in order.
        settled: the device's warm-up agreed before its cap.
    """

    measurements: Mapping[str, Measurement]
    minima: Mapping[str, tuple[float, ...]]
    rejected: Mapping[str, tuple[float, ...]]
    sentinel: tuple[float, ...]
    disturbances: tuple[str, ...]
    settled: bool


def measure(
    models: Mapping[str, Runner],
    sentinel: Runner,
    protocol: Protocol,
    progress: Progress = quiet,
    *,
    watch: Watch | None = None,
    history: Sequence[float] = (),
    warm: bool = False,
) -> Session:
    """Measures `models` against each other.

    Args:
        watch: what else can tell a disturbance; by default CPU time lost to others.
        history: sentinel visits of earlier sessions on the same target, oldest first.
        warm: the device has just been measuring, and needs no long warm-up.
    """
    run = _Run(protocol, sentinel, watch or Contention(), list(history))
    run.warm(models, device_too=not warm)
    rng = np.random.default_rng(protocol.seed)
    names, span = sorted(models), protocol.sentinel_every - 1
    total = protocol.rounds * len(names)
    for number in range(protocol.rounds):
        order = [names[i] for i in rng.permutation(len(names))]
        for start in range(0, len(order), span):
            segment = order[start : start + span]
            run.segment({name: models[name] for name in segment})
            done = number * len(names) + start + len(segment)
            progress(done, total, f"pass {number + 1} of {protocol.rounds}")
    return run.session(names, len(history))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """A segment measured once, and how far the worse of its two sentinel visits was off."""

    taken: Mapping[str, Round]
    off: float
    calm: bool


@dataclass
class _Run:
    """The state of one session."""

    protocol: Protocol
    sentinel: Runner
    watch: Watch
    visits: list[float]
    settled: bool = True
    run_ms: dict[str, float] = field(default_factory=dict)
    sentinel_ms: float = 0.0
    off: float = 0.0
    rounds: dict[str, list[Round]] = field(default_factory=dict)
    rejected: dict[str, list[float]] = field(default_factory=dict)
    unstable: set[str] = field(default_factory=set)
    disturbances: list[str] = field(default_factory=list)

    def warm(self, models: Mapping[str, Runner], *, device_too: bool) -> None:
        p = self.protocol
        device = warm_up(
            self.sentinel,
            p.warmup_ms if device_too else 0.0,
            p.warmup_cap_ms if device_too else p.model_cap_ms,
            p.agreement,
        )
        self.settled = device.settled or not device_too
        self.sentinel_ms = device.run_ms
        for name, runner in models.items():
            self.run_ms[name] = warm_up(runner, 0.0, p.model_cap_ms, p.agreement).run_ms
        self.visit()
        self.watch(1.0)

    def visit(self) -> float:
        """Measures the sentinel, judges it against its running median, returns the ms spent."""
        p = self.protocol
        found = take_round(self.sentinel, self.sentinel_ms, p.iterations, p.round_ms)
        self.visits.append(found.median)
        usual = median(self.visits[-p.memory :])
        self.off = abs(found.median / usual - 1)
        if self.off > p.tolerance:
            self.disturbances.append(f"sentinel {found.median:.4g} ms, usually {usual:.4g} ms")
        return found.total_ms

    def segment(self, models: Mapping[str, Runner]) -> None:
        """Measures a few models between two sentinel visits, again if they were disturbed.

        Of attempts that were all disturbed, the one with the sentinel nearest its usual is kept.
        """
        attempts: list[_Attempt] = []
        for _ in range(self.protocol.repeats + 1):
            if attempts and self.off > self.protocol.tolerance:
                self.visit()
                self.watch(1.0)
            attempts.append(self._attempt(models))
            if attempts[-1].calm:
                break
        kept = min(attempts, key=lambda attempt: (not attempt.calm, attempt.off))
        for name, found in kept.taken.items():
            self.rounds.setdefault(name, []).append(found)
        for attempt in attempts:
            for name, found in attempt.taken.items() if attempt is not kept else ():
                self.rejected.setdefault(name, []).append(found.median)
        if not kept.calm:
            self.unstable.update(kept.taken)

    def _attempt(self, models: Mapping[str, Runner]) -> _Attempt:
        p, before = self.protocol, self.off
        taken = {
            name: take_round(runner, self.run_ms[name], p.iterations, p.round_ms)
            for name, runner in models.items()
        }
        spent = sum(found.total_ms for found in taken.values()) + self.visit()
        if noise := self.watch(spent):
            self.disturbances.append(noise)
        off = max(before, self.off)
        return _Attempt(taken=taken, off=off, calm=off <= p.tolerance and not noise)

    def session(self, names: Sequence[str], known: int) -> Session:
        return Session(
            measurements={
                name: measurement(
                    [found.median for found in self.rounds[name]],
                    (UNSTABLE,) if name in self.unstable else (),
                )
                for name in names
            },
            minima={name: tuple(f.minimum for f in self.rounds[name]) for name in names},
            rejected={name: tuple(values) for name, values in self.rejected.items()},
            sentinel=tuple(self.visits[known:]),
            disturbances=tuple(self.disturbances),
            settled=self.settled,
        )
