"""The table verbs on a real table: built here, small, then shown, replayed, snapped, compared."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from latency_tables import shipped
from latency_tables.predict import Predictor
from latency_tables.table import LatencyTable, TableError
from profiler.backend import load
from service.table_build import every_width
from supernet.network import NetworkSpec

ROOT = Path(__file__).parent.parent
BUILD = [
    *("--resolution", "32", "--lowest", "0.125", "--points", "8", "--chains", "2"),
    *("--fit", "6", "--held-out", "6", "--rounds", "3", "--error", "50"),
]
pytestmark = pytest.mark.skipif(
    load("onnxruntime").unavailable() is not None, reason="onnxruntime is not installed"
)


def call(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "service.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def answer(*words: str) -> Any:
    done = call(*words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tables") / "small.json"
    done = call("table", "build", str(path), *BUILD)
    assert done.returncode == 0, done.stderr
    assert "networks never fitted" in done.stdout
    assert list(path.parent.iterdir()) == [path]  # the journal is gone
    return path


@pytest.mark.slow
def test_a_built_table_is_whole_and_shows_its_error(built: Path) -> None:
    shown = answer("table", "show", str(built))
    assert shown["networks"] == 12
    assert shown["held_out"]["points"] >= 1
    assert shown["roof"]["gmacs"] > 0
    assert shown["fingerprint"] == LatencyTable.load(built).fingerprint
    again = call("table", "build", str(built), *BUILD)
    assert again.returncode == 2
    assert "exists" in again.stderr


@pytest.mark.slow
def test_price_shows_the_error_that_goes_with_the_prediction(built: Path) -> None:
    priced = answer("price", "--config", "resnet50", "--table", str(built))
    assert 0 < priced["latency_ms"]["predicted"] <= priced["latency_ms"]["upper"] * 1.0001
    assert priced["held_out"]["points"] >= 1
    assert priced["bound"]["factor"] > 0
    words = call("price", "--config", "resnet50", "--table", str(built)).stdout
    assert "networks never fitted" in words


@pytest.mark.slow
def test_replay_measures_random_and_published_configs_beside_the_dense_one(built: Path) -> None:
    words = ("table", "replay", str(built), "--no-published", "--random", "3", "--rounds", "3")
    found = answer(*words)
    assert [row["name"] for row in found["rows"]] == ["dense", "random-1", "random-2", "random-3"]
    dense = found["rows"][0]
    assert dense["speed_up"][0] == pytest.approx(1.0)
    assert dense["macs_ratio"] == 1.0
    for row in found["rows"]:
        assert row["lo_ms"] <= row["measured_ms"] <= row["hi_ms"]
        assert row["predicted_ms"] > 0
    for figures in found["figures"].values():
        assert figures["mape_percent"] >= 0
        assert 0 <= figures["below_upper_percent"] <= 100
    assert found["level"] > 0
    assert "speed-up" in call(*words).stdout


@pytest.mark.slow
def test_snap_gives_more_channels_and_is_never_predicted_slower(
    built: Path, tmp_path: Path
) -> None:
    out = tmp_path / "snapped.json"
    found = answer("table", "snap", str(built), "--config", "metapruning-2g", "--out", str(out))
    assert found["macs_after"] >= found["macs_before"]
    assert found["ms_after"] <= found["ms_before"] * (1 + 1e-9)
    priced = answer("price", "--config", str(out), "--table", str(built))
    assert priced["macs"] == found["macs_after"]
    wrong = call("table", "snap", str(built), "--config", "metaprunning")
    assert wrong.returncode == 2
    assert "metapruning-2g" in wrong.stderr


@pytest.mark.slow
@pytest.mark.parametrize("what", ["stairs", "networks", "roofline"])
@pytest.mark.parametrize("suffix", [".png", ".html"])
def test_plots(built: Path, what: str, suffix: str, tmp_path: Path) -> None:
    out = tmp_path / f"plot{suffix}"
    done = call("table", "plot", str(built), "--what", what, "--out", str(out))
    if what == "stairs" and done.returncode == 2:
        assert "nothing to plot" in done.stderr  # too few points for a sweep
        return
    assert done.returncode == 0, done.stderr
    assert out.stat().st_size > 5000


@pytest.mark.slow
def test_export_validate_and_diff(built: Path, tmp_path: Path) -> None:
    csv = tmp_path / "table.csv"
    assert call("table", "export", str(built), "--out", str(csv)).returncode == 0
    table = LatencyTable.load(built)
    assert len(pd.read_csv(csv, comment="#")) >= len(table.rows)
    assert answer("table", "show", str(csv)) == answer("table", "show", str(built))
    found = answer("table", "diff", str(built), str(csv))
    assert found["rows"]["median"] == 1.0
    assert found["target"] == []
    assert "the same target" in call("table", "diff", str(built), str(built)).stdout
    checked = call("table", "validate", str(built))
    assert "networks" in checked.stdout
    assert LatencyTable.from_pandas(table.to_pandas()).dumps() == table.dumps()


def test_every_width_reaches_from_the_lowest_to_dense() -> None:
    space = every_width(NetworkSpec(), 0.125)
    assert space.choices[0] == tuple(range(8, 65))
    assert space.choices[4] == tuple(range(256, 2049))
    assert not space.tied
    with pytest.raises(TableError, match=r"--lowest must lie between 0 and 1, but got 1\.5"):
        every_width(NetworkSpec(), 1.5)


@pytest.mark.parametrize("name", shipped.names())
def test_shipped_tables_are_whole_and_say_how_far_to_trust_them(name: str) -> None:
    table = shipped.load(name)
    wanted = {shape.geometry for shape in table.network.shapes(table.network.dense())}
    assert set(table.by_geometry()) == wanted
    assert table.fitted is not None
    assert table.fitted.fingerprint == table.fingerprint
    assert table.roof is not None
    assert table.target.details["memory"]
    assert sum(row.role == "held-out" for row in table.networks) >= 30
    predictor = Predictor(table)
    assert predictor.held_out.points >= 25
    dense = predictor.config(table.network.dense())
    half = predictor.config(table.network.uniform(0.5))
    assert 2 < dense.predicted / half.predicted < 6
    assert dense.upper > dense.predicted


def test_tables_have_names_and_unknown_ones_are_refused() -> None:
    with pytest.raises(TableError, match="neither a file nor a shipped table"):
        shipped.find("no-such-table")
    listed = json.loads(call("table", "shipped", "--json").stdout)
    assert sorted(listed) == shipped.names()
