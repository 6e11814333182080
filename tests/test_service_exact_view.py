"""The proved optimum beside a search's best, without profiling: on a table-free problem."""

from __future__ import annotations

import json
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from search.exact.accuracy import Additive
from search.history import History
from search.lattice import Lattice
from search.metrics import Macs, Params
from search.problem import Constraint, Metric, Problem, SearchError
from search.sampling import Sampler
from search.searcher import Candidate
from service.exact_view import describe, render
from supernet.network import NetworkSpec
from supernet.space import SearchSpace

NETWORK = NetworkSpec(
    depths=(2, 2), width=0.25, stem="3x3/1", resolution=16, channels=1, classes=10
)
SPACE = SearchSpace.from_ratios(NETWORK, (0.25, 0.5, 0.75, 1.0))


def problem() -> Problem:
    metrics: dict[str, Metric] = {"macs": Macs(network=NETWORK), "params": Params(network=NETWORK)}
    lattice = Lattice(SPACE)
    dense = {name: float(f(lattice.rows(lattice.largest()))[0]) for name, f in metrics.items()}
    return Problem(
        space=SPACE,
        metrics=metrics,
        constraints=tuple(Constraint(metric=m, limit=0.5 * dense[m]) for m in metrics),
    )


def history(n: int, noise: float = 0.0) -> History:
    """Random feasible configs, scored by an additive accuracy."""
    task, rng = problem(), np.random.default_rng(1)
    sampler = Sampler(task)
    lattice = sampler.lattice
    accuracy = Additive(lattice, [np.sqrt(np.asarray(w) / max(w)) for w in lattice.choices])
    index = lattice.unkey(sampler.fresh(rng, n, {}))
    scores = accuracy(lattice.rows(index)) + noise * rng.standard_normal(n)
    return History(
        candidates=tuple(
            Candidate(config=config, costs={}, estimate=float(score))
            for config, score in zip(lattice.configs(index), scores, strict=True)
        )
    )


def shown(found: dict[str, object]) -> str:
    console = Console(file=StringIO(), width=250)
    with console.capture() as capture:
        console.print(render(found))
    return capture.get()


def test_a_fitted_optimum_beats_what_was_found_and_meets_the_limits() -> None:
    found = describe(problem(), history(60), "estimate", "macs", 0.05)
    assert found["left_out_error"] < 0.1
    assert found["optimum"]["proved"]
    assert found["optimum"]["value"] >= found["best"]["value"]
    assert found["gap"]["absolute"] == pytest.approx(
        found["optimum"]["value"] - found["best"]["value"]
    )
    assert all(left >= 0 for left in found["optimum"]["slack"].values())
    costs = [point["costs"]["macs"] for point in found["front"]["points"]]
    values = [point["value"] for point in found["front"]["points"]]
    assert costs == sorted(costs, reverse=True)
    assert values == sorted(values, reverse=True)
    assert json.loads(json.dumps(found)) == found
    assert "(proved)" in shown(found)


def test_noise_shows_as_an_error_of_the_model() -> None:
    clear, noisy = (
        describe(problem(), history(60, noise), "estimate", None, 0.0) for noise in (0, 1)
    )
    assert noisy["left_out_error"] > 5 * clear["left_out_error"]
    assert "front" not in noisy
    assert "of the scores' deviation" in shown(noisy)


def test_macs_are_maximised_without_a_model() -> None:
    found = describe(problem(), history(20), "macs", None, 0.0)
    assert found["left_out_error"] is None
    assert found["optimum"]["costs"]["macs"] == found["optimum"]["value"]
    assert found["gap"]["absolute"] >= 0


@pytest.mark.parametrize(("n", "message"), [(0, "nothing was scored"), (5, ">= 10 scored")])
def test_too_little_was_scored(n: int, message: str) -> None:
    with pytest.raises(SearchError, match=message):
        describe(problem(), history(n), "estimate", None, 0.0)
