"""Where to cut a distribution so that eight bits lose the least information.

Migacz 2017 (GTC S7310): of all thresholds, the one whose distribution in 128 levels is nearest to
the clipped one in Kullback and Leibler's sense. onnxruntime has the same search in Python loops,
which take 20 seconds for a ResNet50, count a ReLU's zeros, and leave a map that is never negative
half of the levels; at its own 128 bins it can only answer the largest value.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LEVELS = 128
_FLOOR = 1e-10  # a level that is empty where values were clipped to would cost infinitely much

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def threshold(counts: Counts) -> int:
    """How many bins of magnitudes to keep.

    Args:
        counts: histogram of magnitudes, over bins of equal width from zero.

    Returns:
        Between `LEVELS` and all bins; all bins where there are fewer.
    """
    kept = range(min(LEVELS, len(counts)), len(counts) + 1)
    return min(kept, key=lambda end: divergence(counts, end))


def folded(counts: Counts) -> Counts:
    """Magnitudes of a histogram over an even number of bins, centred at zero.

    Exact zeros, which a ReLU makes most of, need no level: the first bin is made like the second.
    """
    middle = len(counts) // 2
    found: Counts = counts[middle:] + counts[:middle][::-1]
    found[:1] = found[1:2]
    return found


def divergence(counts: Counts, end: int) -> float:
    """KL(magnitudes clipped to `end` bins || those in `LEVELS` levels), in nats."""
    inside = counts[:end].astype(np.float64)
    clipped = inside.copy()
    clipped[-1] += counts[end:].sum()
    total, kept = clipped.sum(), clipped > 0
    if not total:
        return 0.0
    coarse = _in_levels(inside, kept)
    p = clipped[kept] / total
    q = np.maximum(coarse[kept] / max(coarse.sum(), _FLOOR), _FLOOR)
    return float((p * np.log(p / q)).sum())


def _in_levels(inside: Floats, present: npt.NDArray[np.bool_]) -> Floats:
    """Counts merged into levels, and each level's spread evenly over its bins that hold any."""
    width = max(1, len(inside) // LEVELS)
    starts = np.arange(0, min(LEVELS, len(inside)) * width, width)
    merged = np.add.reduceat(inside, starts)
    places = np.add.reduceat(present.astype(np.float64), starts)
    level = np.minimum(np.arange(len(inside)) // width, len(starts) - 1)
    spread: Floats = np.where(present, (merged / np.maximum(places, 1.0))[level], 0.0)
    return spread
