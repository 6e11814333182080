"""The modelled benchmark: stairs are read off right, the oracle is concave, searches compare."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.modelled.oracle import Oracle
from benchmarks.modelled.plot import figure
from benchmarks.modelled.searches import (
    MACS,
    WAYS,
    Best,
    compare,
    modelled_ms,
    space_of,
    summary,
)
from benchmarks.modelled.steps import Stairs, stairs
from latency_tables.fitting import fit_table
from latency_tables.predict import Predictor
from latency_tables.table import STAMP
from profiler.backend import load
from profiler.modelled.survey import survey
from profiler.plan import Goals, Planner
from service.table_build import every_width
from supernet.arithmetic import count
from supernet.network import NetworkSpec

NETWORK = NetworkSpec()
SPACE = space_of(NETWORK)


def test_runs_and_edges_are_read_off_a_sweep() -> None:
    found = Stairs(device="a100", precision="int8", batch=1, ms=(1.0, 1.0, 2.0, 2.0, 2.0, 3.0))
    assert found.runs == [2, 3, 1]
    assert found.edges == [2, 5, 6]
    data = found.to_json()
    assert (data["highest_step_percent"], data["highest_step_behind"]) == (100.0, 2)
    assert (data["shortest_run"], data["longest_run"]) == (1, 3)


def test_an_a100_in_int8_has_flat_runs_of_at_least_16_channels() -> None:
    found = stairs("a100", "int8", 128)
    assert min(found.runs) >= 16
    assert len(found.edges) > 4
    assert found.edges[-1] == 256
    assert all(edge % 32 == 0 for edge in found.edges)
    assert max(b / a for a, b in zip(found.ms, found.ms[1:], strict=False)) > 1.2


@given(st.integers(0, 99), st.integers(0, 20), st.integers(1, 23))
def test_the_oracle_is_concave_and_grows_in_every_width(seed: int, gene: int, place: int) -> None:
    oracle = Oracle.drawn(SPACE, seed)
    widths = SPACE.choices[gene]
    at = [np.array([w[0] for w in SPACE.choices]) for _ in range(3)]
    for genes, index in zip(at, (place - 1, place, place + 1), strict=True):
        genes[gene] = widths[index]
    low, middle, high = (oracle(SPACE.config(genes)) for genes in at)
    assert low < middle < high
    assert high - middle < middle - low  # widths are evenly spaced
    assert oracle(NETWORK.dense()) == pytest.approx(1.0)


def best(score: float, macs: int, ms: float) -> Best:
    return Best(config=NETWORK.dense(), score=score, macs=macs, ms=ms)


def test_a_summary_is_of_pairs_of_one_seed() -> None:
    first = dict(
        zip(WAYS, (best(0.8, 100, 2.0), best(0.7, 90, 1.0), best(0.6, 80, 4.0)), strict=True)
    )
    second = {way: replace(found, ms=2 * found.ms) for way, found in first.items()}
    found = summary([first, second])
    ratio = found["against macs"]["latency_ratio"]
    assert ratio == {"mean": 0.5, "low": 0.5, "high": 0.5}
    assert found["against fewer macs"]["latency_ratio"]["mean"] == 0.25
    assert found["against macs"]["score_difference"]["mean"] == pytest.approx(-0.1)


@pytest.mark.slow
def test_a_search_that_knows_the_table_finds_a_faster_config_within_the_same_macs() -> None:
    target = load("modelled", "a100").target("int8", 128, 1)
    goals = Goals(
        points_per_geometry=24, target_error_percent=60, chains=4, networks_fit=12,
        networks_held_out=20,
    )  # fmt: skip
    table = fit_table(survey(target, NETWORK, Planner(every_width(NETWORK, 0.25), goals)))
    found = compare(Predictor(table), 0, shares=(0.8,), evaluations=150)[0]
    for way in ("macs", "latency"):
        assert found[way].macs <= MACS
        assert found[way].ms == modelled_ms(target, NETWORK, found[way].config)
        assert count(NETWORK, found[way].config)[0] == found[way].macs
    assert found["latency"].ms < 0.9 * found["macs"].ms
    seeds = [{way: each.to_json() for way, each in found.items()}]
    searches = {"label": "a100", "evaluations": 150, "shares": [{"share": 0.8, "seeds": seeds}]}
    drawn = figure(
        {"stamp": STAMP, "steps": [stairs("t4", "int8", 1).to_json()], "searches": searches}
    )
    assert drawn.get_suptitle() == STAMP
