"""How else the points of a sweep could have come out: draws under their measured noise.

Rounds are drawn again with replacement (bootstrap, Efron 1979); points without rounds enough are
drawn from a normal distribution as wide as their interval. What differs between whole sessions but
not between the rounds of one is in no round, so draws know nothing of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from latency_tables.sweeps import Floats

DRAWS = 500
FEWEST = 4  # rounds below which their bootstrap has hardly any values to take
FLOOR = 0.002  # no timer and no machine repeats better than this, relative


def draws(
    y: Floats, low: Floats, high: Floats, rounds: Sequence[Sequence[float]] | None, sigma: float
) -> Floats:
    """Sweeps that would have been as likely, [DRAWS, n] in ms.

    Args:
        y: latencies in ms, [n].
        low, high: their 95 % intervals in ms, [n].
        rounds: each point's rounds in ms, freed of drift; None where there are none.
        sigma: relative standard error of the typical point; the draws are scaled to it, so that
            points keep their noise relative to each other.
    """
    rng = np.random.default_rng(0)
    off = rng.standard_normal((DRAWS, len(y))) * (high - low) / (2 * 1.96 * y)
    for index, values in enumerate(rounds or ()):
        if len(values) >= FEWEST:
            off[:, index] = _bootstrap(np.asarray(values, dtype=np.float64), rng)
    typical = float(np.median(off.std(axis=0)))
    if typical > 0:
        off *= sigma / typical
    off += FLOOR * rng.standard_normal(off.shape)
    drawn: Floats = y * np.maximum(1 + off, 0.1)
    return drawn


def _bootstrap(values: Floats, rng: np.random.Generator) -> Floats:
    """Relative deviations of resampled medians from the median, [DRAWS]."""
    picks = rng.integers(0, len(values), (DRAWS, len(values)))
    found: Floats = np.median(values[picks], axis=1) / np.median(values) - 1
    return found
