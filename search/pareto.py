"""Pareto fronts of candidates: highest estimate at lowest cost, with deterministic ties."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search.lattice import Mask
from search.problem import Floats, SearchError
from search.searcher import Candidate


def nondominated(points: Floats) -> Mask:
    """Which points, [n, m], no other point beats in one column and equals or beats in the rest.

    All columns are minimised. Of equal points only the first is kept. O(n * front) time.
    """
    kept = np.zeros(len(points), dtype=np.bool_)
    front = np.zeros((0, points.shape[1]))
    # In lexicographic order nothing later can dominate what is already on the front; lexsort is
    # stable, so that of equal points the first comes first.
    for at in np.lexsort(points.T[::-1]):
        if not (front <= points[at]).all(axis=1).any():
            kept[at] = True
            front = np.concatenate([front, points[at][None]])
    return kept


def scored(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates that have an estimate, in order."""
    return [c for c in candidates if c.estimate is not None]


def front(candidates: Sequence[Candidate], *metrics: str) -> list[Candidate]:
    """The scored candidates that no other beats in estimate and all `metrics`, best first.

    Raises:
        SearchError: no metric, or one that a candidate has no cost for.
    """
    points, known = _points(candidates, metrics)
    kept = np.flatnonzero(nondominated(points))
    order = sorted(kept.tolist(), key=lambda at: tuple(points[at]))
    return [known[at] for at in order]


def pick(candidates: Sequence[Candidate], k: int, metric: str) -> list[Candidate]:
    """Up to `k` distinct finalists: the best, then along the front, each cheaper than the last.

    Where the front is shorter than `k`, the best of the rest by estimate follow.
    """
    chosen = front(candidates, metric)[:k]
    used = {c.config for c in chosen}
    points, known = _points(candidates, (metric,))
    for at in np.lexsort(points.T[::-1]).tolist():
        if len(chosen) < k and known[at].config not in used:
            used.add(known[at].config)
            chosen.append(known[at])
    return chosen


def hypervolume(
    candidates: Sequence[Candidate], metric: str, *, estimate: float, cost: float
) -> float:
    """Area between the front and the reference point (`estimate`, `cost`), the worst of both.

    In units of the estimate times units of the metric. Candidates not better than the
    reference in both add nothing (Zitzler & Thiele 1999, two objectives).
    """
    area, floor = 0.0, estimate
    for candidate in reversed(front(candidates, metric)):
        assert candidate.estimate is not None
        if candidate.estimate > floor and candidate.costs[metric] < cost:
            area += (candidate.estimate - floor) * (cost - candidate.costs[metric])
            floor = candidate.estimate
    return area


def _points(
    candidates: Sequence[Candidate], metrics: Sequence[str]
) -> tuple[Floats, list[Candidate]]:
    """(-estimate, cost, ...) of every scored candidate, and those candidates."""
    if not metrics:
        raise SearchError("a front needs at least one metric, but got none")
    known = scored(candidates)
    try:
        rows = [[-(c.estimate or 0.0), *(c.costs[m] for m in metrics)] for c in known]
    except KeyError as error:
        names = ", ".join(known[0].costs)
        raise SearchError(f"a metric must be one of {names}, but got {error}") from None
    return np.array(rows, dtype=np.float64).reshape(-1, 1 + len(metrics)), known
