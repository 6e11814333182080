"""Plots and validation of a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from latency_tables_synthetic import Device, known_grain, measurement, table, true_cost
from matplotlib.image import imread

from latency_tables.drawing_png import edge_label, opacity
from latency_tables.finding import Finding
from latency_tables.fitting import fit_table
from latency_tables.plots import plot_networks, plot_stairs
from latency_tables.stairs import stairs_of
from latency_tables.sweeps import sweep
from latency_tables.table import LatencyTable, MissingShapeError, Roof, TableError
from latency_tables.validate import validate
from supernet.shapes import BlockShape

with known_grain():
    TABLE = fit_table(table(chains=12))
GEOMETRY = "block:4x4/1,identity"


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with known_grain():
        yield


@pytest.fixture(scope="module")
def swept() -> LatencyTable:
    rng = np.random.default_rng(1)
    shapes = [BlockShape(4, 1, "identity", 256, w, w, 256) for w in range(16, 65)]
    return replace(TABLE, rows={s: measurement(true_cost(s), rng, 0.002) for s in shapes})


def texts(findings: list[Finding], level: str) -> str:
    return "\n".join(f.text for f in findings if f.level == level)


def test_png_of_stairs_marks_the_right_edges(swept: LatencyTable, tmp_path: Path) -> None:
    file = tmp_path / "stairs.png"
    plot_stairs(swept, file, geometry=GEOMETRY, axis="w")
    image = imread(file)[..., :3]
    red = np.abs(image - np.array([0xC0, 0x39, 0x2B]) / 255).sum(axis=2) < 0.02
    assert image.shape[0] > 400
    assert red.sum() > 200


def test_marks_of_unsure_edges_say_so(swept: LatencyTable, tmp_path: Path) -> None:
    sure = stairs_of(sweep(swept, GEOMETRY, "w")).edges[0]
    assert (edge_label(sure), opacity(sure)) == ("16", 1)
    unsure = replace(sure, confidence=0.6, until=18)
    assert edge_label(unsure) == "16..18 (60 %)"
    assert opacity(unsure) == pytest.approx(0.7)
    plot_stairs(swept, tmp_path / "stairs.html")
    assert "confidence 100 %" in (tmp_path / "stairs.html").read_text(encoding="utf-8")


def test_html_stands_alone_and_holds_the_points(swept: LatencyTable, tmp_path: Path) -> None:
    file = tmp_path / "stairs.html"
    plot_stairs(swept, file)
    text = file.read_text(encoding="utf-8")
    assert '<script src="http' not in text.split("<body>")[1]
    for expected in ("right edge", "latency [ms]", "paper, pencil 2", '"48"'):
        assert expected in text


def test_scatter_of_networks(tmp_path: Path) -> None:
    for name in ("nets.png", "nets.html"):
        plot_networks(TABLE, tmp_path / name)
        assert (tmp_path / name).stat().st_size > 10_000
    assert "held-out: 30 networks" in (tmp_path / "nets.html").read_text(encoding="utf-8")
    with pytest.raises(MissingShapeError, match="no network"):
        plot_networks(replace(TABLE, networks=()), tmp_path / "none.png")


def test_plots_refuse_what_they_cannot_do(swept: LatencyTable, tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"\.html or \.png"):
        plot_stairs(swept, tmp_path / "a.svg")
    with pytest.raises(MissingShapeError, match="no sweep of w1"):
        plot_stairs(swept, tmp_path / "a.png", geometry=GEOMETRY, axis="w1")
    with pytest.raises(MissingShapeError, match="it holds"):
        plot_stairs(swept, tmp_path / "a.png", geometry="block:9x9/1,identity")
    with pytest.raises(TableError, match="needs a geometry"):
        plot_stairs(swept, tmp_path / "a.png", axis="w")
    assert not list(tmp_path.iterdir())


def test_a_good_table_validates() -> None:
    findings = validate(TABLE)
    assert not texts(findings, "error")
    assert "30 held-out networks" in texts(findings, "ok")
    assert "0 of 50 networks are flagged" in texts(findings, "ok")
    assert "0 of 12 chains are flagged" in texts(findings, "ok")
    assert "12 chains agree with the fit within 0." in texts(findings, "ok")
    assert f"the fit belongs to the rows ({TABLE.fingerprint})" in texts(findings, "ok")


def test_findings_name_what_is_wrong(swept: LatencyTable) -> None:
    missing = texts(validate(swept), "error")
    assert "block:8x8/1,projection was never measured" in missing
    rows = {
        shape: replace(row, flags=("unstable",) * (index % 2))
        for index, (shape, row) in enumerate(TABLE.rows.items())
    }
    assert "are flagged (unstable)" in texts(validate(replace(TABLE, rows=rows)), "error")
    drifting = replace(TABLE, sentinel=(0.1, 0.1, 0.13, 0.1, 0.12))
    assert "sentinel: 40 % of 5 visits" in texts(validate(drifting), "warning")
    assert "drift is unknown" in texts(validate(replace(TABLE, sentinel=())), "warning")
    alone = validate(replace(TABLE, networks=()))
    assert "prediction error is unknown" in texts(alone, "warning")


def test_the_record_of_the_target_is_looked_at() -> None:
    warnings = texts(validate(TABLE), "warning")
    assert "no roof" in warnings
    assert "says nothing of memory" in warnings
    target = replace(TABLE.target, details={"memory": "huge pages"})
    found = validate(replace(TABLE, target=target, roof=Roof(gmacs=50.0, gbytes=9.5)))
    assert "roof: 50 GMAC/s and 9.5 GB/s" in texts(found, "ok")
    assert "memory: huge pages" in texts(found, "ok")


def test_levels_of_sessions_are_compared() -> None:
    def found(levels: object) -> list[Finding]:
        return validate(replace(TABLE, protocol={"session_levels_ms": levels}))

    assert "2 sessions: the machine's level" in texts(found([1.0, 1.05]), "ok")
    assert "slowest was 30.0 % above" in texts(found([1.3, 1.0, 1.1]), "warning")
    assert "say nothing" in texts(found(["a", 1]), "warning")
    assert "sessions" not in texts(found([1.0]), "ok")


def test_a_fit_of_other_rows_and_strange_chains_are_named() -> None:
    shape, row = next(iter(TABLE.rows.items()))
    stale = replace(TABLE, rows={**TABLE.rows, shape: replace(row, median=row.hi)})
    assert "the fit belongs to other rows" in texts(validate(stale), "warning")
    assert "holds no fit" in texts(validate(replace(TABLE, fitted=None)), "ok")
    assert "no chains" in texts(validate(replace(TABLE, chains=())), "warning")
    strange = BlockShape(5, 1, "identity", 8, 8, 8, 8)
    chains = (replace(TABLE.chains[0], pieces=(strange, strange)), *TABLE.chains[1:])
    named = texts(validate(replace(TABLE, chains=chains)), "error")
    assert "block:5x5/1,identity is part of a chain, but was not measured alone" in named


def test_chains_that_the_fit_misses_are_a_warning() -> None:
    other = table(chains=12, device=Device(convert=3e-5)).chains
    bare = replace(TABLE, chains=other)
    assert TABLE.fitted is not None
    kept = replace(bare, fitted=replace(TABLE.fitted, fingerprint=bare.fingerprint))
    assert "12 chains agree with the fit within" in texts(validate(kept), "warning")


def test_a_table_that_predicts_badly_is_an_error() -> None:
    rng = np.random.default_rng(0)
    wild = table(network=lambda _: float(rng.uniform(0.1, 3)))
    assert "held-out networks" in texts(validate(wild), "error")
