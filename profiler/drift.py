"""How fast the machine was at every moment, seen by all models of a session together.

What slows a machine (clocks, neighbours on its host) slows every model by about the same factor
and lasts longer than a round. So the rounds taken around one tell how fast the machine was during
it: each model's deviation from its own median, averaged over the rounds of *other* models nearby,
weighted by how near they are. How far to look and how much of it to believe is decided by what
explains the rounds best; where models have nothing in common, nothing is corrected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
REACHES_MS = (50.0, 200.0, 800.0, 3_000.0, 12_000.0)
CLIP = 0.5  # log; one spike must not speak for its neighbours
PASSES = 3
BESIDE = 3
"""Rounds on either side that tell where a disturbance begins and ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """The machine's level at every round.

    Attributes:
        levels: relative slowness at each round, [n]; 1 is the session's median.
        nearby: the same as the few rounds beside each one see it, [n]: noisier, but it knows
            where a disturbance begins and ends.
        share: how much of the rounds' variance within models it explains, 0 to 1.
        reach_ms: how far its memory goes.
    """

    levels: Floats
    nearby: Floats
    share: float
    reach_ms: float


def drift(names: Sequence[str], values: npt.ArrayLike, at_ms: npt.ArrayLike) -> Drift:
    """Estimates the level at each round.

    Args:
        names: the model of each round, [n].
        values: its latency in ms, [n].
        at_ms: when it was taken, in ms, [n].
    """
    ids = np.unique(np.asarray(names), return_inverse=True)[1]
    logs, at = np.log(np.asarray(values, dtype=np.float64)), np.asarray(at_ms, dtype=np.float64)
    best, share, at_reach = np.zeros(len(ids)), 0.0, 0.0
    if len(ids) < 3 or ids.max(initial=0) == 0:
        return Drift(levels=np.exp(best), nearby=np.exp(best), share=share, reach_ms=at_reach)
    others = ids[:, None] != ids[None, :]
    apart = np.abs(at[:, None] - at[None, :])
    for reach in REACHES_MS:
        weights = np.where(others, np.exp(-apart / reach), 0.0)
        found, explained = _levels(ids, logs, weights)
        if explained > share:
            best, share, at_reach = found, explained, reach
    beside = _beside(ids, logs - _centres(ids, logs - best))
    return Drift(levels=np.exp(best), nearby=np.exp(beside), share=share, reach_ms=at_reach)


def _levels(ids: npt.NDArray[np.int64], logs: Floats, weights: Floats) -> tuple[Floats, float]:
    """Logarithms of the levels, and the share of variance they explain."""
    total = weights.sum(axis=1) + 1e-9
    level: Floats = np.zeros(len(logs))
    left = found = 1.0
    for _ in range(PASSES):
        residual = logs - _centres(ids, logs - level)
        clipped = np.clip(residual, -CLIP, CLIP)
        around = weights @ clipped / total
        around -= np.median(around)
        spread = float(around @ around)
        slope = float(np.clip(around @ clipped / spread, 0, 1)) if spread > 0 else 0.0
        level = slope * around
        left, found = float(((clipped - level) ** 2).sum()), float((clipped**2).sum())
    return level, max(0.0, 1 - left / found) if found > 0 else 0.0


def _beside(ids: npt.NDArray[np.int64], residual: Floats) -> Floats:
    """The median of the residuals of the rounds beside each one, its own model's left out, [n]."""
    found = np.zeros(len(ids))
    for index in range(len(ids)):
        near = slice(max(0, index - BESIDE), index + BESIDE + 1)
        others = residual[near][ids[near] != ids[index]]
        found[index] = np.median(others) if len(others) else 0.0
    return found


def _centres(ids: npt.NDArray[np.int64], logs: Floats) -> Floats:
    """The median of each round's model, [n]."""
    medians = np.array([np.median(logs[ids == one]) for one in range(ids.max() + 1)])
    centred: Floats = medians[ids]
    return centred
