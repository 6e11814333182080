"""Uniform-width networks: the baseline that every search result is shown against."""

from __future__ import annotations

from typing import Literal

import numpy as np

from search.lattice import Lattice
from search.problem import Metric, Problem, SearchError
from supernet.arithmetic import encode
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec

_RATIOS = 1024


def uniforms(network: NetworkSpec, divisor: int = 1) -> list[ChannelConfig]:
    """The distinct uniform-width configs of a network, narrowest first."""
    configs = (network.uniform(step / _RATIOS, divisor) for step in range(1, _RATIOS + 1))
    return list(dict.fromkeys(configs))


def uniform_at(
    network: NetworkSpec,
    metric: Metric,
    value: float,
    *,
    divisor: int = 8,
    side: Literal["nearest", "below"] = "nearest",
) -> ChannelConfig:
    """The uniform-width config whose metric is nearest to `value`, or nearest and not above it.

    Of equally near ones, the widest.

    Raises:
        SearchError: `side` is "below" and every uniform config costs more.
    """
    configs = uniforms(network, divisor)
    costs = np.asarray(metric(encode(configs)), dtype=np.float64)
    distance = np.abs(costs - value)
    if side == "below":
        distance[costs > value] = np.inf
    if not np.isfinite(distance.min()):
        raise SearchError(
            f"no uniform-width net of divisor {divisor} costs <= {value:.12g}; "
            f"the cheapest costs {costs.min():.12g}"
        )
    return configs[len(configs) - 1 - int(np.argmin(distance[::-1]))]


def uniform_seeds(problem: Problem) -> list[ChannelConfig]:
    """Uniform-width configs snapped into the space that meet every limit, widest first.

    Each width goes to its nearest choice; no block is removed unless its only choice is 0.
    """
    space = problem.space
    lattice = Lattice(space)
    index = lattice.nearest(space.genes(uniforms(space.network)))
    index = lattice.canonical(np.maximum(index, lattice.narrowest()))
    index = index[problem.excess(lattice.rows(index)) == 0]
    return list(dict.fromkeys(lattice.configs(index)))[::-1]
