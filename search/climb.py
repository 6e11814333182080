"""`climb`: local search of an explicit model under the limits, many rows in step.

A move changes one gene or two at once, so that one may widen while another pays for it. What a
single change costs is priced, what two cost is taken for the sum; the best few are then priced as
they are, so that no row ever breaks a limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search.basis import Basis
from search.lattice import Index, Lattice, Mask
from search.problem import Floats
from search.sampling import Sampler
from search.surrogate import Model

_STEPS = (-3, -2, -1, 1, 2, 3)
_SHORTLIST = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Visited:
    """Feasible rows that one climb looked at, with the model's values."""

    rows: Index
    values: Floats


class Limits:
    """Costs as shares of a problem's limits, so that 1 is the most."""

    def __init__(self, sampler: Sampler) -> None:
        problem = sampler.problem
        self._metrics = [(problem.metrics[c.metric], c.limit) for c in problem.constraints]
        self._sampler = sampler
        self.lattice = sampler.lattice

    def shares(self, index: Index) -> Floats:
        """Cost over limit, [n, limits]."""
        rows = self.lattice.rows(index)
        shares = [np.asarray(metric(rows), dtype=np.float64) / u for metric, u in self._metrics]
        return np.stack(shares, axis=1) if shares else np.zeros((len(index), 0))

    def hold(self, index: Index, tight: Floats) -> Mask:
        """Whether rows [n, k, genes] meet the problem's limits and their own `tight`, [n, k]."""
        flat = index.reshape(-1, index.shape[2])
        shares = self.shares(flat).reshape(*index.shape[:2], -1)
        fits: Mask = np.all(shares <= tight[:, None, None], axis=2)
        return fits & self._sampler.feasible(flat).reshape(fits.shape)


def climb(
    limits: Limits,
    basis: Basis,
    models: Sequence[Model],
    start: Index,
    *,
    tight: Floats,
    rounds: int,
) -> list[Visited]:
    """Climbs from each row of `start` by its own model.

    Args:
        models: one per row.
        start: rows within `tight`, [n, genes].
        tight: largest share of every limit that a row may use, at most 1, per row, [n].
        rounds: most moves of a row.
    """
    moves = _Moves(limits.lattice)
    row, value = start.copy(), _values(basis, models, start[:, None])[:, 0]
    visited = [([one], [float(v)]) for one, v in zip(start, value, strict=True)]
    active = np.arange(len(row))
    for _ in range(rounds):
        if not len(active):
            break
        own = [models[at] for at in active.tolist()]
        near = _shortlist(limits, moves, basis, own, row[active], tight[active])
        fits = limits.hold(near, tight[active])
        found = np.where(fits, _values(basis, own, near), -np.inf)
        for place, at in enumerate(active.tolist()):
            visited[at][0].extend(near[place][fits[place]])
            visited[at][1].extend(found[place][fits[place]].tolist())
        best = found.argmax(axis=1)
        top = found[np.arange(len(active)), best]
        better = top > value[active]
        row[active[better]] = near[better, best[better]]
        value[active[better]] = top[better]
        active = active[better]
    return [Visited(rows=np.array(rows), values=np.array(values)) for rows, values in visited]


class _Moves:
    """Steps of one gene, and of both genes of a block that may be removed.

    Attributes:
        steps: what a move adds to a row, [moves, genes].
        group: two moves of one group exclude each other, [moves].
    """

    def __init__(self, lattice: Lattice) -> None:
        unit = np.eye(len(lattice.sizes), dtype=np.int64)
        both = unit[lattice.pairs].sum(axis=1) if len(lattice.pairs) else unit[:0]
        which = np.arange(len(unit))
        if len(lattice.pairs):
            which[lattice.pairs[:, 1]] = lattice.pairs[:, 0]
        group = np.concatenate([which, which[lattice.pairs[:, 0]]])
        self.steps = np.concatenate([step * np.concatenate([unit, both]) for step in _STEPS])
        self.group = np.tile(group, len(_STEPS))


def _shortlist(
    limits: Limits,
    moves: _Moves,
    basis: Basis,
    models: Sequence[Model],
    row: Index,
    tight: Floats,
) -> Index:
    """The moves that promise most within the limits, [n, shortlist, genes]; idle ones repeat."""
    lattice, (n, genes), count = limits.lattice, row.shape, len(moves.steps)
    moved = np.clip(row[:, None] + moves.steps, 0, lattice.sizes - 1).reshape(-1, genes)
    moved = lattice.canonical(moved)
    shares = limits.shares(np.concatenate([row, moved]))
    extra = shares[n:].reshape(n, count, -1) - shares[:n, None]
    step = moved.reshape(n, count, genes) - row[:, None]
    here = basis(row)
    slopes = np.concatenate([m.slopes(here[at : at + 1]) for at, m in enumerate(models)])
    rise = basis(moved).reshape(n, count, -1) - here[:, None]
    gain = np.einsum("nmf,nf->nm", rise, slopes)
    gain[(step == 0).all(axis=2)] = -np.inf
    both = _pairs(gain, extra, tight[:, None] - shares[:n], moves.group).reshape(n, -1)
    most = min(_SHORTLIST, both.shape[1])
    chosen = np.argpartition(-both, most - 1, axis=1)[:, :most]
    real = np.isfinite(np.take_along_axis(both, chosen, axis=1))
    one, two = np.divmod(chosen, count)
    each = np.arange(n)[:, None]
    second = np.where((one == two)[:, :, None], 0, step[each, two])
    total = np.where(real[:, :, None], step[each, one] + second, 0)
    near: Index = row[:, None] + total
    return near


def _pairs(gain: Floats, extra: Floats, room: Floats, group: Index) -> Floats:
    """Summed gain of two moves, -inf where they cost too much, [n, moves, moves].

    On the diagonal a move stands alone; below it, and where two exclude each other, is -inf.
    """
    moves = len(group)
    both = gain[:, :, None] + gain[:, None]
    alone = np.arange(moves)
    both[:, alone, alone] = gain
    for limit in range(extra.shape[2]):
        cost = extra[:, :, None, limit] + extra[:, None, :, limit]
        cost[:, alone, alone] = extra[:, :, limit]
        both[cost > room[:, limit, None, None]] = -np.inf
    ruled_out = np.tril(np.ones((moves, moves), dtype=np.bool_), -1)
    ruled_out |= (group[:, None] == group) & ~np.eye(moves, dtype=np.bool_)
    both[:, ruled_out] = -np.inf
    return both


def _values(basis: Basis, models: Sequence[Model], rows: Index) -> Floats:
    """Each row's alternatives [n, k, genes] by its own model, [n, k]."""
    return np.stack([model.values(basis(near)) for model, near in zip(models, rows, strict=True)])
