"""An accuracy that is known everywhere: additive over widths, and concave in each.

It stands in for training: more channels always help, the more so the fewer there are, and some
layers more than others. Only how searches spend their limits can be compared with it, never
accuracies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from supernet.config import ChannelConfig
from supernet.space import SearchSpace


@dataclass(frozen=True, eq=False)
class Oracle:
    """Sum over the genes of weight * sqrt(width / dense width), 1 for the dense network.

    Attributes:
        weights: how much each gene matters, [genes], summing to 1.
    """

    space: SearchSpace
    weights: npt.NDArray[np.float64]

    @classmethod
    def drawn(cls, space: SearchSpace, seed: int) -> Oracle:
        """Weights drawn evenly from 0.5 to 1.5 and scaled to a sum of 1."""
        weights = np.random.default_rng([7, seed]).uniform(0.5, 1.5, len(space.names))
        return cls(space, weights / weights.sum())

    def __call__(self, config: ChannelConfig) -> float:
        """The score of one config."""
        dense = np.array([widths[-1] for widths in self.space.choices], dtype=np.float64)
        share = self.space.genes([config])[0] / dense
        return float(self.weights @ np.sqrt(share))
