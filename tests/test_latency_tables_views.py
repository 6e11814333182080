"""Frames, plots and validation of a table."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from latency_tables_synthetic import SPEC, TARGET, measurement, table, true_cost
from matplotlib.image import imread

from latency_tables.frames import export, from_pandas, to_pandas
from latency_tables.plots import plot_networks, plot_stairs
from latency_tables.table import LatencyTable, MissingShapeError, TableError
from latency_tables.validate import Finding, validate
from supernet.shapes import BlockShape

TABLE = table()
GEOMETRY = "block:4x4/1,identity"


@pytest.fixture(scope="module")
def swept() -> LatencyTable:
    rng = np.random.default_rng(1)
    shapes = [BlockShape(4, 1, "identity", 256, w, w, 256) for w in range(16, 65)]
    return replace(TABLE, rows={s: measurement(true_cost(s), rng, 0.002) for s in shapes})


def texts(findings: list[Finding], level: str) -> str:
    return "\n".join(f.text for f in findings if f.level == level)


def test_frame_round_trip() -> None:
    frame = to_pandas(TABLE)
    assert len(frame) == len(TABLE.rows)
    assert frame.attrs["target"] == str(TARGET)
    assert from_pandas(frame, TARGET, SPEC).rows == TABLE.rows


def test_csv_round_trip(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    export(TABLE, file)
    assert from_pandas(pd.read_csv(file), TARGET, SPEC).rows == TABLE.rows
    assert [p.name for p in tmp_path.iterdir()] == ["rows.csv"]


def test_parquet_is_written_or_refused_in_words(tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    if importlib.util.find_spec("pyarrow") is None:
        with pytest.raises(TableError, match="pyarrow"):
            export(TABLE, file)
        assert not file.exists()
        return
    export(TABLE, file)
    assert from_pandas(pd.read_parquet(file), TARGET, SPEC).rows == TABLE.rows


def test_bad_frames_are_refused(tmp_path: Path) -> None:
    frame = to_pandas(TABLE)
    with pytest.raises(TableError, match="'lo'"):
        from_pandas(frame.drop(columns="lo"), TARGET, SPEC)
    with pytest.raises(TableError, match="line 2"):
        from_pandas(
            frame.assign(widths=["[]" if i == 2 else w for i, w in enumerate(frame.widths)]),
            TARGET,
            SPEC,
        )
    with pytest.raises(TableError, match="appears twice"):
        from_pandas(pd.concat([frame, frame[:1]]), TARGET, SPEC)
    with pytest.raises(TableError, match=r"\.csv or \.parquet"):
        export(TABLE, tmp_path / "rows.pickle")


def test_png_of_stairs_marks_the_right_edges(swept: LatencyTable, tmp_path: Path) -> None:
    file = tmp_path / "stairs.png"
    plot_stairs(swept, file, geometry=GEOMETRY, axis="w")
    image = imread(file)[..., :3]
    red = np.abs(image - np.array([0xC0, 0x39, 0x2B]) / 255).sum(axis=2) < 0.02
    assert image.shape[0] > 400
    assert red.sum() > 200


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


def test_a_table_that_predicts_badly_is_an_error() -> None:
    rng = np.random.default_rng(0)
    wild = table(network=lambda _: float(rng.uniform(0.1, 3)))
    assert "held-out networks" in texts(validate(wild), "error")
