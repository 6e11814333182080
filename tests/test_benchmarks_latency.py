"""The rivals do what they say, curves are read off right, and the files hold all fields."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from latency_tables_synthetic import EDGE, measurement, table

from benchmarks.latency import forest, points, rivals
from benchmarks.latency.cases import Case
from benchmarks.latency.compare import by_rule, line_through, ours, ours_plain, pieces
from benchmarks.latency.curves import Cell, Run, curves, run
from benchmarks.latency.figures import figures
from benchmarks.latency.grids import sizes
from benchmarks.latency.needed import needed, rows_for
from benchmarks.latency.nn_meter_env import python_of
from benchmarks.latency.output import ENVIRONMENT
from benchmarks.latency.rules import RIVALS, Rival, flops, mdp, mdp_nearest, on_grid, smcp
from benchmarks.latency.thin import anchors, folds, journalled, shuffled
from benchmarks.latency.widths import interpolate, nearest
from latency_tables.table import TableError
from supernet.shapes import BlockShape, Shape

CASE = Case.of(table(points=30, networks=30))
NOWHERE = Path("no-such-environment")


def block(w1: int, w2: int, cout: int = 32) -> Shape:
    """A bottleneck whose input is as wide as its output."""
    return BlockShape(8, 1, "identity", cout, w1, w2, cout)


def rival(name: str) -> Rival:
    """One of the rivals."""
    return next(r for r in RIVALS if r.name == name)


@pytest.fixture
def small_forests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(forest.FOREST, "n_estimators", 5)


def test_smcp_looks_up_widths_as_they_are_then_rounded_up_to_8() -> None:
    rows = {block(13, 8): 1.0, block(16, 8): 2.0, block(16, 16): 3.0}
    asked = [block(13, 8), block(12, 8), block(11, 9), block(40, 8)]
    assert smcp(rows, asked).tolist()[:3] == [1.0, 2.0, 3.0]
    assert math.isnan(smcp(rows, asked)[3])


def test_smcp_prices_missing_keys_at_nothing_and_mdp_has_no_price_for_their_network() -> None:
    as_is, mean = (by_rule(rival(f"{name} rule, as is"), CASE) for name in ("SMCP", "MDP"))
    assert as_is.missing_percent > 50
    assert np.isfinite(as_is.predicted).all()
    assert np.isnan(mean.predicted).all()
    empty = figures(mean, ours(CASE), CASE, draws=10)
    assert (empty["networks"], empty["mape_interval"]) == (0, None)


def test_mdp_averages_rows_at_most_one_channel_off() -> None:
    rows = {block(9, 8): 1.0, block(7, 9): 3.0, block(6, 8): 50.0}
    assert mdp(rows, [block(8, 8), block(6, 8)]).tolist() == [2.0, 50.0]
    assert np.isnan(mdp(rows, [block(20, 20)])).all()
    many = {block(8 * n, 8 * n): float(n) for n in range(1, 12)}
    assert mdp_nearest(many, [block(8, 9), block(16, 16)]).tolist() == [4.5, 2.0]


def test_interpolation_is_exact_on_planes_and_scales_the_nearest_row_outside() -> None:
    rng = np.random.default_rng(0)
    known = [block(*(int(w) for w in rng.integers(8, 65, 3))) for _ in range(60)]
    plane = 0.1 + np.array([s.widths for s in known]) @ [0, 2, 3, 1]
    assert interpolate(known, plane, [block(36, 36, 36)]) == pytest.approx([0.1 + 36 * 6])
    far = block(300, 300, 300)
    assert interpolate(known, plane, [far]) == pytest.approx(nearest(known, plane, [far]))
    assert nearest(known[:1], plane[:1], [far]) == pytest.approx(
        plane[0] * far.macs / known[0].macs
    )
    assert interpolate(known[:2], plane[:2], known[:2]) == pytest.approx(plane[:2])


def test_flops_line_looks_at_no_row() -> None:
    assert flops({}, [block(8, 8)]).tolist() == [block(8, 8).macs]
    found = by_rule(rival("FLOPs-linear"), CASE)
    assert (found.rows, found.networks) == (0, len(CASE.fit))
    assert found.line is not None
    assert found.line[1] > 0


def test_the_grid_uses_only_multiples_of_8() -> None:
    found = by_rule(rival("every-8 grid, linear"), CASE)
    assert found.rows == sum(map(on_grid, CASE.rows)) < len(CASE.rows)


def test_an_uncalibrated_sum_is_the_sum() -> None:
    every = pieces(CASE)
    one = Rival(name="", rule="", price=lambda rows, asked: np.ones(len(asked)), calibrated=False)
    counts = [len(CASE.pieces(row)) for row in CASE.held_out]
    assert by_rule(one, CASE).predicted.tolist() == counts
    assert len(every) == len(set(every))


def test_the_line_ignores_networks_without_a_sum() -> None:
    sums = np.array([1.0, 2.0, 3.0, 4.0, np.nan])
    assert line_through(sums, 0.5 + 2 * sums) == pytest.approx((0.5, 2.0))
    assert np.isnan(line_through(sums[2:], sums[2:])).all()


def test_our_figures_are_measured_against_themselves() -> None:
    mine = ours(CASE)
    found = figures(mine, mine, CASE, draws=200)
    assert found["ratio_to_ours"] == 1
    low, high = found["mape_interval"]
    assert low < found["mape_percent"] < high < 3
    parts = found["aligned"]["networks"] + found["unaligned"]["networks"]
    assert parts == found["networks"] == len(CASE.held_out)
    assert figures(ours_plain(CASE), mine, CASE, draws=200)["mape_percent"] < 3


def test_flagged_networks_and_rows_are_left_aside() -> None:
    rng = np.random.default_rng(1)
    flagged = replace(measurement(9.0, rng, 0.01), flags=("unstable",))
    networks = list(CASE.table.networks)
    networks[0] = replace(networks[0], measurement=flagged)
    rows = dict(CASE.table.rows)
    rows[next(iter(rows))] = flagged
    other = Case.of(replace(CASE.table, networks=tuple(networks), rows=rows))
    assert other.left_aside == CASE.left_aside + 1
    assert len(other.rows) == len(CASE.rows) - 1
    with pytest.raises(TableError, match="at least 3 usable fit networks"):
        Case.of(replace(CASE.table, networks=CASE.table.networks[:3]))


@pytest.mark.usefixtures("small_forests")
def test_forests_answer_per_kernel_and_say_that_they_stand_in() -> None:
    (one, kind), notes = forest.rivals(NOWHERE)
    assert "stand-in" in one.name
    assert "did not run" in notes["per geometry"]
    asked = list(CASE.rows)[:20]
    for found in (one, kind):
        errors = found.price(CASE.rows, asked) / np.array([CASE.rows[s] for s in asked]) - 1
        assert np.abs(errors).mean() < 0.3
    assert np.isnan(one.price({}, asked)).all()
    names = list(forest.features(asked[0]))
    assert names[:2] == ["HW", "STRIDES"]
    assert names[-2:] == ["FLOPS", "PARAMS"]


@pytest.mark.skipif(not python_of(ENVIRONMENT).is_file(), reason="nn-Meter's environment not made")
def test_nn_meter_itself_runs() -> None:
    (one, _), notes = forest.rivals(ENVIRONMENT)
    assert one.name == "nn-Meter, per geometry", notes
    asked = list(CASE.rows)[:5]
    assert np.isfinite(one.price(CASE.rows, asked)).all()


def test_every_part_spans_all_measured_widths(tmp_path: Path) -> None:
    first, usable = anchors(CASE), set(CASE.rows)
    for rows in CASE.table.by_geometry().values():
        widths = np.array([s.widths for s in rows])
        mine = np.array([s.widths for s in first if s in rows])
        assert (mine.min(axis=0) == widths.min(axis=0)).all()
        assert (mine.max(axis=0) == widths.max(axis=0)).all()
    order = shuffled(CASE, 3)
    assert order[: len(first)] == first
    assert set(order) == usable
    parts = folds(CASE.rows, first, 5)
    assert sum(map(len, parts)) == len(usable - set(first)) == len(set().union(*parts))
    journal = tmp_path / "journal.jsonl"
    measured = list(CASE.rows)[::-1]
    items = [{"kind": "row", "geometry": s.geometry, "widths": s.widths} for s in measured]
    journal.write_text("".join(json.dumps(i) + "\n" for i in [{"journal": 2}, *items]))
    late = [shape for shape in measured if shape not in first]
    assert journalled(CASE, journal) == [*first, *late]


@pytest.mark.usefixtures("small_forests")
def test_curves_hold_every_refitted_predictor() -> None:
    order = shuffled(CASE, 0)
    part = Cell(order="random", size=60, rows=tuple(order[:60]), judged=tuple(order[60:]))
    found = curves([run(CASE, part, NOWHERE)], CASE)
    assert {"ours", "ours, rows + line only", "FLOPs-linear", "MDP rule, nearest 8"} <= {
        curve["name"] for curve in found
    }
    mine = next(curve for curve in found if curve["name"] == "ours")
    assert (mine["rows"], mine["parts"], mine["networks"]) == (60, 1, len(CASE.fit))
    assert 0 < mine["network_mape_percent"] < 20
    low, high = mine["block_interval"]
    assert low < mine["block_mape_percent"] < high


def test_rows_needed_are_read_off_a_curve() -> None:
    power = [(100.0, 8.0), (200.0, 4.0), (400.0, 2.0)]
    assert rows_for(power, 9.0) == {"rows": 100.0, "how": "at most", "text": "<= 100"}
    assert rows_for(power, 4.0)["rows"] == pytest.approx(200)
    assert rows_for(power, 1.0)["rows"] == pytest.approx(800)
    assert rows_for(power, 1.0)["how"] == "extrapolated"
    assert rows_for(power, 0.01)["how"] == "not reached"
    assert rows_for([(100.0, 5.0), (200.0, 6.0), (400.0, 6.0)], 1.0)["rows"] is None
    both = [
        {"name": n, "order": "random", "rows": rows, "network_mape_percent": e, f"{b}_percent": e}
        for n, scale in (("ours", 1), ("other", 2))
        for b in ("block_mape",)
        for rows, e in ((100, 4 * scale), (400, 2 * scale))
    ]
    assert needed(both)[1]["ours_for_its_error"]["rows"] == pytest.approx(100)


def test_dense_grids_are_counted() -> None:
    found = {(g["of"], g["step"]): int(g["points"]) for g in sizes(CASE)}
    kinds = ("convolutions", "bottlenecks, w1 = w2", "bottlenecks, w1 and w2 free")
    for step in ("every width", "every 8th width"):
        assert found[(kinds[0], step)] < found[(kinds[2], step)]
        assert found[(kinds[1], step)] < found[(kinds[2], step)]
    ratio = found[(kinds[0], "every width")] / found[(kinds[0], "every 8th width")]
    assert 0.5 * EDGE**2 < ratio < 1.5 * EDGE**2


@pytest.mark.usefixtures("small_forests")
def test_rivals_prints_a_table_and_writes_all_fields(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    CASE.table.save(tmp_path / "table.json")
    out = tmp_path / "new" / "rivals.json"
    arguments = ["--quick", "--out", str(out), "--nn-meter", str(NOWHERE)]
    rivals.main([str(tmp_path / "table.json"), *arguments])
    result = json.loads(out.read_text())
    assert {"benchmark", "quick", "table", "draws", "nn_meter", "predictors", "seconds"} == set(
        result
    )
    assert result["table"]["fingerprint"] == CASE.table.fingerprint
    names = [found["name"] for found in result["predictors"]]
    assert names[0] == "ours"
    assert {r.name for r in RIVALS} < set(names)
    wanted = {"rule", "points", "line", "mape_percent", "mape_interval", "within_5_percent"}
    wanted |= {"within_10_percent", "worst_percent", "band_rank_correlation", "ratio_to_ours"}
    wanted |= {"ratio_interval", "aligned", "unaligned", "networks", "networks_without_price"}
    assert all(wanted <= set(found) for found in result["predictors"])
    assert out.with_suffix(".png").stat().st_size > 1000
    assert "FLOPs-linear per geometry" in capsys.readouterr().out


def test_points_plans_its_parts() -> None:
    quick = points.cells(CASE, None, quick=True)
    assert [cell.order for cell in quick] == ["random", "all", "fifths"]
    assert len(quick[1].rows) == quick[1].size == quick[2].size == len(CASE.rows)
    assert not set(quick[2].rows) & set(quick[2].judged)
    assert len(quick[0].rows) == 100 == len(CASE.rows) - len(quick[0].judged)


def test_parts_reach_as_far_as_flagged_rows() -> None:
    widest = anchors(CASE)[0]
    flagged = replace(CASE.table.rows[widest], flags=("unstable",))
    other = Case.of(replace(CASE.table, rows={**CASE.table.rows, widest: flagged}))
    assert widest not in other.rows
    for cell in points.cells(other, None, quick=True):
        assert widest in cell.rows
        assert widest not in cell.judged


@pytest.mark.usefixtures("small_forests")
def test_points_prints_tables_and_writes_all_fields(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_this_process(case: Case, wanted: list[Cell], folder: Path) -> list[Run]:
        return [run(case, cell, folder) for cell in wanted]

    monkeypatch.setattr(points, "measure", in_this_process)
    CASE.table.save(tmp_path / "table.json")
    out = tmp_path / "points.json"
    arguments = ["--quick", "--out", str(out), "--nn-meter", str(NOWHERE)]
    points.main([str(tmp_path / "table.json"), *arguments])
    result = json.loads(out.read_text())
    assert set(result) >= {"benchmark", "table", "journal", "curves", "needed", "grids", "seconds"}
    assert {curve["rows"] for curve in result["curves"]} == {100, len(CASE.rows)}
    wanted = {"name", "order", "rows_used", "chains", "networks", "parts"}
    wanted |= {f"{w}_{f}" for w in ("network", "block") for f in ("mape_percent", "interval")}
    assert all(wanted <= set(curve) for curve in result["curves"])
    assert set(result["needed"][0]) == {"name", "network", "block", "ours_for_its_error"}
    assert out.with_suffix(".png").stat().st_size > 1000
    assert "rows needed for equal error" in capsys.readouterr().out
