"""Tables as pandas frames, CSV and Parquet: nothing is lost, editing works, errors say what."""

from __future__ import annotations

import importlib.util
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from latency_tables_strategies import tables
from latency_tables_synthetic import table

from latency_tables.fitting import current_fit, fit_table
from latency_tables.frames import COLUMNS, FORMATS, export, from_pandas, load_any, to_pandas
from latency_tables.table import ChainRow, LatencyTable, Measurement, Roof, TableError
from supernet.arithmetic import count
from supernet.shapes import BlockShape, StemShape

BLOCK = BlockShape(8, 2, "projection", 8, 4, 4, 16)
SLOWER = Measurement(
    median=9.0, lo=8.0, hi=10.0, rounds=(9.0, 8.5), levels=(1.0, 1.1), flags=("slow, #1",)
)
TABLE = fit_table(
    replace(
        table(points=9, networks=12),
        chains=(ChainRow(pieces=(BLOCK, BLOCK), measurement=SLOWER),),
        roof=Roof(gmacs=50.0, gbytes=9.5),
    )
)
FRAME = to_pandas(TABLE)
needs_pyarrow = pytest.mark.skipif(
    importlib.util.find_spec("pyarrow") is None, reason="pyarrow is not installed"
)
FILES = [
    pytest.param(suffix, marks=[needs_pyarrow] if suffix == ".parquet" else [])
    for suffix in FORMATS
]


def same(found: LatencyTable, wanted: LatencyTable) -> bool:
    return found == wanted and found.dumps() == wanted.dumps()


@settings(max_examples=150, deadline=None)
@given(tables())
def test_frames_round_trip(table: LatencyTable) -> None:
    assert same(from_pandas(to_pandas(table)), table)


@pytest.mark.parametrize("suffix", FILES)
@settings(max_examples=60, deadline=None)
@given(table=tables())
def test_files_round_trip(suffix: str, table: LatencyTable) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"t{suffix}"
        export(table, path)
        assert same(load_any(path), table)
        assert [p.name for p in Path(folder).iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", FILES)
def test_a_fitted_table_keeps_its_fit(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"t{suffix}"
    export(TABLE, path)
    found = load_any(path)
    assert same(found, TABLE)
    assert found.fitted is not None
    assert current_fit(found) is found.fitted


def test_table_methods_are_the_same() -> None:
    pd.testing.assert_frame_equal(TABLE.to_pandas(), FRAME)
    assert same(LatencyTable.from_pandas(FRAME), TABLE)


def test_columns_can_be_filtered_on() -> None:
    assert tuple(FRAME.columns) == COLUMNS
    assert (FRAME["kind"] == "row").sum() == len(TABLE.rows)
    assert all(FRAME[name].dtype == "Int64" for name in ("cin", "w1", "w2", "cout", "macs"))
    stems = FRAME[FRAME["geometry"].str.startswith("stem", na=False)]
    assert stems["cin"].isna().all()
    widths = {shape.widths[0] for shape in TABLE.rows if isinstance(shape, StemShape)}
    assert set(stems["cout"]) == widths
    nets = FRAME[FRAME["kind"] == "network"]
    assert nets["macs"].tolist() == [count(TABLE.network, n.config)[0] for n in TABLE.networks]
    chain = FRAME[FRAME["kind"] == "chain"].iloc[0]
    assert chain["macs"] == 2 * BLOCK.macs
    assert chain["rounds"] == [9.0, 8.5]
    assert chain["flags"] == ["slow, #1"]


def test_editing_a_value_makes_the_fit_stale_but_loses_nothing() -> None:
    frame = FRAME.copy()
    shape = next(iter(TABLE.by_geometry().values()))
    first = next(iter(shape))
    frame.loc[0, ["lo", "median", "hi"]] = [7.0, 8.0, 9.0]
    found = from_pandas(frame)
    assert found.rows[first].median == 8.0
    assert found.fitted == TABLE.fitted
    assert found.fingerprint != TABLE.fingerprint
    assert current_fit(found).fingerprint == found.fingerprint
    assert same(replace(found, rows=TABLE.rows), TABLE)


def test_a_part_of_a_frame_is_a_table_of_that_part() -> None:
    narrow = FRAME[(FRAME["kind"] == "row") & (FRAME["median"] < FRAME["median"].median())]
    found = from_pandas(narrow.sort_values("median"))
    assert found.rows == {s: TABLE.rows[s] for s in found.rows}
    assert 0 < len(found.rows) < len(TABLE.rows)
    assert (found.chains, found.networks, found.target) == ((), (), TABLE.target)


def test_users_own_columns_and_absent_ones_do_not_matter() -> None:
    rows = FRAME[FRAME["kind"] == "row"]
    few = rows.drop(columns=["macs", "levels", "flags", "role", "config", "pieces"])
    found = from_pandas(few.assign(per_mac=few["median"] / 3))
    assert found.rows == TABLE.rows
    arrays = FRAME.assign(rounds=FRAME["rounds"].map(np.array))
    assert same(from_pandas(arrays), TABLE)
    floats = FRAME.assign(**{n: FRAME[n].astype("Float64") for n in ("cin", "w1", "w2", "cout")})
    assert same(from_pandas(floats), TABLE)


def test_pandas_reads_the_csv(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    export(TABLE, path)
    frame = pd.read_csv(path, comment="#")
    assert tuple(frame.columns) == COLUMNS
    assert len(frame) == len(FRAME)
    with pytest.raises(TableError, match="target and network missing"):
        from_pandas(frame)
    with pytest.raises(TableError, match="network missing"):
        from_pandas(frame, target=TABLE.target)
    found = from_pandas(frame, target=TABLE.target, network=TABLE.network)
    assert found.rows.keys() == TABLE.rows.keys()
    assert found.chains[0].pieces == (BLOCK, BLOCK)
    assert found.chains[0].measurement == SLOWER
    assert [n.config for n in found.networks] == [n.config for n in TABLE.networks]
    for shape, row in found.rows.items():
        assert row.rounds == TABLE.rows[shape].rounds
        assert row.median == pytest.approx(TABLE.rows[shape].median, rel=1e-14)


@needs_pyarrow
def test_pandas_reads_the_parquet_file_with_everything(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    export(TABLE, path)
    frame = pd.read_parquet(path)
    assert tuple(frame.columns) == COLUMNS
    assert same(from_pandas(frame), TABLE)
    frame.to_parquet(path)
    assert same(load_any(path), TABLE)


def test_parquet_without_pyarrow_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for act in (lambda path: export(TABLE, path), load_any):
        with pytest.raises(TableError, match=r"pyarrow.*stairprune\[parquet\]"):
            act(tmp_path / "t.parquet")
    assert not list(tmp_path.iterdir())


def test_widths_of_absurd_size_have_no_macs() -> None:
    huge = BlockShape(1 << 20, 1, "projection", *[1 << 20] * 4)
    frame = to_pandas(replace(TABLE, rows={huge: SLOWER}))
    assert frame.loc[0, "macs"] is pd.NA
    assert set(from_pandas(frame).rows) == {huge}


def edited(column: str, value: Any, line: int = 2) -> pd.DataFrame:
    """The frame with another value in one cell."""
    frame = FRAME.astype({column: object})
    frame.at[line, column] = value
    return frame


CHAIN, NETWORK = (int((FRAME["kind"] == kind).argmax()) for kind in ("chain", "network"))


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (FRAME.drop(columns="lo"), r"columns \['lo'\] are missing"),
        (FRAME.drop(columns="kind"), r"columns \['kind'\] are missing"),
        (pd.concat([FRAME, FRAME[["w1"]]], axis=1), r"\['w1'\] appear more than once"),
        (pd.concat([FRAME, FRAME[:1]]), "appears twice"),
        (edited("kind", "net"), "line 2: kind must be row, chain or network, got 'net'"),
        (edited("geometry", "block:9"), "line 2: no such geometry"),
        (edited("w1", pd.NA), "line 2: .* needs a w1"),
        (edited("w1", 0), r"line 2: a width must be a whole number in 1\.\.1048576, got 0"),
        (edited("w1", 3.5), "line 2: a width must be a whole number"),
        (edited("median", np.nan), "line 2: key 'median' is missing"),
        (edited("median", True), "line 2: median must be a finite latency"),
        (edited("median", 10**400), "line 2: median must be a finite latency"),
        (edited("rounds", []), "line 2: latencies must be finite"),
        (edited("rounds", "[1.0,"), "line 2: .* is not JSON"),
        (edited("rounds", "[" * 200_000), "line 2: a cell has at most"),
        (edited("rounds", 1.0), "line 2: rounds must be an array"),
        (edited("flags", "slow"), "line 2: 'slow' is not JSON"),
        (edited("pieces", pd.NA, CHAIN), "pieces must be an array"),
        (edited("config", "{}", NETWORK), "a config has exactly the keys"),
        (edited("role", None, NETWORK), "role must be fit or held-out"),
    ],
)
def test_bad_frames_are_refused(frame: pd.DataFrame, words: str) -> None:
    frame.attrs = dict(FRAME.attrs)
    with pytest.raises(TableError, match=words):
        from_pandas(frame)


@pytest.mark.parametrize("attrs", [[], 7, {"target": 1}, {"rows": []}])
def test_bad_attrs_are_refused(attrs: object) -> None:
    frame = FRAME.copy()
    frame.attrs["stairprune"] = attrs
    with pytest.raises(TableError):
        from_pandas(frame)


@pytest.mark.parametrize("name", ["t.pickle", "t", "t.csv.gz"])
def test_other_suffixes_are_refused(name: str, tmp_path: Path) -> None:
    for act in (lambda path: export(TABLE, path), load_any):
        with pytest.raises(TableError, match=r"\.json, \.csv, \.parquet"):
            act(tmp_path / name)


@pytest.mark.parametrize("suffix", FORMATS)
def test_missing_files_are_named(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(TableError, match="none"):
        load_any(tmp_path / f"none{suffix}")


def test_a_csv_of_others_says_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    FRAME.to_csv(path)
    with pytest.raises(TableError, match="first line must start with '# stairprune: '"):
        load_any(path)
    export(TABLE, path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:3], "row,1\n"]))
    with pytest.raises(TableError, match=r"t\.csv: line 4: 18 cells are needed, got 2"):
        load_any(path)


@needs_pyarrow
def test_parquet_files_of_other_forms(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    lists = ("rounds", "levels", "flags", "notes")
    flat = FRAME.assign(**{n: FRAME[n].map(json.dumps) for n in lists})
    for options in ({"compression": "zstd"}, {"compression": None}, {"row_group_size": 7}):
        flat.to_parquet(path, **options)
        assert same(load_any(path), TABLE)
    FRAME.to_parquet(path)
    with pytest.raises(TableError, match="column 'rounds' must be one of string"):
        load_any(path)
    pd.concat([flat] * 9000, ignore_index=True)[["kind"]].to_parquet(path)
    with pytest.raises(TableError, match="at most 200000 lines"):
        load_any(path)
    flat[:1].assign(pieces="x" * 50_000_000).to_parquet(path, compression="zstd")
    assert path.stat().st_size < 100_000
    with pytest.raises(TableError, match="too large: unpacked"):
        load_any(path)
