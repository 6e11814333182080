"""Searching with a modelled table against searching on MACs alone: the same oracle and effort.

Per seed three searches with `evolution`: within the MACs limit (`macs`); within it and within a
share of the latency that the first one's best is predicted to have (`latency`), where the upper
bound counts, as in jobs; and on MACs alone again, with the MACs limit lowered by that share
(`fewer macs`): what one would do without a table. The table only guides; what counts is the model
itself, asked for the best of each search.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.modelled.oracle import Oracle
from latency_tables.predict import Predictor
from latency_tables.table import Target
from profiler.modelled.cost import total_ms
from search.baselines import uniform_seeds
from search.loop import run
from search.problem import Constraint, Problem
from supernet.arithmetic import count, macs
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.space import SearchSpace

LOWEST, STEP = 0.25, 1 / 32
MACS = 1_648_000_000
"""Of Inspur's MLPerf v0.7 open-division ResNet50."""
GENERATION = 50
WAYS = ("macs", "latency", "fewer macs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The best config of one search, with the model's own latency."""

    config: ChannelConfig
    score: float
    macs: int
    ms: float

    def to_json(self) -> dict[str, Any]:
        """The dict form."""
        return {"score": self.score, "macs": self.macs, "modelled_ms": self.ms,
                "config": self.config.to_json()}  # fmt: skip


def space_of(network: NetworkSpec) -> SearchSpace:
    """Widths in steps of 1/32 of dense from a quarter on, as in the headline job."""
    ratios = [LOWEST + STEP * i for i in range(round((1 - LOWEST) / STEP) + 1)]
    return SearchSpace.from_ratios(network, ratios)


def compare(
    predictor: Predictor, seed: int, *, shares: Sequence[float], evaluations: int
) -> list[dict[str, Best]]:
    """For each share, the three searches of one seed, by `WAYS`; the first is the same for all.

    Args:
        shares: the latency limit over the predicted latency of the first search's best.
    """
    searcher = _Searcher(predictor, seed, evaluations)
    first = searcher.best({"macs": MACS})
    latency = predictor.config(first.config).predicted
    found = []
    for share in shares:
        second = searcher.best({"macs": MACS, "latency_ms": share * latency})
        third = searcher.best({"macs": share * MACS})
        found.append(dict(zip(WAYS, (first, second, third), strict=True)))
    return found


@dataclass(frozen=True)
class _Searcher:
    predictor: Predictor
    seed: int
    evaluations: int

    def best(self, limits: Mapping[str, float]) -> Best:
        network = self.predictor.table.network
        space = space_of(network)
        problem = Problem(
            space=space,
            metrics={
                "macs": lambda rows: macs(network, rows),
                "latency_ms": lambda rows: self.predictor.predict(rows)[1],
            },
            constraints=tuple(Constraint(metric=m, limit=limit) for m, limit in limits.items()),
        )
        with tempfile.TemporaryDirectory() as folder:
            history = run(
                problem,
                "evolution",
                {"seeds": uniform_seeds(problem)},
                Oracle.drawn(space, self.seed),
                seed=self.seed,
                evaluations=self.evaluations,
                generation=GENERATION,
                folder=Path(folder),
            )
        found = history.best
        assert found is not None
        assert found.estimate is not None
        return Best(
            config=found.config,
            score=found.estimate,
            macs=count(network, found.config)[0],
            ms=modelled_ms(self.predictor.table.target, network, found.config),
        )


def modelled_ms(target: Target, network: NetworkSpec, config: ChannelConfig) -> float:
    """What the model itself says of a config."""
    return total_ms(network.shapes(config), target.device, target.batch, target.precision)


def summary(seeds: list[dict[str, Best]]) -> dict[str, Any]:
    """Of `latency` against the other two: means over seeds with 95 % bootstrap intervals."""
    found: dict[str, Any] = {}
    for other in ("macs", "fewer macs"):
        pairs = [(each["latency"], each[other]) for each in seeds]
        found[f"against {other}"] = {
            "latency_ratio": _mean([a.ms / b.ms for a, b in pairs]),
            "macs_ratio": _mean([a.macs / b.macs for a, b in pairs]),
            "score_difference": _mean([a.score - b.score for a, b in pairs]),
        }
    return found


def _mean(values: list[float], resamples: int = 10_000) -> dict[str, float]:
    sample = np.array(values)
    rng = np.random.default_rng(0)
    means = sample[rng.integers(0, len(sample), (resamples, len(sample)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return {"mean": float(sample.mean()), "low": float(low), "high": float(high)}
