"""The measurement protocol: interleaved passes, a sentinel, and rejection of what was disturbed.

Models of a session are measured in fresh random order each pass, so that drift does not favour
any of them; every so many slots is a sentinel's, the same model in all sessions. How fast the
machine was is read off all rounds together (`profiler.drift`). Rounds taken while it was off its
usual, or while others took CPU time, are measured again in passes of their own at the end: while a
disturbance lasts, a repeat is disturbed too. What stays disturbed is flagged, and keeps its
numbers. Knows nothing of runtimes, tables and clocks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from latency_tables.table import Measurement
from profiler.backend import Remarking, Remarks, Runner
from profiler.drift import Drift, drift
from profiler.machine import Contention
from profiler.protocol import Protocol
from profiler.rounds import Round, take_round, warm_up
from profiler.stats import measurement

Progress = Callable[[int, int, str], None]
Watch = Callable[[float], str]
"""Called after what took that many ms: says what disturbed it since the last call, or ""."""

UNSTABLE = "unstable"
SENTINEL = "sentinel"
MANY = 0.2
"""A model is unstable if a larger share of the rounds that count was disturbed."""
USUAL = 0.25
"""This quantile of the levels is the machine's usual: disturbances only ever add time."""


def quiet(done: int, total: int, note: str) -> None:
    """The default progress: says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What `measure` found.

    Attributes:
        measurements: by model name; rounds in pass order, so two models can be paired by pass.
        minima: each round's fastest chunk, in the same order.
        rejected: rounds [ms] that were measured again because of a disturbance.
        sentinel: its median at each visit, in order.
        level: the sentinel's median over the visits that count, in ms.
        disturbances: what was seen, in order.
        disturbed: share of all rounds taken that were disturbed.
        settled: the device's warm-up agreed before its cap.
        huge_pages: share of the measuring process's memory in huge pages, where known.
    """

    measurements: Mapping[str, Measurement]
    minima: Mapping[str, tuple[float, ...]]
    rejected: Mapping[str, tuple[float, ...]]
    sentinel: tuple[float, ...]
    level: float
    disturbances: tuple[str, ...]
    disturbed: float
    settled: bool
    huge_pages: float | None = None


def measure(
    models: Mapping[str, Runner],
    sentinel: Runner,
    protocol: Protocol,
    progress: Progress = quiet,
    *,
    watch: Watch | None = None,
    warm: bool = False,
) -> Session:
    """Measures `models` against each other.

    Args:
        watch: what else can tell a disturbance; by default CPU time lost to others.
        warm: the device has just been measuring, and needs no long warm-up.

    Raises:
        ValueError: no model, or one named like the sentinel.
    """
    if not models or SENTINEL in models:
        raise ValueError(f"models must be at least 1, none called {SENTINEL!r}, got {list(models)}")
    run = _Run(protocol, sentinel, models, watch or Contention(), progress)
    run.warm(device_too=not warm)
    names = sorted(models)
    for number in range(protocol.rounds):
        run.one_pass([(name, number) for name in names], f"pass {number + 1} of {protocol.rounds}")
    for _ in range(protocol.repeats):
        again = run.set_aside()
        if not again:
            break
        run.one_pass(again, f"{len(again)} disturbed rounds again")
    return run.session(names)


Key = tuple[str, int]
"""A model and the pass that a round stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slot:
    """A round, when it was taken, and what disturbed it from outside."""

    key: Key
    at_ms: float
    taken: Round
    noise: bool


@dataclass
class _Run:
    """The state of one session."""

    protocol: Protocol
    sentinel: Runner
    models: Mapping[str, Runner]
    watch: Watch
    progress: Progress
    now_ms: float = 0.0
    settled: bool = True
    run_ms: dict[str, float] = field(default_factory=dict)
    slots: list[_Slot] = field(default_factory=list)
    counting: dict[Key, int] = field(default_factory=dict)
    rejected: dict[str, list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    rng: np.random.Generator = field(init=False)
    visits: int = 0
    regular: int = 0

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.protocol.seed)

    def warm(self, *, device_too: bool) -> None:
        p = self.protocol
        least, cap = (p.warmup_ms, p.warmup_cap_ms) if device_too else (0.0, p.model_cap_ms)
        device = warm_up(self.sentinel, least, cap, p.agreement)
        self.settled = device.settled or not device_too
        self.run_ms[SENTINEL] = device.run_ms
        for name, runner in self.models.items():
            self.run_ms[name] = warm_up(runner, 0.0, p.model_cap_ms, p.agreement).run_ms
        self.watch(1.0)

    def one_pass(self, keys: Sequence[Key], note: str) -> None:
        """Takes these rounds in random order, with the sentinel every so many slots."""
        order = [keys[i] for i in self.rng.permutation(len(keys))]
        span = self.protocol.sentinel_every - 1
        total = self.protocol.rounds * len(self.models)
        for start in range(0, len(order), span):
            segment = [self._visit(), *order[start : start + span]]
            first, began = len(self.slots), self.now_ms
            for key in segment:
                self._take(key)
            if noise := self.watch(self.now_ms - began):
                self.notes.append(noise)
                self._disturbed_since(first)
            self.progress(min(total, len(self.counting) - self.visits), total, note)

    def _visit(self) -> Key:
        self.visits += 1
        return (SENTINEL, self.visits)

    def _take(self, key: Key) -> None:
        name, p = key[0], self.protocol
        runner = self.sentinel if name == SENTINEL else self.models[name]
        taken = take_round(runner, self.run_ms[name], p.iterations, p.round_ms)
        self.counting[key] = len(self.slots)
        at = self.now_ms + taken.total_ms / 2
        self.slots.append(_Slot(key=key, at_ms=at, taken=taken, noise=False))
        self.now_ms += taken.total_ms

    def _disturbed_since(self, first: int) -> None:
        for index in range(first, len(self.slots)):
            slot = self.slots[index]
            self.slots[index] = _Slot(key=slot.key, at_ms=slot.at_ms, taken=slot.taken, noise=True)

    def drift(self) -> Drift:
        """The machine's level at each slot, 1 being its usual in the regular passes."""
        found = drift(
            [slot.key[0] for slot in self.slots],
            [slot.taken.median for slot in self.slots],
            [slot.at_ms for slot in self.slots],
        )
        regular = slice(0, self.regular or len(self.slots))
        return replace(
            found,
            levels=found.levels / np.quantile(found.levels[regular], USUAL),
            nearby=found.nearby / np.quantile(found.nearby[regular], USUAL),
        )

    def disturbed(self, level: Drift) -> npt.NDArray[np.bool_]:
        """Which slots do not count, [slots]."""
        seen = np.maximum(np.abs(level.nearby - 1), np.abs(level.levels - 1))
        noise = np.array([slot.noise for slot in self.slots])
        off: npt.NDArray[np.bool_] = (seen > self.protocol.tolerance) | noise
        return off

    def set_aside(self) -> list[Key]:
        """Rounds of models that count and should not; they are to be taken again."""
        self.regular = self.regular or len(self.slots)
        level = self.drift()
        bad = self.disturbed(level)
        keys = [k for k, i in self.counting.items() if k[0] != SENTINEL and bad[i]]
        if not keys:
            return []
        worst = max(float(abs(level.nearby[self.counting[key]] - 1)) for key in keys)
        self.notes.append(
            f"{len(keys)} rounds taken while the machine was up to {100 * worst:.1f} % off"
        )
        for key in keys:
            self.rejected.setdefault(key[0], []).append(self.slots[self.counting[key]].taken.median)
        return keys

    def session(self, names: Sequence[str]) -> Session:
        level = self.drift()
        bad, levels = self.disturbed(level), level.levels
        by_name = {
            name: [self.counting[(name, number)] for number in range(self.protocol.rounds)]
            for name in names
        }
        visits = [i for i, slot in enumerate(self.slots) if slot.key[0] == SENTINEL]
        calm = [i for i in visits if not bad[i]] or visits
        scale = levels if self.protocol.correct else np.ones(len(levels))
        return Session(
            measurements={
                name: self._summed_up(name, indices, scale, bad)
                for name, indices in by_name.items()
            },
            minima={n: tuple(self.slots[i].taken.minimum for i in by_name[n]) for n in names},
            rejected={name: tuple(values) for name, values in self.rejected.items()},
            sentinel=tuple(self.slots[i].taken.median for i in visits),
            level=float(np.median([self.slots[i].taken.median / scale[i] for i in calm])),
            disturbances=tuple(self.notes),
            disturbed=float(bad.mean()),
            settled=self.settled,
        )

    def _summed_up(
        self,
        name: str,
        indices: Sequence[int],
        scale: npt.NDArray[np.float64],
        bad: npt.NDArray[np.bool_],
    ) -> Measurement:
        """The rounds that count of one model, with what its runner has to say."""
        runner = self.models[name]
        remarks = runner.remarks() if isinstance(runner, Remarking) else Remarks()
        unstable = (UNSTABLE,) if bad[indices].mean() > MANY else ()
        found = measurement(
            [self.slots[i].taken.median for i in indices],
            (*unstable, *remarks.flags),
            levels=[float(scale[i]) for i in indices],
        )
        return replace(found, notes=remarks.notes)
