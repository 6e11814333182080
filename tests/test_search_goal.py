"""The least of a metric above an estimate: found, resumed, and told from other searches."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from search.goal import Goal
from search.history import History
from search.loop import run
from search.problem import Constraint, Problem, SearchError
from search.searcher import Candidate
from supernet.arithmetic import decode, encode, macs
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.space import SearchSpace

NETWORK = NetworkSpec(depths=(1, 1), width=0.25, resolution=32, classes=10)
SPACE = SearchSpace.from_ratios(NETWORK, [0.25, 0.5, 0.75, 1.0], tied=True)
PROBLEM = Problem(
    space=SPACE,
    metrics={"macs": lambda rows: macs(NETWORK, rows)},
    constraints=(Constraint(metric="macs", limit=1e9),),
)


def score(config: ChannelConfig) -> float:
    return float(np.sqrt(encode([config])).sum())


def everything() -> list[ChannelConfig]:
    genes = product(*SPACE.choices)
    return [decode(NETWORK, np.array([*row[:4], row[3], row[4], row[4]])) for row in genes]


def search(folder: Path, searcher: str, evaluations: int, goal: Goal | None) -> History:
    return run(
        PROBLEM, searcher, {}, score,
        seed=1, evaluations=evaluations, generation=20, folder=folder, goal=goal,
    )  # fmt: skip


@pytest.mark.parametrize("searcher", ["evolution", "predictor"])
def test_the_cheapest_config_above_a_floor_is_found(searcher: str, tmp_path: Path) -> None:
    known = everything()
    scores = np.array([score(config) for config in known])
    floor = float(np.quantile(scores, 0.6))
    least = min(c for c, s in zip(macs(NETWORK, encode(known)), scores, strict=True) if s >= floor)
    goal = Goal.of(PROBLEM, "macs", floor)
    history = search(tmp_path, searcher, 200, goal)
    best = goal.pick(history.scored, 1)[0]
    assert best.estimate is not None
    assert best.estimate >= floor
    assert best.costs["macs"] <= 1.1 * least
    assert all(c.estimate == score(c.config) for c in history.scored)  # no merits are kept


def test_a_search_for_a_goal_resumes_and_is_no_other(tmp_path: Path) -> None:
    goal = Goal.of(PROBLEM, "macs", 20.0)
    whole = search(tmp_path / "whole", "evolution", 80, goal)
    search(tmp_path / "parts", "evolution", 40, goal)
    assert search(tmp_path / "parts", "evolution", 80, goal) == whole
    for other in (None, replace(goal, floor=21.0)):
        with pytest.raises(SearchError):
            search(tmp_path / "parts", "evolution", 80, other)


def test_picks_are_the_cheapest_that_reach_the_floor_then_the_best() -> None:
    config = NETWORK.dense()
    goal = Goal(metric="macs", floor=0.5, most=100.0)
    known = [(0.4, 10), (0.9, 80), (0.5, 60), (0.45, 20), (0.7, 60.5), (None, 1)]
    found = [
        Candidate(config=config, costs={"macs": float(cost)}, estimate=estimate)
        for estimate, cost in known
    ]
    assert [c.costs["macs"] for c in goal.pick(found, 5)] == [60, 60.5, 80, 20, 10]


def test_wrong_goals_say_so() -> None:
    with pytest.raises(SearchError, match="must be one of macs, but got 'joules'"):
        Goal.of(PROBLEM, "joules", 0.5)
    with pytest.raises(SearchError, match="must be finite"):
        Goal.of(PROBLEM, "macs", float("nan"))
