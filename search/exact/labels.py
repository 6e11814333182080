"""Label setting: every path that could still beat a threshold, until the best of them is proved.

Labels run along the chain with what they gained and used. Dropped are those that even the cheapest
completion takes over a limit, those that no prices let reach the threshold, and those that another
of the same state dominates. The threshold falls from the dual bound until a path within the limits
is found; as nothing that could beat it was dropped, it is the optimum. Knows nothing of configs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from search.exact.chain import Path
from search.exact.dual import Dual, Program
from search.lattice import Index
from search.problem import Floats

_GROWTH = 3.0
_FIRST = 1e-6  # of the gains' span
_COMPARED = 24
_CHILDREN = 40  # made per label kept, before any is dropped
_CHUNK = 1_000_000  # made at a time
_SAME = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a label search ended with.

    Attributes:
        path: the best within the limits; None where none was found.
        gain: of the path; -inf without.
        bound: no path within the limits gains more; -inf where none is within them.
        labels: how many labels were kept, over all layers and rounds.
    """

    path: Path | None
    gain: float
    bound: float
    labels: int


@dataclass(frozen=True, slots=True)
class _Labels:
    """Partial paths that end at one boundary: state, gain and use of each."""

    state: Index
    gain: Floats
    use: Floats


class _Rounds:
    """Label searches of one program at falling thresholds."""

    def __init__(self, program: Program, dual: Dual, most: int) -> None:
        chain = program.chain
        self.program, self.most, self.prices = program, most, dual.tried
        pairs = zip(program.gain, program.use, strict=True)
        many = [gain[:, None] - use @ dual.tried.T for gain, use in pairs]
        self.ahead = chain.behind(many)
        self.allowed = dual.tried @ program.limit
        self.cheapest = [-a for a in chain.behind([-u for u in program.use])]
        self.room = program.limit + _SAME * np.abs(program.limit)
        self.order = []
        for layer, score, after in zip(chain.layers, many, self.ahead[1:], strict=True):
            reach = score[:, 0] + after[layer.target, 0]
            order = np.lexsort((-reach, layer.source))
            self.order.append((order, reach[order]))
        self.labels = 0

    def run(self, threshold: float) -> tuple[Path | None, float, float]:
        """Best path of at least `threshold`, its gain, and the bound of what was left out."""
        here = _Labels(np.zeros(1, np.int64), np.zeros(1), np.zeros((1, len(self.program.limit))))
        trail: list[tuple[Index, Index]] = []
        dropped = -np.inf
        for at in range(len(self.program.chain.layers)):
            here, parent, edge, lost = self._step(at, here, threshold)
            dropped = max(dropped, lost)
            trail.append((parent, edge))
            self.labels += len(edge)
            if not len(edge):
                return None, -np.inf, dropped
        best = int(np.argmax(here.gain))
        path: Path = []
        label = best
        for parent, edge in reversed(trail):
            path.append(int(edge[label]))
            label = int(parent[label])
        return path[::-1], float(here.gain[best]), dropped

    def _step(
        self, at: int, here: _Labels, threshold: float
    ) -> tuple[_Labels, Index, Index, float]:
        """The labels behind layer `at`, whence and by which edge they came, and what was lost."""
        layer, (_, reach) = self.program.chain.layers[at], self.order[at]
        reduced = here.gain - here.use @ self.prices[0] + self.allowed[0]
        counts = _counts(layer.starts, reach, here.state, threshold - reduced)
        lost = self._ration(at, here, reduced, counts)
        slices = np.unique(np.cumsum(counts) // _CHUNK, return_index=True)[1]
        parts = [
            self._children(at, here, threshold, counts[start:stop], start)
            for start, stop in zip(slices, [*slices[1:], len(counts)], strict=True)
        ]
        state, gain, use, parent, edge, bound = map(np.concatenate, zip(*parts, strict=True))
        kept = _undominated(state, gain, use)
        if len(kept) > self.most:
            rank = np.argpartition(-bound[kept], self.most)
            lost = max(lost, float(bound[kept[rank[self.most :]]].max()))
            kept = np.sort(kept[rank[: self.most]])
        return _Labels(state[kept], gain[kept], use[kept]), parent[kept], edge[kept], lost

    def _children(
        self, at: int, here: _Labels, threshold: float, counts: Index, first: int
    ) -> tuple[Index, Floats, Floats, Index, Index, Floats]:
        """State, gain, use, parent, edge and bound of what labels from `first` on lead to."""
        layer, (order, _) = self.program.chain.layers[at], self.order[at]
        parent = np.repeat(np.arange(first, first + len(counts)), counts)
        offset = np.arange(len(parent)) - np.repeat(np.cumsum(counts) - counts, counts)
        edge = order[layer.starts[here.state[parent]] + offset]
        state = layer.target[edge]
        use = here.use[parent] + self.program.use[at][edge]
        fits = (use + self.cheapest[at + 1][state] <= self.room).all(axis=1)
        parent, edge, state, use = parent[fits], edge[fits], state[fits], use[fits]
        gain = here.gain[parent] + self.program.gain[at][edge]
        bounds = gain[:, None] - use @ self.prices.T + self.ahead[at + 1][state] + self.allowed
        bound = bounds.min(axis=1)
        kept = bound >= threshold
        return state[kept], gain[kept], use[kept], parent[kept], edge[kept], bound[kept]

    def _ration(self, at: int, here: _Labels, reduced: Floats, counts: Index) -> float:
        """Leaves the least promising labels without edges where memory would not hold them all."""
        most = _CHILDREN * self.most
        if counts.sum() <= most:
            return -np.inf
        bound = reduced + self.ahead[at][here.state, 0]
        rank = np.argsort(-bound)
        out = rank[np.cumsum(counts[rank]) > most]
        counts[out] = 0
        return float(bound[out].max())


def _counts(starts: Index, reach: Floats, state: Index, needed: Floats) -> Index:
    """How many edges of each label's state reach what it needs; edges fall in reach per state."""
    counts = np.zeros(len(state), dtype=np.int64)
    stops = np.append(starts[1:], len(reach))
    for s in np.unique(state):
        mine = np.flatnonzero(state == s)
        counts[mine] = np.searchsorted(-reach[starts[s] : stops[s]], -needed[mine], side="right")
    return counts


def _undominated(state: Index, gain: Floats, use: Floats) -> Index:
    """Places of labels that none of a few neighbours beats: as cheap in all, gaining as much."""
    if not use.shape[1]:
        order = np.lexsort((-gain, state))
        first = np.append(True, state[order][1:] != state[order][:-1])[: len(order)]
        kept: Index = order[first]
        return kept
    order = np.lexsort((-gain, use[:, 0].round(12), state))
    s, g, u = state[order], gain[order], use[order]
    alive = np.ones(len(order), dtype=np.bool_)
    for shift in range(1, _COMPARED + 1):
        before, after = slice(None, -shift), slice(shift, None)
        beaten = (s[before] == s[after]) & (g[before] >= g[after] - _SAME)
        beaten &= (u[before] <= u[after] + _SAME).all(axis=1)
        alive[after] &= ~beaten
    kept = np.sort(order[alive])
    return kept


def _start(program: Program, dual: Dual, room: Floats) -> tuple[float, Path | None]:
    """The best of the dual's paths that is within the limits, with its gain."""
    best: tuple[float, Path | None] = (-np.inf, None)
    for path in dual.paths:
        gain, use = program.of(path)
        if gain > best[0] and (use <= room).all():
            best = (gain, path)
    return best


def search(program: Program, dual: Dual, most: int) -> Found:
    """The best path within the limits, proved unless more than `most` labels were needed at once.

    Args:
        dual: of the same program, with a finite bound.
        most: labels kept per layer.
    """
    rounds = _Rounds(program, dual, most)
    chain = program.chain
    worst = -float(chain.behind([-gain for gain in program.gain])[0][0])
    span = max(chain.best(list(program.gain))[0] - worst, 1e-300)
    bound, step, slack = dual.bound, _FIRST * span, _SAME * max(abs(dual.bound), span)
    gain, path = _start(program, dual, rounds.room)
    while True:
        threshold = max(dual.bound - step, gain, worst) - slack
        found, reached, lost = rounds.run(threshold)
        better = reached > gain
        if better:
            path, gain = found, reached
        bound = min(bound, max(lost, threshold, gain))
        if lost == -np.inf and (gain >= threshold or threshold <= worst):
            return Found(path=path, gain=gain, bound=gain, labels=rounds.labels)
        if lost > -np.inf and not better:
            return Found(path=path, gain=gain, bound=bound, labels=rounds.labels)
        step *= _GROWTH
