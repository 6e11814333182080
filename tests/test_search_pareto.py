"""Pareto fronts, finalists, hypervolume, and the history that they are taken from."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.history import History
from search.pareto import front, hypervolume, nondominated, pick
from search.problem import SearchError
from search.searcher import Candidate
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.space import SearchSpace

NETWORK = NetworkSpec(depths=(1,), resolution=32, classes=10)


def candidate(number: int, estimate: float | None, **costs: float) -> Candidate:
    config = ChannelConfig(number + 1, (8,), ((4, 4),))
    return Candidate(config=config, costs=costs, estimate=estimate)


SMALL = st.integers(0, 6).map(float)
CANDIDATES = st.lists(st.tuples(st.none() | SMALL, SMALL, SMALL), max_size=30).map(
    lambda items: [candidate(i, e, ms=a, macs=b) for i, (e, a, b) in enumerate(items)]
)


def dominates(a: Candidate, b: Candidate, *metrics: str) -> bool:
    assert a.estimate is not None
    assert b.estimate is not None
    pairs = [(-a.estimate, -b.estimate), *((a.costs[m], b.costs[m]) for m in metrics)]
    return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)


@given(CANDIDATES)
def test_front_is_what_nothing_dominates(candidates: list[Candidate]) -> None:
    scored = [c for c in candidates if c.estimate is not None]
    for metrics in (("ms",), ("ms", "macs")):
        found = front(candidates, *metrics)
        for c in scored:
            on_front = any(
                (c.estimate, *(c.costs[m] for m in metrics))
                == (f.estimate, *(f.costs[m] for m in metrics))
                for f in found
            )
            assert on_front == (not any(dominates(o, c, *metrics) for o in scored))
        points = [(f.estimate, *(f.costs[m] for m in metrics)) for f in found]
        assert len(points) == len(set(points))


@given(CANDIDATES, st.integers(0, 12))
def test_finalists_are_distinct_best_first_then_ever_cheaper(
    candidates: list[Candidate], k: int
) -> None:
    chosen = pick(candidates, k, "ms")
    scored = [c for c in candidates if c.estimate is not None]
    assert len(chosen) == min(k, len(scored)) == len({c.config for c in chosen})
    along = [c for c in chosen if c in front(candidates, "ms")]
    assert chosen[: len(along)] == along
    assert all(a.costs["ms"] > b.costs["ms"] for a, b in pairwise(along))
    if chosen:
        assert chosen[0].estimate == max(c.estimate or 0.0 for c in scored)
    rest = [c.estimate or 0.0 for c in chosen[len(along) :]]
    assert rest == sorted(rest, reverse=True)


def test_of_equal_candidates_the_first_is_kept() -> None:
    twins = [candidate(i, 5.0, ms=2.0) for i in range(4)]
    assert front(twins, "ms") == [twins[0]]
    assert pick(twins, 3, "ms") == twins[:3]


@given(CANDIDATES)
def test_hypervolume_counts_the_dominated_grid_cells(candidates: list[Candidate]) -> None:
    cells = sum(
        any(
            c.estimate is not None and c.estimate >= e + 1 and c.costs["ms"] <= m
            for c in candidates
        )
        for e in range(1, 6)
        for m in range(5)
    )
    assert hypervolume(candidates, "ms", estimate=1.0, cost=5.0) == pytest.approx(cells)


@given(CANDIDATES, SMALL, SMALL)
def test_hypervolume_never_falls(candidates: list[Candidate], e: float, ms: float) -> None:
    before = hypervolume(candidates, "ms", estimate=0.0, cost=7.0)
    more = [*candidates, candidate(99, e, ms=ms, macs=0.0)]
    assert hypervolume(more, "ms", estimate=0.0, cost=7.0) >= before - 1e-9


def test_a_large_front_is_found_quickly() -> None:
    points = np.random.default_rng(0).random((20_000, 2))
    kept = points[nondominated(points)]
    kept = kept[np.argsort(kept[:, 0])]
    assert (np.diff(kept[:, 1]) < 0).all()


def test_wrong_metric_is_named() -> None:
    with pytest.raises(SearchError, match="one of ms, but got 'watts'"):
        front([candidate(0, 1.0, ms=1.0)], "watts")
    with pytest.raises(SearchError, match="at least one metric"):
        front([candidate(0, 1.0, ms=1.0)])


@given(CANDIDATES)
def test_history_survives_json(candidates: list[Candidate]) -> None:
    broken = Candidate(config=ChannelConfig(99, (8,), ((4, 4),)), costs={}, failure="no room")
    history = History(candidates=(*candidates, broken))
    assert History.from_json(json.loads(json.dumps(history.to_json()))) == history


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["config", "costs", "estimate", "stem", "stages", "inner", "ms"]),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_history_refuses_with_a_search_error_only(data: Any) -> None:
    try:
        history = History.from_json(data)
    except SearchError:
        return
    assert History.from_json(history.to_json()) == history


def test_history_names_the_place_of_an_error(tmp_path: Path) -> None:
    good = History(candidates=(candidate(0, 1.0, ms=2.0),)).to_json()[0]
    for wrong in (
        {**good, "estimate": float("nan")},
        {**good, "estimate": True},
        {**good, "costs": {"ms": "2"}},
        {**good, "costs": {"ms": 10**400}},
        {**good, "config": {}},
        {**good, "failure": "out of memory"},
        {**good, "estimate": None, "failure": None},
        {**good, "more": 1},
    ):
        with pytest.raises(SearchError, match=r"candidates\[1\]"):
            History.from_json([good, wrong])
    path = tmp_path / "search.json"
    for text in ("", "{}", "[1]", '{"candidates": 3}'):
        path.write_text(text)
        with pytest.raises(SearchError, match=r"search\.json: "):
            History.load(path)


def test_history_as_a_frame() -> None:
    space = SearchSpace.from_ratios(NETWORK, [0.5, 1.0])
    known = Candidate(config=space.smallest(), costs={"ms": 1.5}, estimate=3.0)
    broken = Candidate(config=space.largest(), costs={"ms": 9.0})
    history = History(candidates=(known, broken))
    frame = history.to_pandas(space)
    assert list(frame.columns) == [*space.names, "ms", "estimate", "failure"]
    assert frame.iloc[0].tolist()[:-1] == [32, 128, 32, 1.5, 3.0]
    assert frame["estimate"].isna().tolist() == [False, True]
    assert history.best == known
    assert list(History().to_pandas(space).columns) == [*space.names, "estimate", "failure"]
