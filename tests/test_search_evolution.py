"""Evolution earns its place: it beats random search on equal terms."""

from __future__ import annotations

import numpy as np
import pytest
from test_search_feasible import NETWORK, SPACE, TIGHT

from search.baselines import uniform_seeds
from search.problem import SearchError
from search.searcher import Candidate, load
from supernet.arithmetic import encode
from supernet.config import ChannelConfig

_RNG = np.random.default_rng(11)
_WEIGHT = _RNG.uniform(0.5, 2.0, len(SPACE.names))
_POWER = _RNG.uniform(0.3, 0.8, len(SPACE.names))
_DENSE = SPACE.genes([NETWORK.dense()])[0]


def oracle(config: ChannelConfig) -> float:
    """Additive and concave in every width."""
    share = SPACE.genes([config])[0] / _DENSE
    return float((_WEIGHT * share**_POWER).sum())


def best_of(name: str, seed: int, evaluations: int, **options: object) -> float:
    searcher = load(name, TIGHT, seed, **options)
    best = -np.inf
    for _ in range(evaluations // 20):
        told = [Candidate(config=c, costs={}, estimate=oracle(c)) for c in searcher.ask(20)]
        searcher.tell(told)
        best = max(best, *(c.estimate or 0.0 for c in told))
    return float(best)


@pytest.mark.parametrize("seed", range(4))
def test_beats_random_search(seed: int) -> None:
    assert best_of("evolution", seed, 400) > best_of("random", seed, 400) + 0.1


def test_seeds_are_asked_first_and_narrowed_to_the_limits() -> None:
    seeds = [SPACE.largest(), *uniform_seeds(TIGHT)[:2]]
    searcher = load("evolution", TIGHT, 0, seeds=seeds)
    first = list(searcher.ask(10))
    assert first[1:3] == seeds[1:]
    assert not TIGHT.excess(encode(first)).any()
    assert not set(first) & set(searcher.ask(10))


def test_more_seeds_than_asked_for_all_come() -> None:
    seeds = uniform_seeds(TIGHT)
    searcher = load("evolution", TIGHT, 0, seeds=seeds)
    asked = [c for _ in range(len(seeds)) for c in searcher.ask(1)]
    assert asked == seeds


@pytest.mark.parametrize(
    ("option", "value"), [("first", 0), ("parents", 0), ("mutation", 1.5), ("grow", -0.1)]
)
def test_options_are_checked(option: str, value: float) -> None:
    with pytest.raises(SearchError, match=option):
        load("evolution", TIGHT, 0, **{option: value})


def test_a_seed_outside_the_space_is_refused() -> None:
    with pytest.raises(SearchError, match=r"seeds\[0\] must lie in the space: stem"):
        load("evolution", TIGHT, 0, seeds=[NETWORK.uniform(0.01)])
