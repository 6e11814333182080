"""The fit of a table: the grain it finds, what chains teach it, when a stored one is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from latency_tables_synthetic import (
    LAUNCH,
    SPEC,
    TARGET,
    Device,
    known_grain,
    measurement,
    random_configs,
    table,
)

from latency_tables import fitting
from latency_tables.features import fits
from latency_tables.fitting import current_fit, fit_table
from latency_tables.grain import Grain, search
from latency_tables.groups import Group, grain_of
from latency_tables.joint import Layout
from latency_tables.predict import Predictor
from latency_tables.table import LatencyTable, MissingShapeError, TableError
from supernet.arithmetic import encode
from supernet.config import ChannelConfig
from supernet.shapes import BlockShape, Shape, parse_shape

TABLE = fit_table(table(points=12, networks=30))


def grain_found(device: Device) -> Grain:
    rows = table(points=60, networks=0, device=device).by_geometry()
    return grain_of(Group.of(group) for group in rows.values())


def test_a_device_that_rounds_to_eight_is_seen_through() -> None:
    found = grain_found(Device(edge=8))
    assert (found.group, found.align, found.cache) == (8, 1, 0)


def test_a_device_that_rounds_to_sixteen_and_wants_multiples_of_four_too() -> None:
    found = grain_found(Device(edge=16, align=4))
    assert (found.group, found.align, found.cache) == (16, 4, 0)


def test_a_device_without_steps_keeps_the_simplest_grain() -> None:
    assert grain_found(Device(edge=1)) == Grain()


def test_the_search_takes_what_pays_and_nothing_else() -> None:
    def error(grain: Grain) -> float:
        return 0.05 - 0.02 * (grain.group == 16) - 0.02 * (grain.align == 8) - 1e-4 * grain.narrow

    found = search(error)
    assert (found.group, found.align, found.cache) == (16, 8, 0)
    assert search(lambda grain: 0.01 + 1e-5 / (1 + grain.cache)) == Grain()


def test_impossible_grains_are_refused() -> None:
    with pytest.raises(ValueError, match="a multiple of group"):
        Grain(group=8, batch=12)
    with pytest.raises(ValueError, match=">= 1"):
        Grain(align=0)


def test_few_input_channels_fit_whatever_their_number() -> None:
    grain = Grain(align=4, narrow=8, group=8, batch=8)
    widths = np.array([3.0, 7.0, 9.0, 12.0])
    assert fits(widths, grain).tolist() == [True, True, False, True]


def error_on_networks(predictor: Predictor, device: Device) -> float:
    """Mean absolute relative error on networks that no fit has seen."""
    configs = random_configs(200, np.random.default_rng(31))
    truth = np.array([device.network(config) for config in configs])
    return float(np.abs(predictor.predict(encode(configs))[0] / truth - 1).mean())


@known_grain()
def test_chains_teach_what_isolation_adds() -> None:
    """Nothing but a chain tells the elements that a border costs from those that a layer reads."""
    device = Device(convert=1e-5)
    alone = table(points=30, networks=0, device=device)
    taught = table(points=30, networks=0, chains=40, device=device)
    assert error_on_networks(Predictor(alone), device) > 0.1
    assert error_on_networks(Predictor(taught), device) < 0.02
    flagged = tuple(
        replace(c, measurement=replace(c.measurement, flags=("unstable",))) for c in taught.chains
    )
    left_aside = Predictor(replace(taught, chains=flagged))
    assert error_on_networks(left_aside, device) > 0.1


@known_grain()
def test_a_chain_is_the_sum_of_its_blocks_and_its_two_ends() -> None:
    predictor = Predictor(table(points=30, networks=0, chains=40, device=Device(convert=1e-5)))
    models = predictor.blocks.models
    layout = Layout({name: m.sample for name, m in models.items()}, predictor.fitted.grain)
    parts = [np.concatenate([m.coefficients, m.ends]) for m in models.values()]
    solved = np.concatenate([*parts, [predictor.fitted.launch_ms]])
    config = random_configs(1, np.random.default_rng(3))[0]
    shapes = SPEC.shapes(config)
    inside = predictor.pricer.price(encode([config]))[0]
    assert layout.chain(shapes) @ solved == pytest.approx(inside + predictor.fitted.launch_ms)
    for shape in shapes:
        alone = models[shape.geometry].predict(np.array([shape.widths]))[0]
        assert layout.chain([shape]) @ solved == pytest.approx(alone)
    with pytest.raises(MissingShapeError, match="was not measured; measured: block:4x4"):
        layout.chain([parse_shape("block:5x5/1,identity", (8, 8, 8, 8))])


@known_grain()
def test_the_start_of_a_run_is_paid_once() -> None:
    assert Predictor(table()).fitted.launch_ms == pytest.approx(LAUNCH, rel=0.2)


@pytest.fixture
def fits_made(monkeypatch: pytest.MonkeyPatch) -> list[LatencyTable]:
    """The tables that were fitted during a test."""
    made: list[LatencyTable] = []
    real = fitting._Fit

    def counted(asked: LatencyTable, grain: Grain | None = None) -> fitting._Fit:
        made.extend([asked] if grain is None else [])  # with a grain, a part of another fit
        return real(asked, grain)

    monkeypatch.setattr(fitting, "_Fit", counted)
    return made


def test_a_stored_fit_is_used_if_it_belongs_to_the_rows(fits_made: list[LatencyTable]) -> None:
    assert Predictor(TABLE).fitted is TABLE.fitted
    assert fit_table(TABLE) == TABLE
    noted = replace(TABLE, protocol={"rounds": 9}, sentinel=(0.1,))
    assert current_fit(noted) is TABLE.fitted
    assert fits_made == []


@known_grain()
def test_a_stored_fit_of_other_rows_is_not_used(fits_made: list[LatencyTable]) -> None:
    shape, row = next(iter(TABLE.rows.items()))
    slower = replace(row, median=row.hi)
    other = replace(TABLE, rows={**TABLE.rows, shape: slower})
    assert Predictor(other).fitted.fingerprint == other.fingerprint != TABLE.fingerprint
    assert Predictor(replace(TABLE, target=replace(TARGET, threads=2))).fitted != TABLE.fitted
    assert len(fits_made) == 2


def test_a_fit_survives_the_file_exactly(fits_made: list[LatencyTable]) -> None:
    again = LatencyTable.loads(TABLE.dumps())
    configs = encode(random_configs(100, np.random.default_rng(5)))
    for before, after in zip(
        Predictor(TABLE).predict(configs), Predictor(again).predict(configs), strict=True
    ):
        assert after == pytest.approx(before, rel=1e-6)
    assert LatencyTable.loads(again.dumps()).dumps() == again.dumps() == TABLE.dumps()
    assert Predictor(again).held_out == Predictor(TABLE).held_out
    assert Predictor(again).bound == Predictor(TABLE).bound
    assert fits_made == []


def test_a_table_without_rows_predicts_nothing() -> None:
    with pytest.raises(TableError, match="without rows predicts nothing"):
        Predictor(replace(TABLE, rows={}))


def pair(widths: Sequence[int]) -> Shape:
    a, b = widths
    return BlockShape(4, 1, "identity", a, b, b, a)


def test_flagged_rows_take_no_part_unless_too_few_are_left() -> None:
    rng = np.random.default_rng(0)
    shapes = [pair(w) for w in rng.integers(8, 64, (12, 2)).tolist()]
    rows = {shape: measurement(1.0, rng, 0.01) for shape in shapes}
    bad = dict(list(rows.items())[:3])
    flagged = {s: replace(m, flags=("unstable",)) for s, m in bad.items()}
    assert set(Group.of({**rows, **flagged}).shapes) == set(rows) - set(bad)
    most = {s: replace(m, flags=("unstable",)) for s, m in list(rows.items())[:6]}
    assert set(Group.of({**rows, **most}).shapes) == set(rows)


def noisy(rng: np.random.Generator) -> LatencyTable:
    def priced(config: ChannelConfig) -> float:
        return Device().network(config) * float(np.exp(0.02 * rng.standard_normal()))

    return table(points=9, networks=60, network=priced, seed=int(rng.integers(1000)))


@known_grain()
def test_the_bound_covers_networks_drawn_as_those_that_judged() -> None:
    """Over tables on average; a single one may cover less, as the guarantee has it."""
    rng, covered = np.random.default_rng(8), []
    for _ in range(8):
        predictor = Predictor(noisy(rng))
        assert (predictor.bound.points, predictor.bound.coverage) == (36, 0.95)
        configs = random_configs(300, rng)
        truth = [Device().network(c) * np.exp(0.02 * rng.standard_normal()) for c in configs]
        covered.append((np.array(truth) <= predictor.predict(encode(configs))[1]).mean())
    assert 0.94 <= np.mean(covered) < 0.995


@pytest.mark.parametrize(
    ("rows_say", "error", "heard"),
    [(1, 0.05, True), (1, 0.08, False), (4, 0.05, False)],
    ids=["plainly better", "a little better", "rows know"],
)
def test_networks_overrule_rows_on_alignment_only_where_that_is_plain(
    rows_say: int, error: float, heard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Grain(align=rows_say, narrow=8, group=8, batch=8)
    better = replace(found, align=8, narrow=1)
    monkeypatch.setattr(fitting, "grain_of", lambda groups: found)
    monkeypatch.setattr(
        fitting._Fit, "_off", lambda fit, networks: error if fit.grain == better else 0.1
    )
    fit = fitting._Fit(replace(table(), fitted=None))
    assert fit.grain == (better if heard else found)
