"""Limits and goals of a problem as a path problem: which sums, in which direction, up to what.

A limit on a metric is one on its sum of terms; a band is two. Knows nothing of how paths are found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from search.exact.chain import Chain
from search.exact.dual import Program
from search.problem import Constraint, Floats
from search.terms import Terms

_STEP = 1e-6  # relative, of a limit, for what a unit of it is in sums


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """`sign` times the sum of `shares` is at most `sign` times `edge`.

    Attributes:
        name: of what is limited.
        shares: per layer, of every edge of the chain.
        slope: sums per unit of the metric at the limit.
    """

    name: str
    sign: int
    edge: float
    shares: tuple[Floats, ...]
    slope: float = 1.0

    @property
    def size(self) -> float:
        """The unit that it is counted in."""
        return abs(self.edge) or 1.0


def sides(
    chain: Chain, terms: Mapping[str, Terms], constraints: Iterable[Constraint], inward: float = 0.0
) -> list[Side]:
    """The sides of limits and floors, each moved inward by a relative amount."""
    found = []
    for c in constraints:
        for sign, at in ((1, c.limit), (-1, c.floor)) if c.floor else ((1, c.limit),):
            sum_at = terms[c.metric].sum_at
            found.append(
                Side(
                    name=c.metric,
                    sign=sign,
                    edge=sum_at(at * (1 - sign * inward)),
                    shares=tuple(layer.shares[c.metric] for layer in chain.layers),
                    slope=(sum_at(at * (1 + _STEP)) - sum_at(at)) / (at * _STEP),
                )
            )
    return found


def program(chain: Chain, gain: Sequence[Floats], limits: Sequence[Side]) -> Program:
    """The most `gain` (per layer, of every edge) within the limits, each in its own unit."""
    use = []
    for at, layer in enumerate(chain.layers):
        columns = [side.sign * side.shares[at] / side.size for side in limits]
        use.append(np.stack(columns, axis=1) if columns else np.zeros((len(layer.cell), 0)))
    limit = np.array([side.sign * side.edge / side.size for side in limits], dtype=np.float64)
    return Program(chain=chain, gain=tuple(gain), use=tuple(use), limit=limit)


def unit_prices(limits: Sequence[Side], prices: Floats) -> dict[str, float]:
    """Per metric, what one more unit of its limit is worth; a floor's counts against it."""
    found: dict[str, float] = {}
    for side, price in zip(limits, prices.tolist(), strict=True):
        worth = side.sign * price / side.size * side.slope
        found[side.name] = found.get(side.name, 0.0) + worth
    return found
