"""The smallest steps of measuring one model: warm it up, and take one round.

Needs no clock: a `Runner` says how long its runs took, and time passes only in runners. So the
whole protocol can be tested on simulated ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from profiler.backend import Runner

CHUNK_MS = 0.25
"""Runs are timed in chunks of about this length, so that reading the clock costs nothing."""
AGREEING = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round of one model: median and minimum over its chunks, and how long it all took."""

    median: float
    minimum: float
    total_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Warm:
    """How a warm-up ended: milliseconds a run, and whether the last chunks agreed."""

    run_ms: float
    settled: bool


def take_round(runner: Runner, run_ms: float, iterations: int, least_ms: float) -> Round:
    """One run that does not count, then at least `iterations` runs and `least_ms` milliseconds.

    The first run finds the caches full of the model before it, and costs up to a tenth more.

    Args:
        run_ms: about how long a run takes; decides how many are timed together.
    """
    size = max(1, round(CHUNK_MS / max(run_ms, 1e-4)))
    chunks: list[float] = []
    first = runner(1)
    total = 0.0
    while total < least_ms or len(chunks) * size < iterations:
        chunks.append(runner(size))
        total += chunks[-1] * size
    return Round(median=median(chunks), minimum=min(chunks), total_ms=first + total)


def warm_up(runner: Runner, least_ms: float, cap_ms: float, agreement: float) -> Warm:
    """Runs until the last three short rounds agree within `agreement`, or until `cap_ms`.

    Three rounds of at least 4 runs are always taken, even past the cap.
    """
    run_ms = runner(1)
    spent, medians = run_ms, []
    while True:
        last = take_round(runner, run_ms, iterations=3, least_ms=2.0)
        run_ms = last.median
        medians.append(run_ms)
        spent += last.total_ms
        if len(medians) < AGREEING:
            continue
        recent = medians[-AGREEING:]
        settled = max(recent) <= min(recent) * (1 + agreement)
        if spent >= cap_ms or (settled and spent >= least_ms):
            return Warm(run_ms=run_ms, settled=settled)
