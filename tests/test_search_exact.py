"""Exact answers against brute force: optima, bounds, fronts, shadow prices, proofs."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latency_tables.predict import Predictor
from latency_tables.shipped import load
from search.exact.accuracy import Additive, Fit
from search.exact.front import front
from search.exact.gap import optimality_gap
from search.exact.proof import prove
from search.exact.solve import Solution, Solver
from search.feasibility import InfeasibleError, check
from search.lattice import Lattice
from search.metrics import Latency, Macs, Params
from search.problem import Constraint, Floats, Metric, Problem, SearchError
from search.sampling import sample_feasible
from search.terms import tabulate
from supernet.arithmetic import Rows, encode
from supernet.network import NetworkSpec
from supernet.space import SearchSpace

NETWORK = NetworkSpec()
METRICS = ("macs", "params", "latency_ms", "latency_ms:int8")


@cache
def metrics() -> dict[str, Metric]:
    """MACs, params, and two tables whose residual streams carry a bit each."""
    return {
        "macs": Macs(network=NETWORK),
        "params": Params(network=NETWORK),
        "latency_ms": Latency(predictor=Predictor(load("resnet50-224-ort-fp32-1t-epyc"))),
        "latency_ms:int8": Latency(predictor=Predictor(load("resnet50-224-ort-int8-1t-epyc"))),
    }


def dense(name: str) -> float:
    return float(metrics()[name](encode([NETWORK.dense()]))[0])


def small(rng: np.random.Generator, tied: bool, removable: bool, most: int = 3000) -> SearchSpace:
    """A random ResNet50 space of at most `most` configs: a few genes are free, others fixed."""
    ratios = [0.3, 0.41, 0.5, 0.63, 0.75, 0.88, 1.0]
    space = SearchSpace.from_ratios(NETWORK, ratios, tied=tied, removable=removable)
    allowed = {}
    size = 1
    for gene in rng.permutation(len(space.names)):
        widths = space.choices[gene]
        count = int(rng.integers(2, 5)) if size * 5 <= most else 1
        kept = rng.choice([w for w in widths if w], size=count, replace=False).tolist()
        if 0 in widths and count > 1:
            kept[0] = 0
        size *= count
        allowed[space.names[gene]] = kept
    if not tied:  # a block whose inner widths disagree on 0 has no such choice
        for name, kept in allowed.items():
            partner = name[:-1] + ("2" if name.endswith("w1") else "1")
            if 0 in kept and 0 not in allowed[partner] and len(kept) == 1:
                kept[0] = 64
    return space.narrowed(allowed)


def limited(space: SearchSpace, *names: str, share: float, seed: int) -> Problem:
    """Limits at quantiles around `share` of what random configs of the space cost."""
    rng = np.random.default_rng(seed)
    lattice = Lattice(space)
    rows = lattice.rows(lattice.draw(rng, 200))
    constraints = []
    for name in names:
        at = np.clip(rng.normal(share, 0.1), 0, 1)
        limit = float(np.quantile(metrics()[name](rows), at))
        constraints.append(Constraint(metric=name, limit=limit))
    return Problem(space=space, metrics=metrics(), constraints=tuple(constraints))


def additive(lattice: Lattice, seed: int) -> Additive:
    """A random accuracy with a pair term, and ties."""
    rng = np.random.default_rng(seed)
    values = [np.sort(rng.integers(0, 6, size=size)) * 0.25 for size in lattice.sizes]
    first = 1 + len(NETWORK.depths)
    pairs = {(g, h): rng.normal(size=lattice.sizes[[g, h]]) for g, h in ((0, 1), (1, first))}
    return Additive(lattice, values, pairs)


CASES = [(seed, tied, removable) for seed in range(16) for tied in (1, 0) for removable in (0, 1)]


@pytest.mark.parametrize(("seed", "tied", "removable"), CASES)
def test_optimum_and_cheapest_agree_with_brute_force(seed: int, tied: int, removable: int) -> None:
    rng = np.random.default_rng([seed, tied, removable])
    space = small(rng, bool(tied), bool(removable))
    names = rng.permutation(METRICS)[: 3 + seed % 2]
    problem = limited(space, *names, share=float(rng.uniform(0.05, 0.9)), seed=seed)
    solver, lattice = Solver(problem), Lattice(space)
    accuracy = additive(lattice, seed)
    index = lattice.everything()
    rows = lattice.rows(index)
    fits = problem.excess(rows) == 0
    found = solver.best(accuracy)
    if not fits.any():
        assert found is None
        assert prove(solver)
        return
    assert prove(solver) == []
    values = accuracy(rows)
    assert found is not None
    assert found.proved
    assert found.value == pytest.approx(values[fits].max(), abs=1e-9)
    assert problem.excess(encode([found.config]))[0] == 0
    floor = float(np.quantile(values[fits], 0.7))
    metric = str(names[0])
    cheapest = solver.cheapest(metric, accuracy, floor)
    assert cheapest is not None
    enough = fits & (values >= floor - 1e-12)
    costs = np.asarray(problem.metrics[metric](rows[enough]), dtype=np.float64)
    assert cheapest.value == pytest.approx(costs.min(), rel=1e-9)
    assert accuracy(encode([cheapest.config]))[0] >= floor - 1e-9


@pytest.mark.parametrize("seed", range(8))
def test_the_whole_front_agrees_with_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    space = small(rng, bool(seed % 2), True, most=600)
    problem = limited(space, "macs", "params", share=0.7, seed=seed)
    lattice = Lattice(space)
    accuracy = additive(lattice, seed)
    rows = lattice.rows(lattice.everything())
    rows = rows[problem.excess(rows) == 0]
    values, costs = accuracy(rows), metrics()["latency_ms"](rows)
    order = np.lexsort((-values, costs))
    expected: list[tuple[float, float]] = []
    for at in order:
        if not expected or values[at] > expected[-1][1] + 1e-9:
            expected.append((float(costs[at]), float(values[at])))
    found = front(Solver(problem), accuracy, "latency_ms")
    assert all(point.proved for point in found)
    points = [(point.costs["latency_ms"], point.value) for point in reversed(found)]
    assert np.allclose(points, expected, rtol=1e-9)
    coarse = front(Solver(problem), accuracy, "latency_ms", step=0.1)
    for cost, value in expected:
        assert any(
            p.value >= value - 1e-9 and p.costs["latency_ms"] <= cost / 0.9 + 1e-9 for p in coarse
        )


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.0, 0.4), st.floats(0.45, 1.0))
def test_bands_are_held_or_refused_with_a_proof(seed: int, low: float, high: float) -> None:
    space = small(np.random.default_rng(seed), True, False, most=300)
    lattice = Lattice(space)
    rows = lattice.rows(lattice.everything())
    cost = metrics()["macs"](rows)
    band = Constraint(
        metric="macs",
        floor=float(np.quantile(cost, low)) + 1,
        limit=float(np.quantile(cost, high)) - 1,
    )
    latency = float(np.quantile(metrics()["latency_ms"](rows), 0.3))
    problem = Problem(
        space=space,
        metrics=metrics(),
        constraints=(band, Constraint(metric="latency_ms", limit=latency)),
    )
    fits = problem.excess(rows) == 0
    solver = Solver(problem)
    accuracy = additive(lattice, seed % 1000)
    found = solver.best(accuracy)
    assert (found is not None) == bool(fits.any())
    if found is None:
        with pytest.raises(InfeasibleError):
            check(problem)
        return
    check(problem)
    assert found.value == pytest.approx(accuracy(rows)[fits].max(), abs=1e-9)
    assert all(left >= 0 for left in found.slack.values())
    configs = sample_feasible(problem, np.random.default_rng(0), 10)
    assert not problem.excess(encode(configs)).any()


RATIOS = [0.3 + 0.1 * step for step in range(8)]
SPACE = SearchSpace.from_ratios(NETWORK, RATIOS, divisor=8)


def budget(space: SearchSpace, **shares: float) -> Problem:
    return Problem(
        space=space,
        metrics=metrics(),
        constraints=tuple(
            Constraint(metric=name, limit=share * dense(name)) for name, share in shares.items()
        ),
    )


def concave(lattice: Lattice, seed: int = 0) -> Additive:
    rng = np.random.default_rng(seed)
    widths = [np.asarray(w) / max(w) for w in lattice.choices]
    return Additive(lattice, [rng.uniform(0.5, 1.5) * np.sqrt(w) for w in widths])


@pytest.mark.parametrize("tied", [True, False])
def test_resnet50_under_three_limits_is_proved_in_seconds(tied: bool) -> None:
    space = SearchSpace.from_ratios(NETWORK, RATIOS, divisor=8, tied=tied)
    problem = budget(space, macs=0.42, params=0.36, latency_ms=0.4)
    start = time.perf_counter()
    solver = Solver(problem)
    accuracy = concave(solver.lattice)
    found = solver.best(accuracy)
    assert time.perf_counter() - start < 20
    assert found is not None
    assert found.proved
    assert min(found.slack.values()) >= 0
    # No neighbour and no random config within the limits is better.
    lattice = solver.lattice
    around = lattice.neighbours(lattice.index([found.config]))
    drawn = lattice.index(sample_feasible(problem, np.random.default_rng(0), 300, near=1.0))
    index = np.concatenate([around, drawn])
    fits = problem.excess(lattice.rows(index)) == 0
    assert fits.sum() > 300
    assert accuracy.of(index[fits]).max() <= found.value + 1e-9


def test_shadow_prices_tell_what_a_larger_limit_buys() -> None:
    problem = budget(SPACE, macs=0.42, params=0.36, latency_ms=0.5)
    solver = Solver(problem)
    accuracy = concave(solver.lattice)
    found = solver.best(accuracy)
    assert found is not None
    assert found.shadow_prices["latency_ms"] == 0  # does not bind
    binding = [name for name, price in found.shadow_prices.items() if price > 0]
    assert binding
    for name in binding:
        more = [
            replace(c, limit=c.limit * 1.1) if c.metric == name else c for c in problem.constraints
        ]
        wider = solver.under(replace(problem, constraints=tuple(more))).best(accuracy)
        assert wider is not None
        gained = wider.value - found.value
        granted = 0.1 * dense(name) * {"macs": 0.42, "params": 0.36}[name]
        # Concave in the limit: the price is the steepest slope, up to the gap of the relaxation.
        assert 0 <= gained <= found.shadow_prices[name] * granted * 1.02 + 0.01


def test_accuracy_price_of_the_cheapest_config() -> None:
    solver = Solver(budget(SPACE, macs=0.6))
    accuracy = concave(solver.lattice)
    top = solver.best(accuracy)
    assert top is not None
    low, high = (solver.cheapest("latency_ms", accuracy, top.value * s) for s in (0.9, 0.91))
    assert low is not None
    assert high is not None
    slope = (high.value - low.value) / (0.01 * top.value)
    assert low.accuracy_price == pytest.approx(slope, rel=0.5)
    assert solver.cheapest("latency_ms", accuracy, 1e9) is None


def test_infeasible_budgets_are_answered_at_once_with_a_proof() -> None:
    check(budget(SPACE, macs=0.2))  # tables are loaded before the clock starts
    problem = budget(SPACE, macs=0.01, params=0.5, latency_ms=0.001)
    solver = Solver(problem)
    start = time.perf_counter()
    with pytest.raises(InfeasibleError) as caught:
        check(problem)
    assert time.perf_counter() - start < 0.5
    assert [c.metric for c in caught.value.unmet] == ["macs", "latency_ms"]
    for name, (cost, config) in caught.value.reachable.items():
        assert metrics()[name](encode([config]))[0] == pytest.approx(cost)
    assert [proof.binding.metric for proof in prove(solver)] == ["macs", "latency_ms"]


def test_limits_out_of_reach_only_together_are_proved_by_a_weighted_sum() -> None:
    fast = Solver(budget(SPACE)).reachable("latency_ms")[0]
    rows = Solver(budget(SPACE)).lattice
    config = rows.configs(Solver(budget(SPACE)).reachable("latency_ms")[1])[0]
    least_macs = float(Macs(network=NETWORK)(encode([SPACE.smallest()]))[0])
    macs = float(Macs(network=NETWORK)(encode([config]))[0])
    if macs == least_macs:  # the cheapest in both is one config: ask for a band instead
        band = Constraint(metric="macs", floor=2 * least_macs, limit=3 * least_macs)
    else:
        band = Constraint(metric="macs", limit=(macs + least_macs) / 2)
    problem = replace(
        budget(SPACE),
        constraints=(band, Constraint(metric="latency_ms", limit=fast * 1.0001)),
    )
    (proof,) = prove(Solver(problem))
    assert proof.given
    assert proof.weights is not None
    assert sum(proof.weights.values()) == pytest.approx(1)
    kept = Problem(space=SPACE, metrics=metrics(), constraints=proof.given)
    assert kept.excess(encode([proof.config]))[0] == 0
    cost = float(metrics()[proof.binding.metric](encode([proof.config]))[0])
    assert cost == pytest.approx(proof.reachable)
    assert cost > proof.binding.limit or cost < proof.binding.floor
    with pytest.raises(InfeasibleError, match=r"each limit can be met alone.* reachable is"):
        check(problem)


def test_gap_of_another_searchers_result() -> None:
    problem = budget(SPACE, macs=0.42, params=0.36, latency_ms=0.4)
    solver = Solver(problem)
    accuracy = concave(solver.lattice)
    best = solver.best(accuracy)
    assert best is not None
    assert optimality_gap(solver, accuracy, best.config).absolute == pytest.approx(0, abs=1e-9)
    other = sample_feasible(problem, np.random.default_rng(1), 1)[0]
    gap = optimality_gap(solver, accuracy, other)
    assert gap.absolute == pytest.approx(best.value - accuracy(encode([other]))[0])
    assert 0 < gap.relative < 1
    with pytest.raises(SearchError, match="within the limits, this breaks macs by"):
        optimality_gap(solver, accuracy, NETWORK.uniform(1.0, 8))


def test_without_limits_the_largest_is_best_and_the_front_is_bounded() -> None:
    solver = Solver(budget(SPACE))
    accuracy = concave(solver.lattice)
    found = solver.best(accuracy)
    assert found is not None
    assert found.config == SPACE.largest()
    assert found.shadow_prices == {}
    points = front(solver, accuracy, "macs", step=0.05, most=4)
    assert len(points) == 4
    assert points[0].config == SPACE.largest()
    for wrong in (-0.1, 1.0, float("nan")):
        with pytest.raises(SearchError, match="0 <= step < 1 must hold"):
            front(solver, accuracy, "macs", step=wrong)
    with pytest.raises(SearchError, match="metric must be one of macs"):
        front(solver, accuracy, "watts")


def hurried(solver: Solver, accuracy: Metric) -> Solution | None:
    try:
        return solver.best(accuracy)
    except SearchError:
        return None


def test_too_few_labels_leave_an_honest_gap() -> None:
    problem = budget(SPACE, macs=0.42, params=0.36, latency_ms=0.4)
    exact, hasty = Solver(problem), Solver(problem, most=1)
    gaps = []
    for seed in range(8):
        accuracy = concave(exact.lattice, seed)
        best, found = exact.best(accuracy), hurried(hasty, accuracy)
        assert best is not None
        assert best.proved
        if found is None:
            continue
        assert not problem.excess(encode([found.config]))[0]
        assert found.value <= best.value + 1e-9 <= found.bound + 2e-9
        assert found.proved == (found.gap < 1e-9)
        gaps.append(found.gap)
    assert len(gaps) >= 4
    assert max(gaps) > 1e-3


def test_what_is_no_sum_over_bottlenecks_is_refused_by_name() -> None:
    def mixed(rows: Rows) -> Floats:
        return np.asarray(rows[:, 5] * rows[:, -1], dtype=np.float64)

    assert tabulate(mixed, Lattice(SPACE)) is None
    problem = Problem(space=SPACE, metrics={"mixed": mixed, **metrics()}, constraints=())
    with pytest.raises(SearchError, match="mixed is no sum over bottlenecks"):
        Solver(replace(problem, constraints=(Constraint(metric="mixed", limit=1e9),)))
    with pytest.raises(SearchError, match="the accuracy is no sum"):
        Solver(problem).best(mixed)
    with pytest.raises(SearchError, match=r"one of mixed, macs, .*but got 'watts'"):
        Solver(problem).cheapest("watts")
    with pytest.raises(SearchError, match="at_least must be finite"):
        Solver(problem).cheapest("macs", concave(Lattice(SPACE)), float("nan"))


def test_additive_accuracy_says_what_is_wrong_with_it() -> None:
    lattice = Lattice(SPACE)
    values = [np.zeros(size) for size in lattice.sizes]
    with pytest.raises(SearchError, match="values are needed for 21 genes, got 20"):
        Additive(lattice, values[1:])
    with pytest.raises(SearchError, match="stem needs 7 finite values"):
        Additive(lattice, [values[0] + np.nan, *values[1:]])
    with pytest.raises(SearchError, match=r"1\.0 and 4\.2 do not"):
        Additive(lattice, values, {(5, 20): np.zeros(lattice.sizes[[5, 20]])})
    with pytest.raises(SearchError, match="must be finite and of shape"):
        Additive(lattice, values, {(0, 1): np.zeros((2, 8))})


def test_a_fitted_accuracy_finds_the_additive_truth() -> None:
    lattice = Lattice(SPACE)
    truth = concave(lattice, 3)
    rng = np.random.default_rng(0)
    index = lattice.draw(rng, 200, 0.7)
    fit = Fit(lattice, index, truth.of(index) + rng.normal(size=200) * 1e-4)
    fresh = lattice.draw(rng, 200, 0.7)
    assert np.abs(fit.mean().of(fresh) - truth.of(fresh)).max() < 0.01
    assert np.corrcoef(fit.draw(rng).of(fresh), truth.of(fresh))[0, 1] > 0.99
