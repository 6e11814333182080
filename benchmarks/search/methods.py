"""`Method`: a name, what it is, and how it spends a budget; ours and the peers' in one list.

Ours ask and tell in generations of 20. Not run by itself; see `benchmarks.search`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.search import metapruning, peers
from benchmarks.search.budget import Budget
from search.searcher import Candidate, load

GENERATION = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One contender.

    Attributes:
        run: spends the budget until `Spent`, or ends by itself.
        ours: whether it is one of `search.searchers`.
        slow: minutes instead of seconds a run; left out by `--quick`.
    """

    name: str
    what: str
    run: Callable[[Budget, int], None]
    ours: bool = False
    slow: bool = False


@dataclass(frozen=True, slots=True)
class Ours:
    """One of our searchers with its default options, but for those given."""

    searcher: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, budget: Budget, seed: int) -> None:
        """Asks and tells until nothing is left."""
        lattice = budget.case.lattice
        searcher = load(self.searcher, budget.case.problem, seed, **self.options)
        while configs := searcher.ask(GENERATION):
            values = budget.score(lattice.index(configs))
            searcher.tell(
                [
                    Candidate(config=config, costs={}, estimate=value)
                    for config, value in zip(configs, values.tolist(), strict=True)
                ]
            )


def _ours(name: str, what: str, label: str = "", **options: Any) -> Method:
    slow = name == "optuna"
    return Method(name=label or name, what=what, run=Ours(name, options), ours=True, slow=slow)


METHODS = (
    _ours("predictor", "additive Gaussian process, climbed"),
    _ours("evolution", "mutation, crossover, exchange and repair"),
    _ours("nsga2", "pymoo's ranking, our operators and repair; seeks a whole front"),
    _ours("optuna", "TPE with our repair", "optuna, repaired"),
    _ours("two_stage", "band under MACs and params, fastest first; learns nothing"),
    _ours("uniform", "width multipliers; learns nothing"),
    _ours("random", "constrained sampling, half grown to the limits; learns nothing"),
    Method(
        name="OFA EvolutionFinder",
        what="package ofa, its defaults (population 100); all limits in one number",
        run=peers.ofa,
    ),
    Method(name="pymoo GA", what="package pymoo, integer repair, population 100", run=peers.pymoo),
    Method(
        name="Optuna NSGA-II",
        what="package optuna, defaults (population 50), set_constraint",
        run=peers.optuna_nsga2,
    ),
    Method(
        name="Optuna TPE",
        what="package optuna, defaults, set_constraint",
        run=peers.optuna_tpe,
        slow=True,
    ),
    Method(
        name="Nevergrad NGOpt",
        what="package nevergrad, integer array, constraint violations told",
        run=peers.nevergrad,
    ),
    Method(
        name="MetaPruning's operators",
        what="re-implemented from its behaviour: top 10 of 50, rejection instead of repair",
        run=metapruning.run,
    ),
)
