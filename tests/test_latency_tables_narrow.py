"""Narrowing: what it drops, and that no optimum goes with it."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from latency_tables_synthetic import SPEC, Device, known_grain, measurement, table, true_cost

from latency_tables.dominance import undominated, worst_excess
from latency_tables.features import design
from latency_tables.fitting import fit_table
from latency_tables.grain import Grain
from latency_tables.joint import ENDS
from latency_tables.narrow import inside, narrow
from latency_tables.predict import Predictor
from latency_tables.sweeps import sweep
from latency_tables.table import Measurement, MissingShapeError, TargetMismatchError
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape, Shape
from supernet.space import SearchSpace

# With fewer rows than features, many fits are exact, and few of them show the steps.
with known_grain():
    TABLE = fit_table(table(points=120))
    PREDICTOR = Predictor(TABLE)
    EXACT = Predictor(table(noise=0, points=200))
with known_grain(DEVICE := Device(edge=16, align=4, convert=1e-5)):
    ALIGNED = Predictor(table(noise=0, device=DEVICE, chains=30))
FULL = SearchSpace.from_ratios(SPEC, np.linspace(0.25, 1, 49).tolist())
WIDTHS = {
    "stem": (20, 24, 32),
    "stage1": (100, 104, 128),
    "stage2": (200, 201, 208, 256),
    "1.0": (14, 15, 16, 24),
    "2.0": (37, 38, 40, 48, 64),
    "2.1": (0, 23, 24, 30, 32, 33),
}


def stripped(predictor: Predictor) -> Predictor:
    """Without what the fit gave to features that next to nothing depends on."""
    models = {}
    for name, model in predictor.fitted.models.items():
        part = (
            model.coefficients
            * design(model.sample, model.high[None].astype(float), model.grain)[0]
        )
        kept = np.where(part > 1e-3 * part.sum(), model.coefficients, 0.0)
        models[name] = replace(model, coefficients=kept)
    fitted = replace(predictor.fitted, models=models)
    return Predictor(replace(predictor.table, fitted=fitted))


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


def best(predictor: Predictor, space: SearchSpace, weights: np.ndarray, limit: float) -> float:
    """Highest accuracy under the limit, by enumeration; accuracy grows with every gene."""
    genes = np.array(list(product(*space.choices)))
    rows = space.rows(genes)
    latency, _ = predictor.predict(rows)
    # A block of which one inner width is 0 is removed: it must not score for the other.
    accuracy = np.log1p(rows.astype(float)) @ weights
    return float(accuracy[latency <= limit].max())


@pytest.mark.parametrize(
    "predictor", [stripped(EXACT), ALIGNED], ids=["edge 8", "edge 16, align 4"]
)
@pytest.mark.parametrize("tied", [True, False])
def test_the_optimum_of_every_limit_is_unchanged(tied: bool, predictor: Predictor) -> None:
    space = small(tied=tied)
    narrowed, done = narrow(space, predictor, tolerance=0)
    assert done.log10_after < done.log10_before == space.log10_size
    low, high = (predictor.config(c).predicted for c in (space.smallest(), space.largest()))
    rng = np.random.default_rng(5)
    columns = len(space.columns)
    for limit in np.linspace(1.02 * low, high, 12):
        weights = rng.exponential(size=columns)
        assert best(predictor, narrowed, weights, limit) == best(predictor, space, weights, limit)


def arbitrary(grain: Grain, rng: np.random.Generator) -> Predictor:
    """Any cost that a fit could come to: some coefficients 0, others far apart."""
    assert TABLE.fitted is not None
    models = {}
    for name, model in TABLE.fitted.models.items():
        widths = rng.integers(model.low, model.high + 1, (50, len(model.low))).astype(float)
        x = design(model.sample, widths, grain).max(axis=0)
        size = rng.exponential(size=len(x)) * (rng.random(len(x)) < 0.4)
        ends = rng.exponential(size=ENDS) * (rng.random(ENDS) < 0.6) * 1e-4
        coefficients = size / np.maximum(x, 1)
        models[name] = replace(model, grain=grain, coefficients=coefficients, ends=ends)
    return Predictor(replace(TABLE, fitted=replace(TABLE.fitted, grain=grain, models=models)))


@settings(max_examples=25, deadline=None)
@given(
    grain=st.sampled_from(
        [
            Grain(align=4, narrow=16, group=16, batch=16, cache=1 << 10),
            Grain(align=8, narrow=1, group=8, batch=32, cache=0),
            Grain(cache=1 << 12),
        ]
    ),
    seed=st.integers(0, 999),
    tied=st.booleans(),
    tolerance=st.sampled_from([0.0, 0.05]),
)
def test_nothing_matched_costs_more_whatever_its_neighbours(
    grain: Grain, seed: int, tied: bool, tolerance: float
) -> None:
    rng = np.random.default_rng(seed)
    predictor, space = arbitrary(grain, rng), small(tied=tied)
    gene = int(rng.integers(len(space.names)))
    excess = worst_excess(space, gene, predictor.pricer, tolerance)
    widths = [w for w in space.choices[gene] if w]
    genes = np.array([[rng.choice(choices) for choices in space.choices] for _ in range(40)])
    cost = []
    for width in widths:
        genes[:, gene] = width
        cost.append(predictor.pricer.price(space.rows(genes)))
    for i in range(len(widths)):
        larger = range(i + 1, len(widths))
        for lost, j in zip(excess(i, larger), larger, strict=True):
            if tolerance == 0:
                assert (cost[j] - cost[i] <= lost + 1e-9 * (1 + cost[i])).all()
            if lost <= 0:
                assert (cost[j] <= (1 + tolerance + 1e-9) * cost[i] + 1e-9).all()


def test_hardly_more_than_right_edges_stay_with_some_tolerance() -> None:
    narrowed, done = narrow(FULL, TABLE, tolerance=0.01)
    assert done.log10_before - done.log10_after > 1.5
    assert narrowed.log10_size == done.log10_after
    for name, before, after in zip(FULL.names, FULL.choices, narrowed.choices, strict=True):
        assert (after[0], after[-1]) == (before[0], before[-1])
        assert after == done.kept[name]
    assert set(done.kept["2.1"]) - {min(FULL.choices[-1])} <= set(range(0, 65, 8))


@known_grain()
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


def test_what_a_block_pays_only_alone_does_not_decide() -> None:
    """A block alone is fed plain maps, and hands plain ones back."""
    shapes = [BlockShape(4, 1, "identity", 256, w, w, 256) for w in range(20, 29)]
    ends = np.zeros(ENDS)
    ends[2] = 2e-6  # the sum of a plain shortcut with a grouped map
    assert TABLE.fitted is not None
    models = {
        name: replace(model, grain=Grain(align=4, group=8, batch=8), ends=ends)
        for name, model in arbitrary(
            Grain(group=8, batch=8), np.random.default_rng(0)
        ).blocks.models.items()
    }
    rows: dict[Shape, Measurement] = {
        s: Measurement(median=1.0, lo=1.0, hi=1.0, rounds=(1.0,)) for s in shapes
    }
    bare = replace(TABLE, rows=rows, fitted=None)
    fitted = replace(TABLE.fitted, models=models, fingerprint=bare.fingerprint)
    predictor = Predictor(replace(bare, fitted=fitted))
    found = sweep(predictor.table, "block:4x4/1,identity", "w")
    grouped = np.array([w % 4 == 0 for w in found.widths])
    launch = models["block:4x4/1,identity"].launch_ms
    assert inside(found, predictor) == pytest.approx(1 - launch - grouped * 2e-6 * 16 * 256)


def test_a_gentle_slope_is_thinned_and_not_swallowed() -> None:
    widths = tuple(range(1, 101))
    cost = 1 + 0.001 * np.arange(100)
    kept = undominated(widths, lambda i, others: cost[list(others)] - 1.02 * cost[i])
    assert kept[0] == 1
    assert kept[-1] == 100
    assert 4 <= len(kept) <= 8


def test_what_was_not_measured_is_not_narrowed() -> None:
    beyond = SearchSpace.from_ratios(SPEC, [0.03, 1.0])
    with pytest.raises(MissingShapeError):
        narrow(beyond, PREDICTOR)
    with pytest.raises(TargetMismatchError):
        narrow(SearchSpace.from_ratios(NetworkSpec(), [0.5, 1.0]), PREDICTOR)
