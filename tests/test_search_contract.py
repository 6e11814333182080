"""Every searcher in `search/searchers/` keeps the protocol's promises."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest

from search.problem import Constraint, Floats, Metric, Problem, SearchError
from search.searcher import Candidate, Searcher, describe, load, names
from supernet.arithmetic import Rows, encode, macs, params
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.space import SearchSpace

NETWORK = NetworkSpec(depths=(1, 2), width=0.25, resolution=32, classes=10)
RATIOS = [0.25, 0.5, 0.75, 1.0]


def stepped(rows: Rows) -> Floats:
    """A latency in steps of 8 channels that rises where a width is not a multiple of 8."""
    tiles = -(-rows // 8)
    return np.asarray((tiles * (1 + 0.4 * (rows % 8 != 0))).sum(axis=1), dtype=np.float64)


def problem(
    share: float = 0.6, *, tied: bool = True, removable: bool = False, ratios: Sequence[float] = ()
) -> Problem:
    space = SearchSpace.from_ratios(NETWORK, ratios or RATIOS, tied=tied, removable=removable)
    metrics: dict[str, Metric] = {
        "macs": lambda rows: macs(NETWORK, rows),
        "params": lambda rows: params(NETWORK, rows),
        "latency": stepped,
    }
    dense = encode([NETWORK.dense()])
    return Problem(
        space=space,
        metrics=metrics,
        constraints=tuple(
            Constraint(metric=name, limit=share * float(metric(dense)[0]))
            for name, metric in metrics.items()
        ),
    )


PROBLEMS = {
    "tied": problem(),
    "untied": problem(tied=False),
    "removable": problem(tied=False, removable=True),
    "unlimited": Problem(space=problem().space, metrics={"steps": stepped}, constraints=()),
}


def estimate(config: ChannelConfig) -> float:
    return float(np.sqrt(encode([config])).sum())


def step(searcher: Searcher, n: int) -> list[ChannelConfig]:
    configs = list(searcher.ask(n))
    searcher.tell([Candidate(config=c, costs={}, estimate=estimate(c)) for c in configs])
    return configs


def feasible(problem: Problem, configs: Sequence[ChannelConfig]) -> bool:
    return not problem.violation(problem.costs(encode(configs))).any()


@pytest.fixture(params=names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("kind", PROBLEMS)
def test_every_ask_is_new_feasible_and_in_the_space(name: str, kind: str) -> None:
    searcher = load(name, PROBLEMS[kind], 0)
    configs = [config for _ in range(12) for config in step(searcher, 16)]
    assert len(configs) == len(set(configs)) == 12 * 16
    assert all(config in PROBLEMS[kind].space for config in configs)
    assert feasible(PROBLEMS[kind], configs)


def test_same_seed_same_sequence_and_another_seed_another(name: str) -> None:
    def sequence(seed: int) -> list[ChannelConfig]:
        searcher = load(name, PROBLEMS["tied"], seed)
        return [config for _ in range(8) for config in step(searcher, 10)]

    assert sequence(3) == sequence(3)
    assert sequence(3) != sequence(4)


def test_infeasible_unscored_and_foreign_tells_are_legal(name: str) -> None:
    limited = PROBLEMS["tied"]
    searcher = load(name, limited, 0)
    step(searcher, 60)
    foreign = ChannelConfig(17, (61, 127), ((16, 16), (32, 32), (31, 31)))
    told = [
        Candidate(config=NETWORK.dense(), costs={}, estimate=1e9),
        Candidate(config=limited.space.smallest(), costs={}),
        Candidate(config=foreign, costs={}, estimate=2e9),
    ]
    searcher.tell(told)
    configs = [config for _ in range(5) for config in step(searcher, 20)]
    assert feasible(limited, configs)
    assert not {c.config for c in told} & set(configs)


@pytest.mark.parametrize("stop", [0, 1, 5, 9])
def test_restored_equals_uninterrupted(name: str, stop: int) -> None:
    whole = load(name, PROBLEMS["removable"], 1)
    for _ in range(stop):
        step(whole, 15)
    state = json.loads(json.dumps(whole.state()))
    other = load(name, PROBLEMS["removable"], 99)
    other.restore(state)
    assert [step(whole, 15) for _ in range(6)] == [step(other, 15) for _ in range(6)]
    assert whole.state() == other.state()


def test_an_infeasible_problem_gives_nothing(name: str) -> None:
    searcher = load(name, problem(share=0.001), 0)
    assert not searcher.ask(10)
    searcher.tell([])
    assert not searcher.ask(10)


@pytest.mark.parametrize("kind", ["tied", "removable"])
def test_a_tiny_space_is_exhausted_exactly(name: str, kind: str) -> None:
    tiny = problem(share=0.8, ratios=[0.5, 1.0], tied=kind == "tied", removable=kind != "tied")
    rows = {
        tiny.space.config(np.array(genes))
        for genes in np.stack(np.meshgrid(*tiny.space.choices), axis=-1).reshape(
            -1, len(tiny.space.choices)
        )
    }
    expected = {config for config in rows if config in tiny.space and feasible(tiny, [config])}
    searcher = load(name, tiny, 0)
    found: list[ChannelConfig] = []
    while configs := step(searcher, 7):
        found += configs
    assert set(found) == expected
    assert len(found) == len(expected) > 20


def test_options_describe_themselves(name: str) -> None:
    summary, options = describe(name)
    assert summary
    assert all(option.help and option.type for option in options)
    load(name, PROBLEMS["tied"], 0, **{option.name: option.default for option in options})


def test_unknown_searcher_and_option_name_the_valid_ones(name: str) -> None:
    with pytest.raises(SearchError, match=name):
        load("no-such", PROBLEMS["tied"], 0)
    with pytest.raises(SearchError, match=f"options of searcher {name} are .* but got colour"):
        load(name, PROBLEMS["tied"], 0, colour=1)


def test_a_huge_space_with_few_feasible_configs_is_exhausted(name: str) -> None:
    network = NetworkSpec(resolution=64)
    space = SearchSpace.from_ratios(network, [0.25 + step / 16 for step in range(13)])
    least = encode([space.smallest()]).sum()
    narrow = Problem(
        space=space,
        metrics={"width": lambda rows: rows.sum(axis=1)},
        constraints=(Constraint(metric="width", limit=float(least) + 12),),
    )
    searcher = load(name, narrow, 0)
    found: list[ChannelConfig] = []
    while configs := step(searcher, 16):
        found += configs
    # The smallest net; the stem 4, 8 or 12 wider; one of the inner pairs of stage 1 (2 * 4) wider,
    # alone or with the stem 4 wider.
    assert len(found) == len(set(found)) == 1 + 3 + 3 + 3
