"""Statistics of repeated measurements: median, bootstrap interval, variation, paired ratio.

Knows nothing of what was measured. Few rounds (5 to 11) are the rule here; the percentile
bootstrap of a median is then wide, close to the range of the rounds, which is what they warrant.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from latency_tables.table import Measurement

RESAMPLES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A median with its 95 % interval; `lo <= median <= hi`."""

    median: float
    lo: float
    hi: float


def interval(values: Sequence[float], seed: int = 0) -> Interval:
    """Median of `values` with its 95 % percentile-bootstrap interval (Efron 1979).

    Raises:
        ValueError: no values.
    """
    if not len(values):
        raise ValueError("a median needs at least 1 value, but got none")
    sample = np.asarray(values, dtype=np.float64)
    median = float(np.median(sample))
    medians = np.median(sample[_resamples(len(sample), seed)], axis=1)
    lo, hi = (float(q) for q in np.quantile(medians, (0.025, 0.975)))
    return Interval(median=median, lo=min(lo, median), hi=max(hi, median))


def wilson(share: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share seen in `n` trials (Wilson 1927)."""
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def variation(values: Sequence[float]) -> float:
    """Coefficient of variation: sample standard deviation over mean; 0 for a single value."""
    sample = np.asarray(values, dtype=np.float64)
    return float(sample.std(ddof=1) / sample.mean()) if len(sample) > 1 else 0.0


def paired_ratio(a: Sequence[float], b: Sequence[float], seed: int = 0) -> Interval:
    """Median of `a[i] / b[i]` over passes, with its interval: b is that many times as fast as a.

    Raises:
        ValueError: the two were not measured in the same passes.
    """
    if len(a) != len(b):
        raise ValueError(f"paired rounds must be as many, but got {len(a)} and {len(b)}")
    return interval([x / y for x, y in zip(a, b, strict=True)], seed)


def measurement(
    rounds: Sequence[float],
    flags: Sequence[str] = (),
    seed: int = 0,
    *,
    levels: Sequence[float] = (),
) -> Measurement:
    """The rounds' medians [ms] of one model, summed up as a table row.

    Args:
        levels: how slow the machine was during each round, 1 being its usual; the figures are
            those of the rounds divided by them. As many as rounds, or none.
    """
    kept, scale = [_short(value) for value in rounds], [_short(level) for level in levels]
    adjusted = [r / level for r, level in zip(kept, scale, strict=True)] if scale else kept
    found = interval(adjusted, seed)
    return Measurement(
        median=_short(found.median),
        lo=_short(found.lo),
        hi=_short(found.hi),
        rounds=tuple(kept),
        levels=tuple(scale),
        flags=tuple(flags),
    )


def _short(value: float) -> float:
    """Six digits: more than any clock tells, and a third of the file."""
    return float(f"{value:.6g}")


@lru_cache(maxsize=16)
def _resamples(n: int, seed: int) -> npt.NDArray[np.int64]:
    """Indices [RESAMPLES, n], the same for every model of a table."""
    return np.random.default_rng(seed).integers(0, n, size=(RESAMPLES, n))
