"""Narrowing: what it drops, and that no optimum goes with it."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from latency_tables_synthetic import SPEC, measurement, table, true_cost

from latency_tables.dominance import undominated
from latency_tables.narrow import narrow
from latency_tables.predict import Predictor
from latency_tables.table import MissingShapeError, TargetMismatchError
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape
from supernet.space import SearchSpace

TABLE = table()
PREDICTOR = Predictor(TABLE)
FULL = SearchSpace.from_ratios(SPEC, np.linspace(0.25, 1, 49).tolist())
WIDTHS = {
    "stem": (20, 24, 32),
    "stage1": (100, 104, 128),
    "stage2": (200, 201, 208, 256),
    "1.0": (14, 15, 16, 24),
    "2.0": (37, 38, 40, 48, 64),
    "2.1": (0, 23, 24, 30, 32, 33),
}


def small(*, tied: bool) -> SearchSpace:
    """At most some thousand configs, among them dominated widths and a removable block."""
    inner = [WIDTHS[block] for block in ("1.0", "2.0", "2.1")]
    if not tied:
        inner = [widths[1:] if i % 2 else widths[:3] for widths in inner for i in (0, 1)]
        inner[5] = (0, *inner[5])
    outer = [WIDTHS[gene] for gene in ("stem", "stage1", "stage2")]
    if not tied:
        outer = [widths[:2] for widths in outer]
    return SearchSpace(network=SPEC, choices=(*outer, *inner), tied=tied)


def best(space: SearchSpace, weights: np.ndarray, limit: float) -> float:
    """Highest accuracy under the limit, by enumeration; accuracy grows with every gene."""
    genes = np.array(list(product(*space.choices)))
    latency, _ = PREDICTOR.predict(space.rows(genes))
    # A block of which one inner width is 0 is removed: it must not score for the other.
    rows = space.rows(genes).astype(float)
    accuracy = np.log1p(rows) @ weights
    return float(accuracy[latency <= limit].max())


@pytest.mark.parametrize("tied", [True, False])
def test_the_optimum_of_every_limit_is_unchanged(tied: bool) -> None:
    space = small(tied=tied)
    narrowed, done = narrow(space, PREDICTOR, tolerance=0)
    assert done.log10_after < done.log10_before
    low, high = (PREDICTOR.config(c).predicted for c in (space.smallest(), space.largest()))
    rng = np.random.default_rng(5)
    columns = len(space.columns)
    for limit in np.linspace(1.02 * low, high, 12):
        weights = rng.exponential(size=columns)
        assert best(narrowed, weights, limit) == best(space, weights, limit)


def test_only_right_edges_stay_with_the_noise_of_the_table() -> None:
    narrowed, done = narrow(FULL, TABLE)
    assert done.log10_before - done.log10_after > 1.5
    assert narrowed.log10_size == done.log10_after
    for name, before, after in zip(FULL.names, FULL.choices, narrowed.choices, strict=True):
        assert (after[0], after[-1]) == (before[0], before[-1])
        assert after == done.kept[name]
    assert set(done.kept["2.1"]) - {min(FULL.choices[-1])} <= set(range(0, 65, 8))


def test_a_measured_sweep_decides_where_it_holds_all_widths() -> None:
    rng = np.random.default_rng(1)
    shapes = [BlockShape(4, 1, "identity", 256, w, w, 256) for w in range(16, 65)]
    rows = dict(TABLE.rows)
    rows.update({s: measurement(true_cost(s), rng, 0.0005) for s in shapes})
    _, done = narrow(FULL, replace(TABLE, rows=rows), tolerance=0.003)
    assert done.measured == ("2.1",)
    assert done.kept["2.1"] == tuple(range(16, 65, 8))
    _, modelled = narrow(FULL, replace(TABLE, rows=rows), use_sweeps=False)
    assert modelled.measured == ()


def test_a_gentle_slope_is_thinned_and_not_swallowed() -> None:
    widths = tuple(range(1, 101))
    cost = 1 + 0.001 * np.arange(100)
    kept = undominated(widths, cost[None, :] - 1.02 * cost[:, None])
    assert kept[0] == 1
    assert kept[-1] == 100
    assert 4 <= len(kept) <= 8


def test_what_was_not_measured_is_not_narrowed() -> None:
    beyond = SearchSpace.from_ratios(SPEC, [0.03, 1.0])
    with pytest.raises(MissingShapeError):
        narrow(beyond, PREDICTOR)
    with pytest.raises(TargetMismatchError):
        narrow(SearchSpace.from_ratios(NetworkSpec(), [0.5, 1.0]), PREDICTOR)
