"""The table file: round trip, fingerprint, diffs, older schema, errors that name the place."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from latency_tables_strategies import (
    chains,
    fits,
    measurements,
    network_rows,
    roofs,
    shapes,
    tables,
    targets,
)
from latency_tables_synthetic import SPEC, TARGET, table

from latency_tables.fitted import MODEL, Fitted
from latency_tables.table import (
    ChainRow,
    LatencyTable,
    Measurement,
    MissingShapeError,
    NetworkRow,
    Roof,
    TableError,
    Target,
    TargetMismatchError,
)
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape, HeadShape, Shape, parse_shape

SLOWER = Measurement(median=9.0, lo=8.0, hi=10.0, rounds=(9.0, 8.5), levels=(1.0, 1.1))
CHAIN = ChainRow(pieces=(BlockShape(8, 2, "projection", 8, 4, 4, 16),) * 2, measurement=SLOWER)
TABLE = replace(table(points=3, networks=3), chains=(CHAIN,), roof=Roof(gmacs=50.0, gbytes=9.5))
DATA: dict[str, Any] = json.loads(TABLE.dumps())
SCHEMA_1 = """{"schema": 1,
"target": {"device": "paper", "runtime": "pencil", "runtime_version": "2", "precision": "fp32",
 "batch": 1, "threads": 1, "details": {"governor": "none"}},
"network": {"channels": 1, "classes": 10, "depths": [1], "resolution": 16, "stem": "3x3/2",
 "width": 0.5},
"protocol": {"rounds": 2},
"sentinel": [0.1],
"networks": [
{"config": {"stem": 8, "stages": [16], "inner": [[4, 4]]}, "role": "fit", "median": 2.0, "lo": 1.9,
 "hi": 2.1, "rounds": [1.9, 2.1], "flags": ["unstable"]}
],
"rows": [
{"geometry": "head:8x8,10", "widths": [16], "median": 1.0, "lo": 1.0, "hi": 1.0, "rounds": [1.0],
 "flags": []}
]}
"""


def again(table: LatencyTable) -> LatencyTable:
    """What its text says, read back."""
    found = LatencyTable.loads(table.dumps())
    assert found.dumps() == table.dumps()
    assert found.fingerprint == table.fingerprint
    return found


def with_row(shape: Shape, found: Measurement = SLOWER) -> LatencyTable:
    return replace(TABLE, rows={shape: found})


def damaged(path: tuple[Any, ...], value: Any) -> str:
    copy = json.loads(json.dumps(DATA))
    spot = copy
    for key in path[:-1]:
        spot = spot[key]
    spot[path[-1]] = value
    return json.dumps(copy)


@settings(max_examples=200, deadline=None)
@given(tables())
def test_whole_tables_round_trip(table: LatencyTable) -> None:
    assert again(table) == table


@given(shapes())
def test_shapes_round_trip(shape: Shape) -> None:
    assert parse_shape(shape.geometry, shape.widths) == shape
    assert set(again(with_row(shape)).rows) == {shape}


@given(measurements())
def test_measurements_round_trip(found: Measurement) -> None:
    head = HeadShape(8, 16, 10)
    assert again(with_row(head, found)).rows == {head: found}


@given(targets())
def test_targets_round_trip(target: Target) -> None:
    found = again(replace(TABLE, target=target)).target
    assert found == target
    assert found.details == target.details


@given(chains(), roofs())
def test_chains_and_roofs_round_trip(chain: ChainRow, roof: Roof) -> None:
    found = again(replace(TABLE, chains=(chain,), roof=roof))
    assert (found.chains, found.roof) == ((chain,), roof)


@given(network_rows(SPEC))
def test_network_rows_round_trip(row: NetworkRow) -> None:
    assert again(replace(TABLE, networks=(row,))).networks == (row,)


@settings(deadline=None)
@given(fits())
def test_fits_round_trip(fitted: Fitted) -> None:
    assert again(replace(TABLE, fitted=fitted)).fitted == fitted


def test_a_fit_by_another_model_is_not_read() -> None:
    assert LatencyTable.loads(damaged(("fitted",), {"model": MODEL + 1})) == TABLE


def test_files_round_trip_and_leave_nothing_else_behind(tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    TABLE.save(file)
    found = LatencyTable.load(file)
    assert found == TABLE
    assert found.dumps() == file.read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["t.json"]


def test_schema_1_is_still_read() -> None:
    old = LatencyTable.loads(SCHEMA_1)
    assert (old.chains, old.roof, old.fitted) == ((), None, None)
    assert old.rows[HeadShape(8, 16, 10)].levels == ()
    assert old.networks[0].measurement.flags == ("unstable",)
    assert old.network == NetworkSpec(
        depths=(1,), width=0.5, stem="3x3/2", resolution=16, channels=1, classes=10
    )
    assert json.loads(old.dumps())["schema"] == 2
    assert again(old) == old


@settings(deadline=None)
@given(tables(), fits(), st.data())
def test_fingerprint_stands_for_what_was_measured(
    table: LatencyTable, fitted: Fitted, data: st.DataObject
) -> None:
    for same in (
        replace(table, protocol={"rounds": 99}),
        replace(table, sentinel=(1.5,)),
        replace(table, fitted=fitted),
        replace(table, rows=dict(reversed(list(table.rows.items())))),
    ):
        assert same.fingerprint == table.fingerprint
    row = data.draw(network_rows(table.network))
    shape = data.draw(shapes().filter(lambda shape: shape not in table.rows))
    for other in (
        replace(table, target=replace(table.target, batch=table.target.batch + 1)),
        replace(table, network=replace(table.network, classes=table.network.classes + 1)),
        replace(table, roof=Roof(gmacs=1.25, gbytes=2.5)),
        replace(table, rows={**table.rows, shape: SLOWER}),
        replace(table, chains=(*table.chains, CHAIN)),
        replace(table, networks=(*table.networks, row)),
    ):
        assert other.fingerprint != table.fingerprint


@given(measurements(), measurements())
def test_fingerprint_changes_with_every_figure(one: Measurement, two: Measurement) -> None:
    head = HeadShape(8, 16, 10)
    same = with_row(head, one).fingerprint == with_row(head, two).fingerprint
    assert same == (one == two)


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("rows", {**TABLE.rows, next(iter(TABLE.rows)): SLOWER}),
        ("networks", (replace(TABLE.networks[0], measurement=SLOWER), *TABLE.networks[1:])),
        ("chains", (replace(CHAIN, measurement=replace(SLOWER, hi=11.0)),)),
    ],
)
def test_one_change_is_one_line_of_a_diff(key: str, other: Any) -> None:
    lines = TABLE.dumps().splitlines()
    after = replace(TABLE, **{key: other}).dumps().splitlines()
    changed = [old for old, new in zip(lines, after, strict=True) if old != new]
    assert len(changed) == 2
    assert changed[0].startswith('"fingerprint"')


def test_one_row_more_is_one_line_more() -> None:
    lines = set(TABLE.dumps().splitlines())
    more = replace(TABLE, rows={**TABLE.rows, HeadShape(8, 16, 10): SLOWER})
    assert len(set(more.dumps().splitlines()) - lines) == 2


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("rows", 0, "widths"), [-8, 8, 8, -8]),
        (("rows", 0, "widths"), [0, 8, 8, 0]),
        (("rows", 0, "widths"), [True, 8, 8, True]),
        (("rows", 0, "widths"), [10**30, 8, 8, 10**30]),
        (("rows", 0, "widths"), [8.0, 8, 8, 8.0]),
        (("rows", 0, "widths"), [[[]]]),
        (("rows", 0, "widths"), "8888"),
        (("rows", 0, "geometry"), "block:-8x-8/1,identity"),
        (("rows", 0, "geometry"), "block:8x8/0,projection"),
        (("rows", 0, "geometry"), 7),
        (("rows", 0, "median"), True),
        (("rows", 0, "median"), "1.0"),
        (("rows", 0, "median"), 10**90),
        (("rows", 0, "hi"), 1e-9),
        (("rows", 0, "rounds"), []),
        (("rows", 0, "rounds"), [1.0] * 5001),
        (("rows", 0, "levels"), [1.0]),
        (("rows", 0, "flags"), "unstable"),
        (("rows", 0, "flags"), ["\ud800"]),
        (("rows", 0, "flags"), ["\x1b[2J"]),
        (("rows", 0, "flags"), ["slow"] * 21),
        (("rows",), {}),
        (("chains", 0, "pieces"), []),
        (("chains", 0, "pieces"), [{"geometry": "head:1x1,1", "widths": [1]}] * 1001),
        (("networks", 0, "role"), "judge"),
        (("networks", 0, "config", "inner"), [[4, 4]] * 1001),
        (("network", "depths"), [1, 2.0]),
        (("network", "depths"), [1000] * 1000),
        (("network", "depths"), [1] * 20),
        (("network", "resolution"), True),
        (("network", "resolution"), 1 << 21),
        (("network", "width"), 17),
        (("target", "batch"), 1.5),
        (("target", "device"), None),
        (("target", "device"), "x" * 10_001),
        (("target", "surprise"), "x"),
        (("sentinel",), [0.0]),
        (("protocol",), []),
        (("protocol", "deep"), json.loads("[" * 30 + "]" * 30)),
        (("roof",), {"gmacs": 1.0, "gbytes": 0}),
        (("fitted",), []),
        (("fitted",), {"model": MODEL}),
        (("schema",), 3),
        (("schema",), True),
        (("chain",), []),
    ],
)
def test_bad_values_are_refused(path: tuple[Any, ...], value: Any) -> None:
    with pytest.raises(TableError, match=str(path[0])) as caught:
        LatencyTable.loads(damaged(path, value))
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity", "1e999", "1" * 101])
def test_numbers_that_are_none_are_refused(constant: str) -> None:
    for path in (("rows", 0, "median"), ("protocol", "rounds")):
        text = damaged(path, 12345.5).replace("12345.5", constant)
        with pytest.raises(TableError):
            LatencyTable.loads(text)


def test_a_key_twice_is_refused() -> None:
    text = TABLE.dumps().replace('"threads": 1', '"threads": 1, "threads": 2')
    with pytest.raises(TableError, match="'threads' appears twice"):
        LatencyTable.loads(text)


def test_a_row_twice_is_refused() -> None:
    with pytest.raises(TableError, match=r"rows\[1\].*appears twice"):
        LatencyTable.loads(damaged(("rows", 1), DATA["rows"][0]))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"none\.json"):
        LatencyTable.load(tmp_path / "none.json")


def test_missing_shape_names_the_nearest() -> None:
    shape = next(iter(TABLE.rows))
    other = parse_shape(shape.geometry, tuple(w + 1000 for w in shape.widths))
    nearest = max(
        (s.widths for s in TABLE.rows if s.geometry == shape.geometry), key=lambda w: sum(w)
    )
    with pytest.raises(MissingShapeError) as caught:
        TABLE.measured(other)
    assert f"nearest: {list(nearest)}" in str(caught.value)
    assert math.isfinite(TABLE.measured(shape).median)


def test_another_target_is_refused() -> None:
    TABLE.require(replace(TARGET, details={"governor": "performance"}))
    with pytest.raises(TargetMismatchError, match="threads is 1, but 2"):
        TABLE.require(replace(TARGET, threads=2))
