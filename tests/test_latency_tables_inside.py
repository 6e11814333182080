"""Tables whose rows are differences of chains: their fit, their predictions, their files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from latency_tables_synthetic import (
    DEVICE,
    LAUNCH,
    known_grain,
    measurement,
    random_configs,
    table,
)

from latency_tables.frames import export, load_any
from latency_tables.groups import Group
from latency_tables.predict import Predictor
from latency_tables.table import LatencyTable, Measurement, TableError
from latency_tables.validate import validate
from profiler.models import Chain
from profiler.rows import parts, row
from supernet.shapes import BlockShape, Shape

BORDER = 0.02
"""What every engine pays at its borders, in ms: as much as a small block."""


def engine(pieces: Sequence[Shape]) -> float:
    """Pieces in an engine of their own, in ms."""
    return BORDER + DEVICE.run(pieces)


def isolated(points: int, networks: int) -> LatencyTable:
    """A table of rows in engines of their own."""
    rng = np.random.default_rng(1)
    found = table(points=points, networks=networks, network=lambda c: BORDER + DEVICE.network(c))
    rows = {shape: measurement(engine([shape]), rng, 0.003) for shape in found.rows}
    return replace(found, rows=rows)


def in_context(found: LatencyTable, noise: float = 0.003) -> LatencyTable:
    """The same table, measured in chains."""
    rng = np.random.default_rng(2)

    def measured(shape: Shape) -> Measurement:
        models: dict[Chain, Measurement] = {
            model: measurement(engine(model.pieces), rng, noise)
            for model in parts(shape, "in-context").values()
        }
        return row(shape, "in-context", models)

    return replace(found, rows={shape: measured(shape) for shape in found.rows})


def errors(predictor: Predictor) -> list[float]:
    """On networks that no fit saw, without the line that networks calibrate."""
    configs = random_configs(60, np.random.default_rng(9))
    return [abs(predictor.config(c).predicted / (BORDER + DEVICE.network(c)) - 1) for c in configs]


@known_grain()
def test_rows_in_context_price_networks_without_what_borders_cost() -> None:
    alone = isolated(points=40, networks=0)
    inside = in_context(alone)
    assert np.mean(errors(Predictor(inside))) < 0.05
    assert np.mean(errors(Predictor(inside))) < np.mean(errors(Predictor(alone))) / 2


@known_grain()
def test_a_model_answers_as_its_rows_were_measured() -> None:
    predictor = Predictor(in_context(isolated(points=40, networks=20)))
    assert predictor.fitted.launch_ms == pytest.approx(LAUNCH + BORDER, rel=0.5)
    for geometry, model in predictor.blocks.models.items():
        assert model.inside == isinstance(model.sample, BlockShape)
        rows = [(s, m) for s, m in predictor.table.rows.items() if s.geometry == geometry]
        kept = [(s, m) for s, m in rows if not m.flags]
        assert len(kept) > len(rows) / 2
        answers = model.predict(np.array([s.widths for s, _ in kept]))
        apart = np.abs(answers / np.array([m.median for _, m in kept]) - 1)
        assert np.median(apart) < 0.04, geometry


@known_grain()
def test_everything_survives_every_kind_of_file(tmp_path: Path) -> None:
    found = in_context(isolated(points=4, networks=6))
    found = replace(found, fitted=Predictor(found).fitted)
    suffixes = [".json", ".csv"]
    try:
        import pyarrow  # type: ignore[import-untyped]  # noqa: F401

        suffixes.append(".parquet")
    except ImportError:
        pass
    for suffix in suffixes:
        path = tmp_path / f"t{suffix}"
        export(found, path)
        again = load_any(path)
        assert again == found
        assert again.fitted == found.fitted
        assert {m.isolated for m in again.rows.values()} != {None}
        assert any(m.notes for m in again.rows.values())


def test_rows_of_both_kinds_are_fitted_as_what_they_are() -> None:
    alone = isolated(points=10, networks=0)
    inside = in_context(alone)
    name = next(s.geometry for s in alone.rows if isinstance(s, BlockShape))
    mixed = dict(alone.by_geometry()[name])
    for shape in list(mixed)[::2]:
        mixed[shape] = inside.rows[shape]
    group = Group.of(mixed)
    expected = [mixed[shape].isolated is not None for shape in group.shapes]
    assert group.inside.tolist() == expected
    launches = group.features(group.widths, DEVICE.grain, group.inside)[:, -1]
    assert launches.tolist() == [float(not flag) for flag in expected]


@known_grain()
def test_validation_tells_how_rows_came_about_and_what_has_none() -> None:
    alone = isolated(points=4, networks=6)
    inside = in_context(alone)
    told = {f.text: f.level for f in validate(inside)}
    kept = sum(row.isolated is not None for row in inside.rows.values())
    assert told[f"{kept} of {len(inside.rows)} rows are differences of chains"] == "ok"
    lost = replace(alone, protocol={**alone.protocol, "lost": [{"reason": "it died"}]})
    told = {f.text: f.level for f in validate(lost)}
    assert told["1 models broke the measuring process and are left out"] == "warning"
    assert not any("differences" in text for text in told)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_an_upper_bound_is_a_latency(value: float) -> None:
    with pytest.raises(TableError, match="must be finite and > 0"):
        Measurement(median=1.0, lo=1.0, hi=1.0, rounds=(1.0,), isolated=value)


def test_a_file_without_notes_and_bounds_is_read_as_before() -> None:
    text = table(points=1, networks=1).dumps()
    assert '"notes"' not in text
    assert '"isolated"' not in text
    assert LatencyTable.loads(text).dumps() == text
