"""Block models, whole-network predictions, their errors and their upper bounds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from latency_tables_synthetic import (
    EDGE,
    SPEC,
    known_grain,
    measurement,
    network_cost,
    random_configs,
    table,
    true_cost,
)

from latency_tables.calibrate import Line, calibrate
from latency_tables.conformal import bound
from latency_tables.features import design
from latency_tables.fit import cross_validated, fit
from latency_tables.judge import judge
from latency_tables.predict import Predictor
from latency_tables.table import MissingShapeError, TargetMismatchError
from supernet.arithmetic import encode
from supernet.config import ConfigError
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape, parse_shape
from supernet.space import SearchSpace

TABLE = table()
PREDICTOR = Predictor(TABLE)
SPACE = SearchSpace.from_ratios(SPEC, np.linspace(0.25, 1, 13).tolist(), removable=True)


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with known_grain():
        yield


def test_the_edge_of_the_device_is_found() -> None:
    grain = PREDICTOR.fitted.grain
    assert (grain.group, grain.align) == (EDGE, 1)
    for model in PREDICTOR.blocks.models.values():
        assert model.grain == grain
        assert model.mape_percent < 1
        assert model.mape_percent <= model.flops_linear_mape_percent


def test_left_out_shapes_are_predicted() -> None:
    model = PREDICTOR.blocks.model("block:4x4/1,identity")
    rng = np.random.default_rng(9)
    widths = rng.integers(model.low, model.high + 1, size=(200, 4))
    widths[:, 0] = widths[:, 3]
    truth = [true_cost(BlockShape(4, 1, "identity", *(int(v) for v in w))) for w in widths]
    assert np.abs(model.predict(widths) / np.array(truth) - 1).mean() < 0.01


def test_a_measured_row_overrides_the_model_unless_flagged() -> None:
    shape, row = next((s, r) for s, r in TABLE.rows.items() if isinstance(s, BlockShape))
    odd = replace(row, median=row.hi)
    blocks = replace(PREDICTOR.blocks, table=replace(TABLE, rows={**TABLE.rows, shape: odd}))
    assert blocks.shape(shape) == odd.median
    flagged = {**TABLE.rows, shape: replace(odd, flags=("unstable",))}
    blocks = replace(PREDICTOR.blocks, table=replace(TABLE, rows=flagged))
    expected = blocks.model(shape.geometry).predict(np.array([shape.widths]))[0]
    assert blocks.shape(shape) == expected != odd.median


def test_outside_the_measured_range_nothing_is_guessed() -> None:
    with pytest.raises(MissingShapeError, match=r"nearest inside: \[256, 64, 64, 256\]"):
        PREDICTOR.blocks.shape(parse_shape("block:4x4/1,identity", (256, 65, 64, 256)))
    with pytest.raises(MissingShapeError, match="measured: block:4x4/1,identity"):
        PREDICTOR.blocks.shape(parse_shape("block:5x5/1,identity", (256, 64, 64, 256)))
    beyond = replace(SPACE.largest(), stem=33)
    with pytest.raises(MissingShapeError, match="stem"):
        PREDICTOR.config(beyond)


def test_one_row_predicts_itself_and_claims_no_error() -> None:
    shape, row = next(iter(TABLE.rows.items()))
    alone = Predictor(replace(TABLE, rows={shape: row}, networks=()))
    model = alone.blocks.model(shape.geometry)
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
    assert PREDICTOR.line.b == pytest.approx(1, abs=0.02)


def test_a_population_costs_the_sum_of_its_layers() -> None:
    rng = np.random.default_rng(4)
    configs = [SPACE.sample(rng) for _ in range(60)]
    assert any((0, 0) in config.inner for config in configs)
    predicted, upper = PREDICTOR.predict(encode(configs))
    for config, value, most in zip(configs, predicted, upper, strict=True):
        single = PREDICTOR.config(config)
        assert single.predicted == pytest.approx(value)
        assert single.upper == pytest.approx(most)
        total, grouped = PREDICTOR.fitted.launch_ms, np.zeros(1, dtype=np.bool_)
        for shape in SPEC.shapes(config):
            model = PREDICTOR.blocks.model(shape.geometry)
            widths = np.array([shape.widths])
            between, grouped = model.stream(widths, grouped)
            layers = design(shape, widths.astype(float), model.grain) @ model.coefficients
            total += float(between[0] + layers[0])
        assert PREDICTOR.line(np.array([total]))[0] == pytest.approx(value)


def test_a_piece_alone_pays_the_start_of_a_run() -> None:
    for name, model in PREDICTOR.blocks.models.items():
        if name.startswith("block"):
            widths = np.array([model.low, model.high])
            inside = design(model.sample, widths.astype(float), model.grain) @ model.coefficients
            assert (model.predict(widths) >= inside + PREDICTOR.fitted.launch_ms - 1e-12).all()


def test_the_upper_bound_holds_for_networks_drawn_like_the_calibration() -> None:
    rng = np.random.default_rng(77)
    configs = random_configs(300, rng)
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
    assert few.line == Line()
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
    assert predictor.fitted.disturbed
    assert not PREDICTOR.fitted.disturbed
    assert predictor.held_out == PREDICTOR.held_out


def test_flagged_and_unpriced_networks_are_left_out_and_counted() -> None:
    first, second, *rest = TABLE.networks
    flagged = replace(first, measurement=replace(first.measurement, flags=("unstable",)))
    beyond = replace(second, config=replace(second.config, stem=1))
    predictor = Predictor(replace(TABLE, networks=(flagged, beyond, *rest)))
    assert (predictor.fitted.flagged, predictor.fitted.unpriced) == (1, 1)
    assert len(predictor.networks()) == len(TABLE.networks) - 1
    assert predictor.held_out.points == 30


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
    line = calibrate(sums, a + b * sums)
    assert line.calibrated
    assert line.a == pytest.approx(a, abs=1e-3)
    assert line.b == pytest.approx(b, abs=1e-3)
    assert line(sums) == pytest.approx(a + b * sums, rel=1e-3)


def test_too_few_networks_and_contradictions_leave_the_plain_sum() -> None:
    sums = np.linspace(1, 3, 12)
    assert calibrate(sums[:4], 2 * sums[:4]) == Line()
    assert calibrate(sums, 4 - sums) == Line()


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
