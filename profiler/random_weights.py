"""Random weights of graphs that are built to be timed: seeded, non-zero, scaled.

Knows no format.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

POOL = 65_521
"""Random values drawn per graph; weights repeat them (a prime, so that rows do not line up)."""
Floats = npt.NDArray[np.float32]


class RandomWeights:
    """Standard normal values, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.pool = np.random.default_rng(seed).standard_normal(POOL, dtype=np.float32)

    def draw(self, shape: tuple[int, ...], number: int) -> Floats:
        """Values from the pool; `number` tells a graph's tensors apart."""
        values: Floats = np.resize(np.roll(self.pool, -(number * 7919 % POOL)), shape)
        return values

    def integers(self, shape: tuple[int, ...], number: int) -> npt.NDArray[np.int8]:
        """Values in -127..127, about 40 times `draw`."""
        return np.clip(np.rint(self.draw(shape, number) * 40), -127, 127).astype(np.int8)


def fan_in_scale(shape: tuple[int, ...]) -> float:
    """Standard deviation of a weight [outputs, inputs, ...].

    He-scaled (He et al. 2015), so that activations neither vanish into denormals, which are slow
    on a CPU, nor overflow, however deep the network is.
    """
    return math.sqrt(2 / math.prod(shape[1:]))
