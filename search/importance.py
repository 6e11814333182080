"""Which genes matter: shares of the variance of estimates, as the surrogate explains them.

The surrogate's mean is a sum over genes and pairs of genes whose terms are orthogonal where every
width is as likely as any other, so each term's variance is its share (functional ANOVA, Hooker
2004; Sobol indices of first and second order). Tells nothing of genes that were hardly varied.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from search.basis import Basis
from search.history import History
from search.lattice import Lattice
from search.problem import SearchError
from search.surrogate import Surrogate
from supernet.space import SearchSpace

FEWEST = 20
MOST = 1000
_START = (2, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """Shares of the explained variance, all together 1.

    Attributes:
        alone: of each gene by itself, by name.
        pairs: of all pairs that a gene is part of, halved, by name.
        error: root mean square error of the surrogate at left-out rows, relative to the
            estimates' standard deviation; near 1 the shares mean nothing.
    """

    alone: dict[str, float]
    pairs: dict[str, float]
    error: float

    @property
    def total(self) -> dict[str, float]:
        """Alone and pairs together, largest first."""
        both = {name: share + self.pairs[name] for name, share in self.alone.items()}
        return dict(sorted(both.items(), key=lambda item: -item[1]))


def importance(space: SearchSpace, history: History) -> Importance:
    """Importance of every gene of `space`.

    Raises:
        SearchError: fewer than 20 scored configs, or all estimates are equal.
    """
    scored = history.scored
    estimates = np.array([c.estimate for c in scored], dtype=np.float64)
    if len(scored) < FEWEST or estimates.std() == 0:
        raise SearchError(
            f"importance needs {FEWEST} scored configs with different estimates, "
            f"but got {len(scored)}"
        )
    lattice = Lattice(space)
    # The last rows cluster around the best; evenly spaced ones tell more of the space.
    kept = np.unique(np.linspace(0, len(scored) - 1, MOST).round().astype(int))
    index = lattice.index([scored[at].config for at in kept])
    basis = Basis(lattice)
    surrogate = Surrogate(basis, index, estimates[kept], _START, tune=True)
    model = surrogate.mean()
    spread = [block.T @ block / max(len(block), 1) for block in basis.blocks]
    alone = [
        float(model.linear[span] @ s @ model.linear[span])
        for span, s in zip(basis.spans, spread, strict=True)
    ]
    shared = np.zeros(len(alone))
    for one, a in enumerate(basis.spans):
        for two, b in enumerate(basis.spans[:one]):
            term = model.pairs[a, b]
            variance = float(np.einsum("ij,ik,kl,jl->", term, spread[one], term, spread[two]))
            shared[[one, two]] += variance / 2
    total = sum(alone) + float(shared.sum()) or 1.0
    return Importance(
        alone={n: v / total for n, v in zip(space.names, alone, strict=True)},
        pairs={n: float(v) / total for n, v in zip(space.names, shared, strict=True)},
        error=surrogate.left_out_error(),
    )
