"""The Lagrangian dual of a chain under limits: an upper bound, and what a unit of each limit buys.

Limits are moved into the objective at a price each. For any prices >= 0 the best path of the chain
bounds every config that meets the limits; the prices with the least bound are found with cutting
planes (Kelley 1960), each cut one best path. Knows nothing of configs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from search.exact.chain import Chain, Path
from search.problem import Floats, SearchError

_CUTS = 200
_CLOSE = 1e-7  # of the bound
_ROUNDING = 1e-12
_HIGHEST = 1e6  # price of a limit's own size, in spans of the gains; keeps the planes' floor finite
_TRIED = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Maximise the sum of `gain` along a path, while no sum of `use` exceeds its limit.

    Attributes:
        chain: whose paths are chosen from.
        gain: per layer, of every edge, [edges].
        use: per layer, of every edge and limit, [edges, limits]; scaled so that 1 is the limit's
            own order of size.
        limit: in the units of `use`, [limits].
    """

    chain: Chain
    gain: tuple[Floats, ...]
    use: tuple[Floats, ...]
    limit: Floats

    def scores(self, weight: float, prices: Floats) -> list[Floats]:
        """Per layer, weighted gain less priced use of every edge."""
        return [weight * gain - use @ prices for gain, use in zip(self.gain, self.use, strict=True)]

    def of(self, path: Path) -> tuple[float, Floats]:
        """Gain and use of a path, summed from its first edge on."""
        gain = sum(float(g[e]) for g, e in zip(self.gain, path, strict=True))
        use = np.zeros(len(self.limit))
        for found, edge in zip(self.use, path, strict=True):
            use = use + found[edge]
        return gain, use


@dataclass(frozen=True, slots=True, kw_only=True)
class Dual:
    """Prices and what they prove.

    Attributes:
        bound: no path within the limits gains more; -inf where none is within them.
        prices: of one unit of each limit, [limits]. Where nothing fits: weights of the limits, of
            whose weighted sum every path exceeds what they allow.
        tried: prices that came close, whose bounds prune further, [k, limits].
        paths: best paths at the prices tried.
    """

    bound: float
    prices: Floats
    tried: Floats
    paths: tuple[Path, ...]


def least(program: Program) -> Dual:
    """The least bound."""
    cuts = _Cuts(program)
    weights = _reach(program, cuts)
    if weights is not None:
        return Dual(bound=-np.inf, prices=weights, tried=weights[None], paths=tuple(cuts.paths))
    return _descend(program, cuts)


class _Cuts:
    """Best paths found so far; each is a plane below the bound as a function of the prices."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.paths: list[Path] = []
        self.gains: list[float] = []
        self.room: list[Floats] = []
        spread = sum(float(gain.max() - gain.min()) for gain in program.gain)
        self.highest = _HIGHEST * (spread or 1.0)

    def add(self, path: Path) -> None:
        gain, use = self.program.of(path)
        self.paths.append(path)
        self.gains.append(gain)
        self.room.append(self.program.limit - use)

    def lowest(self, weight: float) -> tuple[float, Floats]:
        """Where the highest of the planes is lowest: its height there, and the prices.

        With weight 0, gains count nothing and the prices sum to 1.
        """
        # Here, since a server that only prices needs none of it: 0.4 s and 40 MB.
        from scipy.optimize import linprog

        count = len(self.program.limit)
        planes = np.hstack([np.array(self.room), -np.ones((len(self.room), 1))])
        found = linprog(
            np.append(np.zeros(count), 1.0),
            A_ub=planes,
            b_ub=-weight * np.array(self.gains),
            A_eq=None if weight else np.append(np.ones(count), 0.0)[None],
            b_eq=None if weight else [1.0],
            bounds=[(0, self.highest if weight else 1.0)] * count + [(None, None)],
            method="highs",
        )
        if found.x is None or found.fun is None:
            raise SearchError(f"the prices of limits were not found: {found.message}")
        return float(found.fun), np.maximum(found.x[:-1], 0.0)


def _reach(program: Program, cuts: _Cuts) -> Floats | None:
    """Weights of the limits that prove them out of reach together; None where some mix of paths
    is within them all."""
    count = len(program.limit)
    prices = np.full(count, 1 / max(count, 1))
    for _ in range(_CUTS if count else 0):
        score, path = program.chain.best(program.scores(0.0, prices))
        missing = -(score + prices @ program.limit)
        if missing > _ROUNDING * (1 + prices @ np.abs(program.limit)):
            return prices
        cuts.add(path)
        height, prices = cuts.lowest(0.0)
        if height >= -_ROUNDING:
            break
    return None


def _descend(program: Program, cuts: _Cuts) -> Dual:
    """Cutting planes until the bound is the least, up to a small share of the gains' span."""
    best, prices, tried = np.inf, np.zeros(len(program.limit)), []
    for _ in range(_CUTS):
        score, path = program.chain.best(program.scores(1.0, prices))
        bound = score + float(prices @ program.limit)
        tried.append((bound, prices))
        best = min(best, bound)
        if not len(prices):
            break
        cuts.add(path)
        height, prices = cuts.lowest(1.0)
        if best - height <= _CLOSE * abs(best):
            break
    tried.sort(key=lambda pair: pair[0])
    return Dual(
        bound=tried[0][0],
        prices=tried[0][1],
        tried=np.array([prices for _, prices in tried[:_TRIED]]),
        paths=tuple(cuts.paths),
    )
