"""Compiled prices equal the predictor's, for every kind of space; limits, bands and slack."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import search.sampling
from latency_tables.predict import Predictor
from latency_tables.shipped import load, names
from latency_tables.table import MissingShapeError
from search.lattice import Lattice
from search.metrics import Latency, Macs, Params
from search.prices import Prices
from search.problem import Constraint, Floats, Metric, Problem, SearchError
from search.sampling import Sampler, sample_feasible
from search.terms import MOST_CELLS, scopes, tabulate
from supernet.arithmetic import Rows, encode, macs, params
from supernet.network import NetworkSpec
from supernet.space import SearchSpace

NETWORK = NetworkSpec()
# Both grouped and other widths, whole groups and not, so that every kind of residual stream occurs.
RATIOS = [0.25, 0.27, 0.375, 0.5, 0.59, 0.75, 0.8, 1.0]
KINDS: dict[str, dict[str, bool]] = {
    "tied": {},
    "untied": {"tied": False},
    "tied, removable": {"removable": True},
    "untied, removable": {"tied": False, "removable": True},
}


@cache
def predictor(name: str) -> Predictor:
    return Predictor(load(name))


@cache
def resnets() -> list[str]:
    """The first three shipped tables of the network."""
    return [name for name in names() if load(name).network == NETWORK][:3]


@cache
def metrics() -> dict[str, Metric]:
    tables = {f"latency_ms:{name}": Latency(predictor=predictor(name)) for name in resnets()}
    return {"macs": Macs(network=NETWORK), "params": Params(network=NETWORK), **tables}


@cache
def prices(kind: str) -> Prices:
    space = SearchSpace.from_ratios(NETWORK, RATIOS, **KINDS[kind])
    return Prices(Problem(space=space, metrics=metrics(), constraints=()))


@pytest.mark.parametrize("kind", KINDS)
def test_compiled_prices_equal_arithmetic_and_predictor(kind: str) -> None:
    compiled = prices(kind)
    assert set(compiled.terms) == set(metrics())
    assert any(terms.out is not None for terms in compiled.terms.values())
    rng = np.random.default_rng(0)
    index = np.concatenate([compiled.lattice.draw(rng, 4000, 0.7) for _ in range(3)])
    rows, found = compiled.lattice.rows(index), compiled.costs(index)
    assert (found["macs"] == macs(NETWORK, rows)).all()
    assert (found["params"] == params(NETWORK, rows)).all()
    for name in resnets():
        truth = predictor(name).predict(rows)[1]
        assert np.abs(found[f"latency_ms:{name}"] / truth - 1).max() < 1e-12
    if "removable" in kind:
        assert (rows[:, 5:] == 0).any()
        assert (rows[:, 5:] > 0).all(axis=1).any()


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(KINDS)), st.integers(0, 2**32), st.floats(0, 2))
def test_any_rows_cost_what_the_metrics_say(kind: str, seed: int, tilt: float) -> None:
    compiled = prices(kind)
    index = compiled.lattice.draw(np.random.default_rng(seed), 50, tilt)
    rows = compiled.lattice.rows(index)
    for name, cost in compiled.costs(index).items():
        assert np.allclose(cost, metrics()[name](rows), rtol=1e-12, atol=0)


def test_excess_at_a_limit_is_decided_by_the_metric_itself() -> None:
    compiled = prices("tied")
    index = compiled.lattice.draw(np.random.default_rng(1), 200, 0.7)
    rows = compiled.lattice.rows(index)
    for name in metrics():
        edge = float(metrics()[name](rows[:1])[0])
        limits = [edge * (1 - 1e-8), edge * (1 + 1e-8)]
        if not name.startswith("latency"):  # whose last bits depend on how many are asked at once
            limits += [edge, float(np.nextafter(edge, 0)), float(np.nextafter(edge, np.inf))]
        for limit in limits:
            problem = replace(compiled.problem, constraints=(Constraint(metric=name, limit=limit),))
            other = copy(compiled)
            other.problem = problem
            assert ((other.excess(index) == 0) == (problem.excess(rows) == 0)).all()
            assert np.allclose(other.excess(index), problem.excess(rows), atol=1e-12)


def test_a_metric_that_is_no_sum_is_asked_as_it_is() -> None:
    def far(rows: Rows) -> Floats:
        return np.asarray(rows[:, 0] * rows[:, -1], dtype=np.float64)

    space = prices("tied").problem.space
    problem = Problem(
        space=space,
        metrics={"far": far, "macs": Macs(network=NETWORK)},
        constraints=(Constraint(metric="far", limit=10_000.0),),
    )
    compiled = Prices(problem)
    assert set(compiled.terms) == {"macs"}
    index = compiled.lattice.draw(np.random.default_rng(0), 100, 0.7)
    rows = compiled.lattice.rows(index)
    assert (compiled.costs(index)["far"] == far(rows)).all()
    assert (compiled.excess(index) == problem.excess(rows)).all()
    assert compiled.excess(index).any()
    assert len(sample_feasible(problem, np.random.default_rng(0), 20)) == 20


def test_functions_are_taken_apart_like_the_metrics_that_know_their_terms() -> None:
    space = SearchSpace.from_ratios(NETWORK, [0.5, 0.75, 1.0], tied=False, removable=True)
    lattice = Lattice(space)
    for count in (macs, params):
        terms = tabulate(partial(count, NETWORK), lattice)
        assert terms is not None
        assert terms.out is None
    # A predictor's latency hands on a bit, which no function of rows shows: it is no plain sum.
    latency = Latency(predictor=predictor(resnets()[0]))
    mixed = Lattice(prices("untied").problem.space)
    assert tabulate(lambda rows: latency(rows), mixed) is None
    assert tabulate(latency, mixed) is not None


def test_empty_populations_cost_nothing() -> None:
    compiled = prices("tied")
    none = compiled.lattice.draw(np.random.default_rng(0), 5)[:0]
    assert all(len(cost) == 0 for cost in compiled.costs(none).values())
    assert len(compiled.excess(none)) == 0


def test_a_space_beyond_the_table_is_refused_before_the_search() -> None:
    space = SearchSpace.from_ratios(NETWORK, [0.02, 1.0])
    with pytest.raises(MissingShapeError, match="outside what was measured"):
        Prices(Problem(space=space, metrics=metrics(), constraints=()))


def test_a_space_too_large_to_tabulate_is_sampled_without_tables() -> None:
    ratios = np.linspace(0.25, 1, 40).tolist()
    space = SearchSpace.from_ratios(NETWORK, ratios, tied=False)
    problem = Problem(
        space=space,
        metrics={"macs": Macs(network=NETWORK)},
        constraints=(Constraint(metric="macs", limit=1.6e9),),
    )
    with pytest.raises(SearchError, match=f"at most {MOST_CELLS} cells, but has"):
        scopes(Lattice(space))
    assert Sampler(problem).prices is None
    configs = sample_feasible(problem, np.random.default_rng(0), 5)
    assert len(configs) == 5
    assert not problem.excess(encode(configs)).any()


def test_sampling_with_and_without_tables_gives_the_same_configs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for kind in ("tied", "untied, removable"):
        compiled = prices(kind)
        rows = compiled.lattice.rows(compiled.lattice.largest())
        limits = tuple(
            Constraint(metric=name, limit=0.4 * float(metric(rows)[0]))
            for name, metric in metrics().items()
        )
        problem = replace(compiled.problem, constraints=limits)
        fast = sample_feasible(problem, np.random.default_rng(5), 40)
        with monkeypatch.context() as patch:
            patch.setattr(search.sampling, "_compiled", lambda *_: None)
            assert sample_feasible(problem, np.random.default_rng(5), 40) == fast


@pytest.mark.parametrize("kind", KINDS)
def test_bands_are_sampled(kind: str) -> None:
    space = prices(kind).problem.space
    latency = f"latency_ms:{resnets()[0]}"
    dense = encode([NETWORK.dense()])
    top = {name: float(metrics()[name](dense)[0]) for name in ("macs", latency)}
    problem = Problem(
        space=space,
        metrics=metrics(),
        constraints=(
            Constraint(metric="macs", floor=0.38 * top["macs"], limit=0.4 * top["macs"]),
            Constraint(metric=latency, limit=0.5 * top[latency]),
        ),
    )
    configs = sample_feasible(problem, np.random.default_rng(0), 50)
    assert len(configs) == len(set(configs)) == 50
    cost = macs(NETWORK, encode(configs))
    assert (cost >= 0.38 * top["macs"]).all()
    assert (cost <= 0.4 * top["macs"]).all()
    assert not problem.excess(encode(configs)).any()


def test_a_band_says_what_is_wrong_with_it() -> None:
    for floor in (-1.0, 11.0, float("nan")):
        with pytest.raises(SearchError, match=r"0 <= floor <= limit must hold for macs"):
            Constraint(metric="macs", limit=10.0, floor=floor)
    assert str(Constraint(metric="macs", limit=10.0, floor=5.0)) == "5 <= macs <= 10"


def test_slack_is_what_the_tightest_side_leaves() -> None:
    problem = Problem(
        space=prices("tied").problem.space,
        metrics=metrics(),
        constraints=(
            Constraint(metric="macs", limit=100.0, floor=40.0),
            Constraint(metric="macs", limit=90.0),
            Constraint(metric="params", limit=7.0),
        ),
    )
    assert problem.slack({"macs": 60.0, "params": 3.0}) == {"macs": 20.0, "params": 4.0}
    assert problem.slack({"macs": 95.0, "params": 9.0}) == {"macs": -5.0, "params": -2.0}
    assert problem.violation({"macs": np.array([20.0]), "params": np.array([7.0])})[0] == 0.5
