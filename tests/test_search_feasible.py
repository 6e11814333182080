"""Constrained sampling, repair and the answer to infeasible budgets."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.baselines import uniform_at, uniform_seeds, uniforms
from search.feasibility import InfeasibleError, check, reachable
from search.lattice import Lattice
from search.problem import Constraint, Floats, Problem, SearchError
from search.sampling import Sampler, repair, sample_feasible
from supernet.arithmetic import Rows, encode, macs, params
from supernet.network import NetworkSpec
from supernet.space import SearchSpace

NETWORK = NetworkSpec()
SPACE = SearchSpace.from_ratios(NETWORK, [0.3 + 0.1 * step for step in range(8)], divisor=8)


def stepped(rows: Rows) -> Floats:
    """Milliseconds in steps of 64 channels; a width that is no multiple of 16 costs 30 % more."""
    tiles = -(-rows // 64)
    slow = 1 + 0.3 * (rows % 16 != 0)
    return np.asarray((tiles * slow).sum(axis=1) * 0.01, dtype=np.float64)


def limited(**limits: float) -> Problem:
    return Problem(
        space=SPACE,
        metrics={
            "macs": lambda rows: macs(NETWORK, rows),
            "params": lambda rows: params(NETWORK, rows),
            "latency": stepped,
        },
        constraints=tuple(Constraint(metric=name, limit=value) for name, value in limits.items()),
    )


DENSE = float(stepped(encode([NETWORK.dense()]))[0])
TIGHT = limited(macs=1.648e9, params=10.78e6, latency=0.72 * DENSE)


def tightness(problem: Problem, rows: Rows) -> Floats:
    """The largest share of a limit that each row uses, [n]."""
    costs = problem.costs(rows)
    shares = [costs[c.metric] / c.limit for c in problem.constraints]
    return np.asarray(np.max(shares, axis=0), dtype=np.float64)


def test_the_stepped_latency_is_not_monotone() -> None:
    rows = encode([NETWORK.uniform(ratio) for ratio in np.linspace(0.3, 1, 100)])
    assert (np.diff(stepped(rows)) < 0).any()


def test_samples_are_distinct_feasible_spread_and_often_near_a_limit() -> None:
    configs = sample_feasible(TIGHT, np.random.default_rng(0), 500)
    assert len(configs) == len(set(configs)) == 500
    assert all(config in SPACE for config in configs)
    used = tightness(TIGHT, encode(configs))
    assert used.max() <= 1
    assert np.quantile(used, 0.5) > 0.97
    assert used.min() < 0.8
    genes = SPACE.genes(configs)
    assert all(
        set(column.tolist()) == set(widths)
        for column, widths in zip(genes.T, SPACE.choices, strict=True)
    )


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    macs_share=st.floats(0.12, 1.2),
    latency_share=st.floats(0.5, 1.2),
    near=st.floats(0, 1),
)
def test_samples_hold_any_limits_that_can_be_held(
    seed: int, macs_share: float, latency_share: float, near: float
) -> None:
    problem = limited(macs=macs_share * 4.09e9, latency=latency_share * DENSE)
    configs = sample_feasible(problem, np.random.default_rng(seed), 20, near)
    assert len(configs) == len(set(configs)) == 20
    assert not problem.violation(problem.costs(encode(configs))).any()


def test_same_generator_same_samples() -> None:
    one, two = (sample_feasible(TIGHT, np.random.default_rng(7), 50) for _ in range(2))
    assert one == two


def test_repair_only_narrows_and_leaves_feasible_rows_alone() -> None:
    rng = np.random.default_rng(0)
    genes = SPACE.sample_genes(rng, 300)
    fixed = repair(TIGHT, genes, rng)
    over = TIGHT.excess(SPACE.rows(genes)) > 0
    assert 0 < over.sum() < 300
    assert not TIGHT.excess(SPACE.rows(fixed)).any()
    assert (fixed <= genes).all()
    assert (fixed[~over] == genes[~over]).all()
    assert np.median(tightness(TIGHT, SPACE.rows(fixed[over]))) > 0.95


def test_repair_snaps_foreign_widths_to_the_nearest_choice() -> None:
    genes = SPACE.genes([SPACE.smallest()]) + 1
    assert (repair(limited(), genes, np.random.default_rng(0)) == genes - 1).all()


def test_growing_without_limits_reaches_the_largest() -> None:
    sampler = Sampler(limited())
    grown = sampler.grow(sampler.lattice.smallest(), np.random.default_rng(0))
    assert sampler.lattice.configs(grown) == [SPACE.largest()]


def test_a_feasible_budget_passes() -> None:
    check(TIGHT)
    check(limited())


def test_an_impossible_limit_is_named_with_what_can_be_reached() -> None:
    problem = limited(macs=1e8, params=20e6, latency=0.01)
    start = time.perf_counter()
    with pytest.raises(InfeasibleError) as caught:
        check(problem)
    assert time.perf_counter() - start < 1.0
    assert [c.metric for c in caught.value.unmet] == ["macs", "latency"]
    least, config = caught.value.reachable["macs"]
    assert config == SPACE.smallest()
    assert least == macs(NETWORK, encode([config]))[0]
    assert f"macs <= 100000000; the smallest reachable is {least:.12g}" in str(caught.value)
    assert "latency <= 0.01" in str(caught.value)
    assert "params" not in str(caught.value)


def test_the_smallest_latency_may_lie_beside_the_smallest_config() -> None:
    least, config = reachable(limited())["latency"]
    smallest = stepped(encode([SPACE.smallest()]))[0]
    assert least < smallest
    assert stepped(encode([config]))[0] == least
    problem = limited(latency=(least + smallest) / 2)
    check(problem)
    configs = sample_feasible(problem, np.random.default_rng(0), 10)
    assert len(configs) == 10
    assert (stepped(encode(configs)) <= problem.constraints[0].limit).all()


def test_limits_that_hold_alone_but_not_together() -> None:
    problem = limited(macs=1e9)
    problem = replace(
        problem,
        metrics={**problem.metrics, "narrow": lambda rows: 1e9 / rows[:, 5:].sum(axis=1)},
        constraints=(
            Constraint(metric="macs", limit=5e8),
            Constraint(metric="narrow", limit=2e5),
        ),
    )
    with pytest.raises(InfeasibleError, match="each limit can be met alone") as caught:
        check(problem)
    assert not caught.value.unmet
    assert problem.excess(encode([caught.value.nearest]))[0] > 0
    with pytest.raises(InfeasibleError):
        sample_feasible(problem, np.random.default_rng(0), 3)
    with pytest.raises(InfeasibleError):
        repair(problem, SPACE.genes([SPACE.largest()]), np.random.default_rng(0))


@given(st.integers(0, 2**32))
def test_lattice_and_configs_are_two_forms_of_one(seed: int) -> None:
    space = SearchSpace.from_ratios(
        NetworkSpec(depths=(2, 2), resolution=32), [0.5, 0.75, 1.0], tied=False, removable=True
    )
    lattice = Lattice(space)
    index = lattice.draw(np.random.default_rng(seed), 20, tilt=1.0)
    configs = lattice.configs(index)
    assert all(config in space for config in configs)
    assert (lattice.index(configs) == index).all()
    assert (lattice.unkey(lattice.keys(index)) == index).all()
    around = lattice.configs(lattice.neighbours(index))
    assert all(config in space for config in around)


def test_a_zero_that_its_partner_cannot_join_is_never_used() -> None:
    network = NetworkSpec(depths=(2,), resolution=32)
    space = SearchSpace.from_ratios(network, [0.5, 1.0], tied=False, removable=True)
    space = space.narrowed({"1.1.w2": [32, 64]})
    problem = Problem(
        space=space, metrics={"macs": lambda rows: macs(network, rows)}, constraints=()
    )
    configs = sample_feasible(problem, np.random.default_rng(0), 1000)
    assert len(configs) == 2**6
    assert all(config in space for config in configs)


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan"), float("inf")])
def test_a_limit_must_be_a_positive_number(limit: float) -> None:
    with pytest.raises(SearchError, match="finite and > 0"):
        Constraint(metric="macs", limit=limit)


def test_a_limit_on_an_unknown_metric_is_refused() -> None:
    with pytest.raises(SearchError, match="one of macs, params, latency, but got 'watts'"):
        limited(watts=3.0)


@pytest.mark.parametrize("side", ["nearest", "below"])
def test_uniform_width_net_at_a_cost(side: str) -> None:
    every = uniforms(NETWORK, 8)
    costs = macs(NETWORK, encode(every))
    for value in (5e8, 1.648e9, float(costs[20])):
        found = uniform_at(
            NETWORK,
            lambda rows: macs(NETWORK, rows),
            value,
            side="below" if side == "below" else "nearest",
        )
        cost = macs(NETWORK, encode([found]))[0]
        allowed = costs[costs <= value] if side == "below" else costs
        assert abs(cost - value) == np.abs(allowed - value).min()


def test_the_widest_of_equally_fast_uniform_nets() -> None:
    found = uniform_at(NETWORK, lambda rows: np.ceil(rows[:, 0] / 32) * 1.0, 1.0, divisor=1)
    assert found == [c for c in uniforms(NETWORK) if c.stem <= 32][-1]
    with pytest.raises(SearchError, match=r"no uniform-width net .* the cheapest costs"):
        uniform_at(NETWORK, lambda rows: macs(NETWORK, rows), 1.0, side="below")


def test_uniform_seeds_lie_in_the_space_and_hold_the_limits() -> None:
    seeds = uniform_seeds(TIGHT)
    assert len(seeds) == len(set(seeds)) >= 3
    assert all(config in SPACE for config in seeds)
    assert not TIGHT.excess(encode(seeds)).any()
    assert seeds[-1] == SPACE.smallest()
    cost = macs(NETWORK, encode(seeds))
    assert (np.diff(cost) < 0).all()


def test_uniform_seeds_keep_the_blocks() -> None:
    space = SearchSpace.from_ratios(NETWORK, [0.5, 1.0], tied=False, removable=True)
    problem = replace(TIGHT, space=space, constraints=())
    seeds = uniform_seeds(problem)
    assert {seeds[0], seeds[-1]} == {NETWORK.dense(), NETWORK.uniform(0.5)}
    assert all(w for config in seeds for pair in config.inner for w in pair)
