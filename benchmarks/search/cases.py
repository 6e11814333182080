"""`Case`: what every method is given: a space with limits and a frozen accuracy oracle.

The space is a tied ResNet50 of 21 genes with 8 widths each. Latency is either a stepped synthetic
one or that of a shipped table; the oracle is additive and concave in every width, alone or with
interactions between pairs of genes. All are plain arithmetic: an evaluation costs nothing, so that
what is timed is the method. Knows nothing of methods. Not run by itself; see `benchmarks.search`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from benchmarks.search.tables import decompose
from latency_tables.predict import Predictor
from latency_tables.shipped import load
from search.lattice import Index, Lattice
from search.problem import Constraint, Floats, Metric, Problem
from supernet.arithmetic import Rows, encode, macs, params
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.space import SearchSpace

NETWORK = NetworkSpec()
RATIOS = tuple((step + 1) / 8 for step in range(8))
LIMITS = {"macs": 1.648e9, "params": 10.78e6}
LATENCY_SHARE = 0.45
TABLE = "resnet50-224-ort-int8-1t-epyc"
TILE = 64
PAIRS = 40
_SEED = 2019  # of the oracles, the same in every run
_PROBES = 200_000
_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True, eq=False)
class Oracle:
    """Accuracy as a sum over genes and pairs of genes, exact and without noise.

    Attributes:
        values: of each gene at each choice, [genes, choices].
        pairs: columns of the genes that interact, [pairs, 2].
        strength: factor of each pair's product of centred relative widths, [pairs].
        shares: width of each choice relative to the dense width, [genes, choices].
    """

    values: Floats
    pairs: Index
    strength: Floats
    shares: Floats

    def __call__(self, index: Index) -> Floats:
        """Accuracy of index rows, [n]."""
        genes = np.arange(index.shape[1])
        total: Floats = self.values[genes, index].sum(axis=1)
        centred = self.shares[genes, index] - 0.5625
        one, two = centred[:, self.pairs[:, 0]], centred[:, self.pairs[:, 1]]
        return total + (one * two) @ self.strength


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A problem, the oracle that scores its configs, and how many scores a method may ask for."""

    name: str
    problem: Problem
    oracle: Oracle
    evaluations: int = 1000

    @cached_property
    def lattice(self) -> Lattice:
        """The problem's grid."""
        return Lattice(self.problem.space)

    def accuracy(self, config: ChannelConfig) -> float:
        """The oracle's accuracy of one config."""
        return float(self.oracle(self.lattice.index([config]))[0])

    def feasible(self, index: Index) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which rows meet every limit, [n]."""
        fits: np.ndarray[tuple[int], np.dtype[np.bool_]] = (
            self.problem.excess(self.lattice.rows(index)) == 0
        )
        return fits

    @cached_property
    def floor(self) -> float:
        """Median accuracy of configs drawn with equal chance among the feasible ones."""
        drawn = self.lattice.draw(np.random.default_rng(_SEED), _PROBES)
        found = drawn[self.feasible(drawn)]
        return float(np.median(self.oracle(found)))


def stepped(rows: Rows) -> Floats:
    """Multiply-adds of every convolution with its widths rounded up to whole tiles, [n]."""
    return np.asarray(macs(NETWORK, -(-rows // TILE) * TILE), dtype=np.float64)


def latencies(space: SearchSpace) -> dict[str, Metric]:
    """The latency metrics, by name."""
    return {"stepped": stepped, "table": tabulated(space)}


def tabulated(space: SearchSpace) -> Metric:
    """The upper bound of a shipped table's prediction in ms, for rows of `space`.

    It is read into sums over pairs of genes once, which then price a few rows in a fraction of the
    predictor's time for a call; that nothing is lost is checked.
    """
    predictor, lattice = Predictor(load(TABLE)), Lattice(space)
    exact = decompose(lambda index: predictor.predict(lattice.rows(index))[1], lattice)
    if exact.worst > _ROUNDING:
        raise ValueError(f"the table is no sum over pairs of genes: off by {exact.worst:.2g}")
    genes = np.arange(len(lattice.sizes))
    columns = np.unique(space.columns, return_index=True)[1]
    place = np.zeros((len(genes), 1 + max(map(max, space.choices))), dtype=np.int64)
    for gene, widths in enumerate(space.choices):
        place[gene, list(widths)] = np.arange(len(widths))
    return lambda rows: exact(place[genes, rows[:, columns]])


def oracle(space: SearchSpace, *, pairwise: bool, pairs: int = PAIRS) -> Oracle:
    """The frozen oracle of `space`."""
    rng = np.random.default_rng(_SEED)
    dense = space.genes([space.network.dense()])[0]
    shares = np.array(space.choices, dtype=np.float64) / dense[:, None]
    weight = rng.uniform(0.5, 2.0, (len(dense), 1))
    power = rng.uniform(0.3, 0.8, (len(dense), 1))
    genes = len(dense)
    every = np.array([(a, b) for a in range(genes) for b in range(a + 1, genes)])
    chosen = every[rng.choice(len(every), pairs, replace=False)]
    strength = rng.normal(0.0, 0.5, pairs) if pairwise else np.zeros(pairs)
    return Oracle(values=weight * shares**power, pairs=chosen, strength=strength, shares=shares)


@cache
def cases(evaluations: int = 1000) -> dict[str, Case]:
    """Every case by name: latency, then oracle."""
    space = SearchSpace.from_ratios(NETWORK, RATIOS)
    found = {}
    for latency, metric in latencies(space).items():
        limit = LATENCY_SHARE * float(metric(encode([NETWORK.dense()]))[0])
        problem = Problem(
            space=space,
            metrics={
                "macs": lambda rows: macs(NETWORK, rows),
                "params": lambda rows: params(NETWORK, rows),
                "latency_ms": metric,
            },
            constraints=(
                *(Constraint(metric=name, limit=value) for name, value in LIMITS.items()),
                Constraint(metric="latency_ms", limit=limit),
            ),
        )
        for pairwise in (False, True):
            name = f"{latency}, {'pairwise' if pairwise else 'additive'}"
            found[name] = Case(
                name=name,
                problem=problem,
                oracle=oracle(space, pairwise=pairwise),
                evaluations=evaluations,
            )
    return found
