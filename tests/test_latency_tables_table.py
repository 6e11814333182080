"""The table file: round trip, refusal of damaged files, errors that name the place."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from latency_tables_synthetic import TARGET, table

from latency_tables.table import (
    LatencyTable,
    MissingShapeError,
    TableError,
    TargetMismatchError,
)
from supernet.shapes import parse_shape

TABLE = table(points=3, networks=3)
DATA: dict[str, Any] = json.loads(TABLE.dumps())
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.just(10**400),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.lists(st.one_of(st.integers(-9, 9), st.text(max_size=2), st.none()), max_size=4),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to every value of a JSON document."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    inner = [places(v, (*path, k)) for k, v in items if isinstance(v, dict | list)]
    return [
        (*path, k) for k, _ in (value.items() if isinstance(value, dict) else enumerate(value))
    ] + [p for group in inner for p in group]


PLACES = places(DATA)


def damaged(path: tuple[Any, ...], value: Any) -> str:
    copy = json.loads(json.dumps(DATA))
    spot = copy
    for key in path[:-1]:
        spot = spot[key]
    spot[path[-1]] = value
    return json.dumps(copy)


def test_round_trip_keeps_everything_and_is_stable(tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    TABLE.save(file)
    again = LatencyTable.load(file)
    assert again == TABLE
    assert again.dumps() == file.read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["t.json"]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(PLACES), JUNK)
def test_any_damage_is_a_table_error_or_a_valid_table(path: tuple[Any, ...], junk: Any) -> None:
    try:
        loaded = LatencyTable.loads(damaged(path, junk))
    except TableError:
        return
    assert LatencyTable.loads(loaded.dumps()) == loaded


@given(st.text(max_size=40))
def test_arbitrary_text_is_refused(text: str) -> None:
    with pytest.raises(TableError):
        LatencyTable.loads(text)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("rows", 0, "widths"), [-8, 8, 8, -8]),
        (("rows", 0, "widths"), [0, 8, 8, 0]),
        (("rows", 0, "widths"), [True, 8, 8, True]),
        (("rows", 0, "widths"), [10**30, 8, 8, 10**30]),
        (("rows", 0, "widths"), [8.0, 8, 8, 8.0]),
        (("rows", 0, "widths"), "8888"),
        (("rows", 0, "geometry"), "block:-8x-8/1,identity"),
        (("rows", 0, "geometry"), "block:8x8/0,projection"),
        (("rows", 0, "geometry"), 7),
        (("rows", 0, "median"), True),
        (("rows", 0, "median"), "1.0"),
        (("rows", 0, "hi"), 1e-9),
        (("rows", 0, "rounds"), []),
        (("rows", 0, "flags"), "unstable"),
        (("rows",), {}),
        (("networks", 0, "role"), "judge"),
        (("network", "depths"), [1, 2.0]),
        (("network", "resolution"), True),
        (("target", "batch"), 1.5),
        (("target", "device"), None),
        (("sentinel",), [0.0]),
        (("schema",), 2),
    ],
)
def test_bad_values_are_refused(path: tuple[Any, ...], value: Any) -> None:
    with pytest.raises(TableError, match=str(path[0])):
        LatencyTable.loads(damaged(path, value))


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(constant: str) -> None:
    text = damaged(("rows", 0, "median"), 12345.5).replace("12345.5", constant)
    with pytest.raises(TableError):
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
