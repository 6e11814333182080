"""Block models, whole-network predictions, their errors and their upper bounds."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from latency_tables_synthetic import EDGE, SPEC, measurement, network_cost, table, true_cost

from latency_tables.calibrate import calibrate
from latency_tables.conformal import bound
from latency_tables.fit import cross_validated, fit
from latency_tables.judge import judge
from latency_tables.model import BlockModels, fit_rows
from latency_tables.predict import Predictor
from latency_tables.table import MissingShapeError, TableError, TargetMismatchError
from supernet.arithmetic import encode
from supernet.config import ConfigError
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape, parse_shape
from supernet.space import SearchSpace

TABLE = table()
PREDICTOR = Predictor(TABLE)
SPACE = SearchSpace.from_ratios(SPEC, np.linspace(0.25, 1, 13).tolist(), removable=True)


def test_the_edge_of_the_device_is_found_for_every_block() -> None:
    models = BlockModels.of(TABLE).models
    assert {m.edge for name, m in models.items() if name.startswith("block")} == {EDGE}
    for model in models.values():
        assert model.mape_percent < 1
        assert model.mape_percent <= model.flops_linear_mape_percent


def test_left_out_shapes_are_predicted() -> None:
    model = BlockModels.of(TABLE).model("block:4x4/1,identity")
    rng = np.random.default_rng(9)
    widths = rng.integers(model.low, model.high + 1, size=(200, 4))
    widths[:, 0] = widths[:, 3]
    truth = [true_cost(BlockShape(4, 1, "identity", *(int(v) for v in w))) for w in widths]
    assert np.abs(model.predict(widths) / np.array(truth) - 1).mean() < 0.01


def test_a_measured_row_overrides_the_model_unless_flagged() -> None:
    shape, row = next((s, r) for s, r in TABLE.rows.items() if isinstance(s, BlockShape))
    odd = replace(row, median=row.hi)
    rows = {**TABLE.rows, shape: odd}
    assert BlockModels.of(replace(TABLE, rows=rows)).shape(shape) == odd.median
    rows[shape] = replace(odd, flags=("unstable",))
    flagged = BlockModels.of(replace(TABLE, rows=rows))
    expected = flagged.model(shape.geometry).predict(np.array([shape.widths]))[0]
    assert flagged.shape(shape) == expected


def test_outside_the_measured_range_nothing_is_guessed() -> None:
    models = BlockModels.of(TABLE)
    with pytest.raises(MissingShapeError, match=r"nearest inside: \[256, 64, 64, 256\]"):
        models.shape(parse_shape("block:4x4/1,identity", (256, 65, 64, 256)))
    with pytest.raises(MissingShapeError, match="measured: block:4x4/1,identity"):
        models.shape(parse_shape("block:5x5/1,identity", (256, 64, 64, 256)))


def test_rows_of_two_geometries_are_refused() -> None:
    with pytest.raises(TableError, match="one geometry"):
        fit_rows(TABLE.rows)


def test_one_row_predicts_itself_and_claims_no_error() -> None:
    shape, row = next(iter(TABLE.rows.items()))
    model = fit_rows({shape: row})
    assert model.predict(np.array([shape.widths]))[0] == pytest.approx(row.median)
    assert np.isnan(model.mape_percent)


def test_an_outlier_does_not_bend_the_fit() -> None:
    x = np.column_stack([np.ones(40), np.arange(1.0, 41)])
    y = x @ np.array([2.0, 0.5])
    y[5] *= 3
    assert fit(x, y) == pytest.approx([2.0, 0.5], rel=0.02)
    assert np.median(np.abs(cross_validated(x, y))) < 0.01


def test_held_out_networks_are_predicted_and_flops_are_worse() -> None:
    held = PREDICTOR.held_out
    assert held.points == 30
    assert held.mape_percent < 1
    assert held.flops_linear_mape_percent > 3 * held.mape_percent
    assert held.within_5_percent == held.within_10_percent == 100
    assert held.rank_correlation > 0.99
    assert PREDICTOR.line.calibrated
    assert PREDICTOR.line.d == pytest.approx(0.008 * 4, rel=0.1)


def test_population_and_single_shapes_agree() -> None:
    rng = np.random.default_rng(4)
    configs = [SPACE.sample(rng) for _ in range(60)]
    assert any((0, 0) in config.inner for config in configs)
    predicted, upper = PREDICTOR.predict(encode(configs))
    for config, value, most in zip(configs, predicted, upper, strict=True):
        single = PREDICTOR.config(config)
        assert single.predicted == pytest.approx(value)
        assert single.upper == pytest.approx(most)
        parts = 0.0
        for shape in SPEC.shapes(config):
            model = PREDICTOR.blocks.model(shape.geometry)
            block = isinstance(shape, BlockShape)
            price = PREDICTOR.blocks.shape(shape)
            parts += float(model.predict(np.array([shape.widths]))[0]) if block else price
        row = encode([config])
        shares, borders = PREDICTOR.pricer.shares(row), PREDICTOR.pricer.borders(row)
        whole = PREDICTOR.line(np.array([parts]), shares, borders)[0]
        assert whole == pytest.approx(value)


def test_the_upper_bound_holds_for_networks_drawn_like_the_calibration() -> None:
    rng = np.random.default_rng(77)
    space = SearchSpace.from_ratios(SPEC, np.linspace(0.25, 1, 25).tolist())
    configs = [space.sample(rng) for _ in range(300)]
    truth = [measurement(network_cost(c), rng, 0.003).median for c in configs]
    _, upper = PREDICTOR.predict(encode(configs))
    assert PREDICTOR.bound.coverage == 0.95
    assert (np.array(truth) <= upper).mean() >= 0.93


def test_a_removed_block_is_not_refunded_for_a_run_it_never_starts() -> None:
    """No calibration network lacks a block, yet the search may remove one."""
    rng = np.random.default_rng(78)
    drawn = [SPACE.sample(rng) for _ in range(900)]
    removed = [config for config in drawn if (0, 0) in config.inner]
    truth = np.array([network_cost(config) for config in removed])
    predicted, _ = PREDICTOR.predict(encode(removed))
    assert len(removed) > 30
    assert abs((truth / predicted - 1).mean()) < 0.005


@given(st.lists(st.floats(0.5, 2), min_size=1, max_size=200))
def test_conformal_rank(ratios: list[float]) -> None:
    found = bound(np.array(ratios), "held-out networks")
    n = len(ratios)
    assert (np.array(ratios) <= found.factor).mean() >= min(0.95, found.coverage)
    assert found.coverage == (0.95 if n >= 19 else pytest.approx(n / (n + 1)))


def test_conformal_coverage_is_met_on_average() -> None:
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(400):
        found = bound(rng.lognormal(0, 0.05, 40), "held-out networks")
        covered.append((rng.lognormal(0, 0.05, 50) <= found.factor).mean())
    assert 0.945 <= np.mean(covered) <= 0.985


def test_too_few_networks_say_so() -> None:
    few = Predictor(replace(TABLE, networks=TABLE.networks[:4]))
    assert (few.line.a, few.line.b, few.line.d) == (0.0, 1.0, 0.0)
    assert not few.line.calibrated
    assert few.bound.coverage < 0.95
    none = Predictor(replace(TABLE, networks=()))
    assert none.held_out.points == 0
    assert np.isnan(none.held_out.mape_percent)
    assert (none.bound.source, none.bound.coverage) == ("left-out blocks", 0.0)
    assert none.bound.factor > 1


def test_where_nearly_all_networks_are_flagged_they_take_part_and_it_is_said() -> None:
    flagged = tuple(
        replace(row, measurement=replace(row.measurement, flags=("unstable",)))
        for row in TABLE.networks
    )
    predictor = Predictor(replace(TABLE, networks=flagged))
    assert predictor.disturbed
    assert not Predictor(TABLE).disturbed
    assert predictor.held_out == Predictor(TABLE).held_out


def test_flagged_and_unpriced_networks_are_left_out_and_counted() -> None:
    first, second, *rest = TABLE.networks
    flagged = replace(first, measurement=replace(first.measurement, flags=("unstable",)))
    beyond = replace(second, config=replace(second.config, stem=1))
    predictor = Predictor(replace(TABLE, networks=(flagged, beyond, *rest)))
    assert (predictor.flagged, predictor.unpriced) == (1, 1)
    assert len(predictor.networks()) == len(TABLE.networks) - 2


def test_another_network_is_refused() -> None:
    with pytest.raises(TargetMismatchError, match="is asked for"):
        Predictor(TABLE, NetworkSpec())
    with pytest.raises(TargetMismatchError, match="columns"):
        PREDICTOR.predict(encode([NetworkSpec().dense()]))
    with pytest.raises(ConfigError):
        PREDICTOR.config(NetworkSpec().dense())


@settings(deadline=None, max_examples=30)
@given(st.floats(-0.05, 0.5), st.floats(0.3, 2), st.integers(0, 99))
def test_a_line_is_recovered(a: float, b: float, seed: int) -> None:
    sums = np.random.default_rng(seed).uniform(1, 3, 30)
    line = calibrate(sums, np.ones(30), np.zeros(30), a + b * sums)
    assert line.a - line.d == pytest.approx(a, abs=1e-3)
    assert line.b == pytest.approx(b, abs=1e-3)


def test_borders_are_used_only_where_they_help() -> None:
    rng = np.random.default_rng(2)
    sums, borders = rng.uniform(1, 3, 40), rng.uniform(0, 1e5, 40)
    ones = np.ones(40)
    helped = calibrate(sums, ones, borders, 0.1 + sums - 2e-6 * borders)
    assert helped.c == pytest.approx(-2e-6, rel=0.01)
    noisy = (0.1 + sums) * np.exp(0.01 * rng.standard_normal(40))
    assert abs(calibrate(sums, ones, borders, noisy).c) * 1e5 < 0.05


def test_figures_of_a_known_case() -> None:
    measured = np.array([1.0, 2.0, 4.0, 4.2])
    held = judge(measured * np.array([1.04, 1.0, 0.92, 1.2]), measured, measured * 1.5)
    assert held.mape_percent == pytest.approx((4 + 0 + 8 + 20) / 4)
    assert (held.within_5_percent, held.within_10_percent) == (50, 75)
    assert held.worst_percent == pytest.approx(20)
    assert held.flops_linear_mape_percent == pytest.approx(50)
    assert held.band_rank_correlation == 1


def test_pricing_is_fast() -> None:
    rows = SPACE.rows(SPACE.sample_genes(np.random.default_rng(0), 100_000))
    start = time.process_time()
    predicted, _ = PREDICTOR.predict(rows)
    assert time.process_time() - start < 2
    assert np.isfinite(predicted).all()
    assert (predicted > 0).all()
