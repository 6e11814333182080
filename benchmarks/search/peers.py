"""Other packages, used as their documentation says, on the same budget.

Each is imported where it is used: `pip install 'stairprune[peers]'`. Their randomness is seeded
as far as they allow. Not run by itself; see `benchmarks.search`.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from benchmarks.search.budget import Budget
from search.problem import Floats

_ERROR_OF = 100.0  # more than any accuracy of an oracle


def ofa(budget: Budget, seed: int) -> None:
    """`EvolutionFinder` of once-for-all (Cai et al. 2020); one constraint: the largest share."""
    from ofa.nas.search_algorithm.evolution import EvolutionFinder

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the package draws from numpy's global generator
    sizes = budget.case.lattice.sizes.tolist()

    class Encoder:
        """Its architecture space: one list of genes."""

        def random_sample_arch(self) -> dict[str, list[int]]:
            return {"genes": [random.randrange(size) for size in sizes]}

        def mutate_resolution(self, sample: dict[str, list[int]], chance: float) -> None:
            """There is one resolution."""

        def mutate_arch(self, sample: dict[str, list[int]], chance: float) -> None:
            for gene, size in enumerate(sizes):
                if random.random() < chance:
                    sample["genes"][gene] = random.randrange(size)

    class Efficiency:
        def get_efficiency(self, sample: dict[str, list[int]]) -> float:
            budget.check()
            return float(budget.shares(np.array([sample["genes"]])).max())

    class Accuracy:
        arch_encoder = Encoder()

        def predict_acc(self, samples: list[dict[str, list[int]]]) -> Floats:
            return budget.score(np.array([sample["genes"] for sample in samples]))

    finder = EvolutionFinder(Efficiency(), Accuracy())
    finder.run_evolution_search(1.0, verbose=False)


def pymoo(budget: Budget, seed: int) -> None:
    """Single-objective GA with rounding repair and inequality constraints."""
    from pymoo.algorithms.soo.nonconvex.ga import GA
    from pymoo.core.problem import Problem
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling
    from pymoo.optimize import minimize

    sizes = budget.case.lattice.sizes
    limits = len(budget.case.problem.constraints)

    class Widths(Problem):  # type: ignore[misc]
        def _evaluate(self, x: Any, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
            index = np.asarray(x, dtype=np.int64)
            out["G"] = budget.shares(index) - 1
            out["F"] = -budget.score(index)[:, None]

    algorithm = GA(
        pop_size=100,
        sampling=IntegerRandomSampling(),
        crossover=SBX(vtype=float, repair=RoundingRepair()),
        mutation=PM(vtype=float, repair=RoundingRepair()),
        eliminate_duplicates=True,
    )
    problem = Widths(n_var=len(sizes), n_obj=1, n_ieq_constr=limits, xl=0, xu=sizes - 1, vtype=int)
    minimize(problem, algorithm, ("n_gen", 10**6), seed=seed)


def optuna_tpe(budget: Budget, seed: int) -> None:
    """The default sampler."""
    import optuna

    _optuna(budget, optuna.samplers.TPESampler(seed=seed))


def optuna_nsga2(budget: Budget, seed: int) -> None:
    """The genetic sampler."""
    import optuna

    _optuna(budget, optuna.samplers.NSGAIISampler(seed=seed))


def _optuna(budget: Budget, sampler: Any) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.CRITICAL)  # the end of the budget is no news
    sizes = budget.case.lattice.sizes.tolist()
    names = [c.metric for c in budget.case.problem.constraints]

    def objective(trial: optuna.Trial) -> float:
        genes = [trial.suggest_int(f"gene{g}", 0, size - 1) for g, size in enumerate(sizes)]
        index = np.array([genes])
        for name, share in zip(names, budget.shares(index)[0].tolist(), strict=True):
            trial.set_constraint(name, share - 1)
        return float(budget.score(index)[0])

    optuna.create_study(direction="maximize", sampler=sampler).optimize(objective)


def nevergrad(budget: Budget, seed: int) -> None:
    """NGOpt, which chooses an algorithm by the problem's size; violations are told.

    It weighs violations by the loss where that is positive and hardly at all where it is negative,
    so it is told an error instead of minus the accuracy.
    """
    import nevergrad as ng

    sizes = budget.case.lattice.sizes
    start = (sizes - 1) / 2
    genes = ng.p.Array(init=start, lower=0 * start, upper=sizes - 1.0).set_integer_casting()
    genes.random_state.seed(seed)
    optimiser = ng.optimizers.NGOpt(parametrization=genes, budget=budget.case.evaluations)
    while True:
        asked = optimiser.ask()
        index = np.asarray(asked.value, dtype=np.int64)[None]
        excess = np.maximum(budget.shares(index)[0] - 1, 0)
        optimiser.tell(asked, _ERROR_OF - float(budget.score(index)[0]), excess.tolist())
