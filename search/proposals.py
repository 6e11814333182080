"""Configs that pruning criteria propose: layer-wise widths of a global threshold, within limits.

A criterion gives every channel an importance that is comparable between layers; the channels above
one threshold make a config (as in Liu et al. 2017, "Network Slimming"), and the threshold is the
lowest whose config, on the space's widths, meets the limits. Knows nothing of networks or weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from search.lattice import Lattice
from search.problem import Problem, SearchError
from supernet.config import ChannelConfig

Importance = Mapping[int, npt.NDArray[np.float64]]
"""By column of a population row, the importance of each channel, >= 0."""

_THRESHOLDS = 2048


def proposed(problem: Problem, importance: Importance) -> ChannelConfig:
    """The widest config above a threshold that meets every limit.

    Where a band of limits leaves no such config, it is the one that breaks them least. A block
    is never removed, unless nothing else is allowed.

    Raises:
        SearchError: a gene without importance, or channels whose importance is not finite.
    """
    space, lattice = problem.space, Lattice(problem.space)
    curves = _curves(problem, importance)
    every = np.sort(np.concatenate(curves))
    steps = np.linspace(0, len(every) - 1, min(_THRESHOLDS, len(every))).astype(np.int64)
    thresholds = np.unique(every[steps])
    genes = np.stack([_kept(curve, thresholds) for curve in curves], axis=1)
    index = lattice.nearest(np.maximum(genes, 1))
    index = lattice.canonical(np.maximum(index, lattice.narrowest()))
    excess = problem.excess(lattice.rows(index))
    # Of several that meet the limits the lowest threshold, which keeps most.
    best = int(np.argmax(excess == 0)) if (excess == 0).any() else int(np.argmin(excess))
    config = lattice.configs(index[best : best + 1])[0]
    space.check(config)
    return config


def combined(importances: Sequence[Importance]) -> Importance:
    """The mean of several, after each channel's importance became its rank among all channels.

    Ranks, because criteria differ in scale: one would decide alone otherwise.

    Raises:
        SearchError: none, or importances of other channels.
    """
    if not importances:
        raise SearchError("a combination needs at least one importance, but got none")
    shapes = [{column: len(values) for column, values in one.items()} for one in importances]
    if any(shape != shapes[0] for shape in shapes):
        raise SearchError("importances can be combined only of the same channels")
    columns = sorted(importances[0])
    ends = np.cumsum([len(importances[0][column]) for column in columns])[:-1]
    total = np.zeros(sum(shapes[0].values()))
    for one in importances:
        flat = np.concatenate([one[column] for column in columns])
        total += np.searchsorted(np.sort(flat), flat) / len(flat)
    return dict(zip(columns, np.split(total / len(importances), ends), strict=True))


def _curves(problem: Problem, importance: Importance) -> list[npt.NDArray[np.float64]]:
    """Per gene, the importance of its best channel, its second best, and so on."""
    space = problem.space
    curves = []
    for gene, name in enumerate(space.names):
        columns = np.flatnonzero(space.columns == gene)
        found = [np.sort(importance[c])[::-1] for c in columns.tolist() if c in importance]
        if len(found) != len(columns) or not all(np.isfinite(f).all() for f in found):
            raise SearchError(f"{name} needs a finite importance of each of its channels")
        curves.append(np.mean(found, axis=0))
    return curves


def _kept(
    curve: npt.NDArray[np.float64], thresholds: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """How many channels reach each threshold."""
    return len(curve) - np.searchsorted(curve[::-1], thresholds, side="left")
