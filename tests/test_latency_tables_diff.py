"""Two tables compared: what moved, by how much, and on what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from latency_tables_synthetic import TARGET, Device, known_grain, measurement, table

from latency_tables.diff import Ratios, diff
from latency_tables.diff_edges import edge_changes
from latency_tables.fitting import fit_table
from latency_tables.table import LatencyTable, Measurement, TableError
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape, Shape

GEOMETRY = "block:4x4/1,identity"
with known_grain():
    TABLE = fit_table(table(points=15, networks=20))


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with known_grain():
        yield


def swept(edge: int, widths: range = range(16, 65), noise: float = 0.001) -> LatencyTable:
    """A sweep of both inner widths on a device with this edge."""
    rng, device = np.random.default_rng(edge), Device(edge=edge)
    shapes = [BlockShape(4, 1, "identity", 256, w, w, 256) for w in widths]
    rows: dict[Shape, Measurement] = {s: measurement(device.run([s]), rng, noise) for s in shapes}
    return replace(TABLE, rows=rows, networks=(), fitted=None)


def slower(found: LatencyTable, factor: float) -> LatencyTable:
    """Every row takes so many times as long."""

    def scaled(row: Measurement) -> Measurement:
        return Measurement(
            median=factor * row.median,
            lo=factor * row.lo,
            hi=factor * row.hi,
            rounds=tuple(factor * r for r in row.rounds),
        )

    return replace(
        found,
        rows={s: scaled(r) for s, r in found.rows.items()},
        networks=tuple(replace(n, measurement=scaled(n.measurement)) for n in found.networks),
    )


def test_a_table_does_not_differ_from_itself() -> None:
    found = diff(TABLE, TABLE)
    assert found.target == ()
    assert found.apart == ()
    assert found.rows == Ratios(count=len(TABLE.rows), median=1.0, low=1.0, high=1.0)
    assert found.predictions == Ratios(count=200, median=1.0, low=1.0, high=1.0)
    assert (found.only_first, found.only_second) == (0, 0)


def test_a_slower_machine_is_slower_in_rows_and_predictions() -> None:
    found = diff(TABLE, slower(TABLE, 1.5))
    for ratios in (found.rows, found.predictions):
        assert ratios.median == pytest.approx(1.5, rel=0.01)
        assert ratios.low <= ratios.median <= ratios.high < 1.6
    assert len(found.apart) == len(TABLE.rows)


def test_one_row_that_differs_is_named() -> None:
    shape, row = next(iter(TABLE.rows.items()))
    other = replace(row, median=3 * row.median, hi=4 * row.hi, lo=2 * row.hi, flags=("unstable",))
    rows = dict(list({**TABLE.rows, shape: other}.items())[:-1])
    found = diff(TABLE, replace(TABLE, rows=rows))
    (change,) = found.apart
    assert (change.geometry, change.widths) == (shape.geometry, shape.widths)
    assert change.ratio == pytest.approx(3)
    assert change.flagged
    assert (found.only_first, found.only_second) == (1, 0)
    assert found.rows.median == 1


def test_targets_are_compared_identity_first() -> None:
    one = replace(TABLE, target=replace(TARGET, details={"governor": "powersave", "isa": "avx2"}))
    two = replace(TABLE, target=replace(TARGET, threads=2, details={"isa": "avx2", "load": "1"}))
    found = [(c.name, c.identity, c.first, c.second) for c in diff(one, two).target]
    assert found == [
        ("threads", True, "1", "2"),
        ("governor", False, "powersave", None),
        ("load", False, None, "1"),
    ]


def test_edges_of_another_device_have_moved() -> None:
    (same,) = edge_changes(swept(8), swept(8, noise=0.0005))
    assert same.kept == (16, 24, 32, 40, 48, 56)
    assert (same.moved, same.gone, same.new) == ((), (), ())
    (coarser,) = edge_changes(swept(8), swept(16))
    assert coarser.kept == (16, 32, 48)
    assert coarser.gone == (24, 40, 56)
    (finer,) = edge_changes(swept(16), swept(8))
    assert finer.new == (24, 40, 56)
    (moved,) = edge_changes(swept(20), swept(21))
    assert (moved.kept, moved.moved) == ((), ((20, 21), (40, 42), (60, 63)))


def test_what_was_not_measured_is_not_gone() -> None:
    (found,) = edge_changes(swept(8), swept(8, range(16, 45)))
    assert found.kept == (16, 24, 32, 40)
    assert (found.moved, found.gone, found.new) == ((), (), ())


def test_sweeps_at_other_widths_are_not_compared() -> None:
    rng = np.random.default_rng(0)
    shapes = [BlockShape(4, 1, "identity", 200, w, w, 200) for w in range(16, 65)]
    rows: dict[Shape, Measurement] = {s: measurement(1.0, rng, 0.001) for s in shapes}
    (found,) = edge_changes(swept(8), replace(swept(8), rows=rows))
    assert not found.comparable


def test_tables_that_share_nothing_say_so() -> None:
    found = diff(swept(8), replace(TABLE, rows={s: r for s, r in TABLE.rows.items()
                                                if s.geometry != GEOMETRY}))  # fmt: skip
    assert found.rows.count == found.predictions.count == 0
    assert found.edges == ()
    data = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert data["rows"]["median"] is None


def test_a_diff_is_json() -> None:
    data = json.loads(json.dumps(diff(TABLE, slower(TABLE, 2.0)).to_json(), allow_nan=False))
    assert data["apart"][0]["ratio"] == pytest.approx(2)
    assert data["predictions"]["count"] == 200


def test_other_networks_are_refused() -> None:
    with pytest.raises(TableError, match="only tables of one network can be compared"):
        diff(TABLE, replace(TABLE, network=NetworkSpec()))
