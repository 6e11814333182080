"""Searchers that stand on other packages, and the two that learn nothing: what is theirs alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_search_contract import NETWORK, PROBLEMS, RATIOS, feasible, step, stepped

from search.loop import run
from search.pareto import hypervolume
from search.problem import SearchError
from search.searcher import Candidate, load
from search.studies import storage
from supernet.arithmetic import encode, macs, params
from supernet.config import ChannelConfig

PROBLEM = PROBLEMS["tied"]


def score(config: ChannelConfig) -> float:
    return float(np.sqrt(encode([config])).sum())


@pytest.mark.parametrize(("sampler", "asks"), [("tpe", 4), ("nsga2", 6), ("nsga3", 6), ("gp", 1)])
def test_every_sampler_of_optuna_proposes_feasibly_and_restores(sampler: str, asks: int) -> None:
    def made(seed: int) -> Any:
        return load("optuna", PROBLEM, seed, sampler=sampler, first=10, population=10)

    whole, other = made(0), made(7)
    for _ in range(3):
        step(whole, 5)
    other.restore(json.loads(json.dumps(whole.state())))
    for _ in range(asks):
        configs = step(whole, 5)
        assert len(configs) == 5
        assert feasible(PROBLEM, configs)
        assert configs == step(other, 5)


def test_the_genetic_sampler_goes_through_generations() -> None:
    searcher: Any = load("optuna", PROBLEM, 0, sampler="nsga2", first=8, population=8)
    for _ in range(8):
        step(searcher, 6)
    told = searcher.state()["told"]
    generations = [g for *_, notes in told for g in notes.values()]
    assert max(generations) >= 2
    assert generations == sorted(generations)


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"sampler": "cmaes"}, "sampler must be one of tpe, nsga2, nsga3, gp, but got 'cmaes'"),
        ({"first": 1}, "first must be >= 2"),
        ({"population": 0}, "population must be >= 2"),
    ],
)
def test_options_of_optuna_are_checked(options: dict[str, Any], rule: str) -> None:
    with pytest.raises(SearchError, match=rule):
        load("optuna", PROBLEM, 0, **options)


def test_a_search_appears_in_the_storage_while_it_runs(tmp_path: Path) -> None:
    import optuna

    where = str(tmp_path / "study.log")
    options = {"storage": where, "study": "mine", "first": 8}

    def search(evaluations: int) -> None:
        run(
            PROBLEM,
            "optuna",
            options,
            score,
            seed=0,
            evaluations=evaluations,
            generation=8,
            folder=tmp_path / "search",
        )

    search(16)
    study = optuna.load_study(study_name="mine", storage=storage(where))
    assert len(study.trials) == 16
    search(24)
    study = optuna.load_study(study_name="mine", storage=storage(where))
    assert [t.state.name for t in study.trials] == ["COMPLETE"] * 24
    assert set(study.trials[0].params) == set(PROBLEM.space.names)
    assert all(max(t.constraints.values()) <= 0 for t in study.trials)
    # A search that lost its folder asks the same again, and the study already has it.
    (tmp_path / "search" / "search.json").unlink()
    search(24)
    study = optuna.load_study(study_name="mine", storage=storage(where))
    assert len(study.trials) == 24


@pytest.mark.parametrize(
    ("searcher", "package", "install"),
    [("nsga2", "pymoo", r"'stairprune\[nsga2\]'"), ("optuna", "optuna", "optuna")],
)
def test_a_missing_package_is_named(
    searcher: str, package: str, install: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SearchError, match=f"pip install {install}"):
        load(searcher, PROBLEM, 0)


def front(name: str, **options: Any) -> float:
    """Hypervolume of estimate against latency after 400 evaluations."""
    searcher, found = load(name, PROBLEM, 0, **options), []
    for _ in range(20):
        configs = searcher.ask(20)
        costs = stepped(encode(configs)).tolist()
        told = [
            Candidate(config=c, costs={"latency": cost}, estimate=score(c))
            for c, cost in zip(configs, costs, strict=True)
        ]
        searcher.tell(told)
        found += told
    worst = float(stepped(encode([NETWORK.dense()]))[0])
    return hypervolume(found, "latency", estimate=0.0, cost=worst)


def test_nsga2_finds_a_better_front_than_random_search() -> None:
    assert front("nsga2", metric="latency") > front("random")


def test_nsga2_names_the_metrics_it_can_minimise() -> None:
    with pytest.raises(SearchError, match="metric must be one of macs, params, latency, but got"):
        load("nsga2", PROBLEM, 0, metric="watts")


def test_uniform_asks_whole_multipliers_first_and_widest_first() -> None:
    configs = load("uniform", PROBLEM, 0).ask(2)
    dense = PROBLEM.space.genes([NETWORK.dense()])
    shares = PROBLEM.space.genes(configs) / dense
    assert shares[0] == pytest.approx(np.full(len(dense[0]), shares[0, 0]))
    assert shares[0, 0] == max(r for r in RATIOS if feasible(PROBLEM, [NETWORK.uniform(r)]))
    assert shares[1] == pytest.approx(np.full(len(dense[0]), 0.25))


def test_two_stages_keep_the_fastest_of_the_band() -> None:
    searcher = load("two_stage", PROBLEM, 0, band=0.2, banded=["macs"], price="params", pool=200)
    configs = searcher.ask(40)
    rows = encode(configs)
    limit = next(c.limit for c in PROBLEM.constraints if c.metric == "macs")
    assert (macs(NETWORK, rows) >= 0.8 * limit).all()
    assert (np.diff(params(NETWORK, rows)) >= 0).all()
    assert feasible(PROBLEM, configs)


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"band": 0.0}, "0 < band <= 1"),
        ({"pool": 0}, "pool must be >= 1"),
        ({"price": "watts"}, "one of macs, params, latency, but got 'watts'"),
        ({"banded": ["watts"]}, "one of macs, params, latency, but got 'watts'"),
    ],
)
def test_options_of_two_stages_are_checked(options: dict[str, Any], rule: str) -> None:
    with pytest.raises(SearchError, match=rule):
        load("two_stage", PROBLEM, 0, **options)
