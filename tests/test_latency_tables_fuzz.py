"""Readers survive anything: they refuse with their own error in one short line, or they read.

`FUZZ_CASES` sets the cases per reader. `test_100000_cases` repeats this file's everyday tests with
other seeds in processes whose memory is limited, if `FUZZ_TOTAL` says how many cases there shall be
(100000 takes five minutes).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from latency_tables_small import (
    CONFIG,
    FRAME,
    JOB,
    PROTOCOL,
    TEXT,
    exported,
    journal,
    limit_memory,
    memory,
    prepared,
)
from latency_tables_strategies import (
    HOSTILE,
    anything,
    damaged_bytes,
    damaged_json,
    damaged_text,
    survives,
)
from latency_tables_synthetic import SPEC, TARGET

from latency_tables.frames import COLUMNS, from_pandas, load_any
from latency_tables.table import LatencyTable, TableError
from profiler.journal import Journal, JournalError
from service.spec import SpecError, parse
from supernet.config import ChannelConfig, ConfigError

CASES = int(os.environ.get("FUZZ_CASES", "500"))
TOTAL = int(os.environ.get("FUZZ_TOTAL", "0"))
REPORT = os.environ.get("FUZZ_REPORT")  # the file for a child's counts
SEEN: Counter[str] = Counter()
PEAKS = [0]  # bytes that each test took, Hypothesis included

FUZZ = settings(
    max_examples=CASES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
HALF = settings(FUZZ, max_examples=CASES // 2)  # where two tests share a reader


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with prepared(tmp_path_factory.mktemp("fuzz")) as path:
        start = time.perf_counter()
        yield path
        if REPORT:
            took = time.perf_counter() - start
            found = {"cases": SEEN.total(), "seconds": took, "mb": max(PEAKS) / 1e6}
            Path(REPORT).write_text(json.dumps(found))


@pytest.fixture(autouse=True)
def limited(folder: Path) -> Iterator[None]:
    """What earlier tests left behind does not count."""
    if not REPORT:
        yield
        return
    limit_memory()
    before = memory()["VmRSS"]
    yield
    PEAKS.append(memory()["VmHWM"] - before)


def read(text: str) -> LatencyTable:
    """Reads a table; what is read can be written and read again."""
    found = LatencyTable.loads(text)
    assert LatencyTable.loads(found.dumps()) == found
    return found


def read_frame(frame: pd.DataFrame) -> LatencyTable:
    found = from_pandas(frame)
    assert read(found.dumps()) == found
    return found


def read_file(path: Path, data: bytes) -> LatencyTable:
    path.write_bytes(data)
    found = load_any(path)
    assert read(found.dumps()) == found
    return found


@HALF
@given(st.one_of(damaged_json(TEXT), damaged_text(TEXT)))
def test_tables(text: str) -> None:
    SEEN["table"] += 1
    survives(read, text, TableError)


@HALF
@given(anything, st.sampled_from([None, *json.loads(TEXT)]))
def test_tables_of_arbitrary_json(value: Any, key: str | None) -> None:
    SEEN["arbitrary JSON"] += 1
    data = value if key is None else {**json.loads(TEXT), key: value}
    survives(read, json.dumps(data), TableError)


@HALF
@given(st.binary(max_size=200), st.sampled_from([".json", ".csv", ".parquet"]))
def test_files_of_arbitrary_bytes(folder: Path, data: bytes, suffix: str) -> None:
    SEEN["bytes"] += 1
    survives(lambda data: read_file(folder / f"b{suffix}", data), data, TableError)


@FUZZ
@given(st.data())
def test_csv_files(folder: Path, data: st.DataObject) -> None:
    SEEN["CSV"] += 1
    base = exported(folder, ".csv")
    text = damaged_text(base.decode()).map(lambda text: text.encode("utf-8", "surrogatepass"))
    damaged = data.draw(st.one_of(damaged_bytes(base), text))
    survives(lambda data: read_file(folder / "t.csv", data), damaged, TableError)


@FUZZ
@given(st.data())
def test_parquet_files(folder: Path, data: st.DataObject) -> None:
    SEEN["Parquet"] += 1
    damaged = data.draw(damaged_bytes(exported(folder, ".parquet")))
    survives(lambda data: read_file(folder / "t.parquet", data), damaged, TableError)


@HALF
@given(st.sampled_from(COLUMNS), st.lists(anything, min_size=len(FRAME), max_size=len(FRAME)))
def test_frames_with_arbitrary_columns(name: str, values: list[Any]) -> None:
    SEEN["frame"] += 1
    frame = FRAME.assign(**{name: pd.Series(values, dtype=object)})
    survives(read_frame, frame, TableError)


@HALF
@given(anything, st.sampled_from([None, *FRAME.attrs["stairprune"]]))
def test_frames_with_arbitrary_attrs(value: Any, key: str | None) -> None:
    SEEN["attrs"] += 1
    frame = FRAME.copy()
    head = frame.attrs["stairprune"]
    frame.attrs["stairprune"] = value if key is None else {**head, key: value}
    survives(read_frame, frame, TableError)


@FUZZ
@given(st.one_of(damaged_json(CONFIG), damaged_text(CONFIG), anything.map(json.dumps)))
def test_configs(text: str) -> None:
    SEEN["config"] += 1
    found = survives(ChannelConfig.parse, text, ConfigError)
    if isinstance(found, ChannelConfig):
        assert ChannelConfig.parse(json.dumps(found.to_json())) == found
        survives(SPEC.shapes, found, ConfigError)


@FUZZ
@given(st.data())
def test_journals(folder: Path, data: st.DataObject) -> None:
    SEEN["journal"] += 1
    path = folder / "t.jsonl"

    def reopened(content: bytes) -> Journal:
        path.write_bytes(content)
        found = Journal(path, TARGET, SPEC, PROTOCOL)
        again = Journal(path, TARGET, SPEC, PROTOCOL)
        assert (again.rows, again.chains, again.networks) == (
            found.rows, found.chains, found.networks,
        )  # fmt: skip
        return found

    base = journal(folder / "base.jsonl")
    lines = base.splitlines(keepends=True)
    index = data.draw(st.integers(0, len(lines) - 1))
    line = damaged_json(lines[index].decode()).map(
        lambda text: b"".join([*lines[:index], f"{text}\n".encode(), *lines[index + 1 :]])
    )
    damaged = data.draw(st.one_of(damaged_bytes(base), line))
    survives(reopened, damaged, JournalError)


@FUZZ
@given(st.one_of(damaged_text(JOB), damaged_text(JOB), anything.map(json.dumps)))
def test_jobs(text: str) -> None:
    SEEN["job"] += 1
    survives(parse, text, SpecError)


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value)[:20])
def test_hostile_values_everywhere(value: Any) -> None:
    """Small enough to be complete: every value at every first and second level of a table."""
    data = json.loads(TEXT)
    for key in data:
        survives(read, json.dumps({**data, key: value}), TableError)
        inner = data[key]
        for spot in inner if isinstance(inner, dict) else ():
            survives(read, json.dumps({**data, key: {**inner, spot: value}}), TableError)
    for section in ("rows", "chains", "networks"):
        for spot in data[section][0]:
            entry = {**data[section][0], spot: value}
            survives(read, json.dumps({**data, section: [entry]}), TableError)


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value)[:20])
def test_hostile_values_everywhere_in_a_journal(value: Any, folder: Path) -> None:
    path, lines = folder / "t.jsonl", journal(folder / "base.jsonl").decode().splitlines()
    for index, line in enumerate(lines):
        for key in json.loads(line):
            damaged = json.dumps({**json.loads(line), key: value})
            path.write_text("\n".join([*lines[:index], damaged, *lines[index + 1 :], ""]))
            survives(lambda path: Journal(path, TARGET, SPEC, PROTOCOL), path, JournalError)


@pytest.mark.parametrize("value", ["[]", "true", "1" + "0" * 400, '{"a": {"b": 1}}', '[["a", 1]]'])
@pytest.mark.parametrize("kind", ["gmacs", "values"])
def test_journals_hold_only_what_a_table_may(kind: str, value: str, folder: Path) -> None:
    path, base = folder / "t.jsonl", journal(folder / "base.jsonl")
    line = f'{{"kind": "roof", "gbytes": 1, "gmacs": {value}}}'
    if kind == "values":
        line = f'{{"kind": "details", "values": {value}}}'
    path.write_bytes(base + line.encode() + b"\n")
    with pytest.raises(JournalError, match="line 10"):
        Journal(path, TARGET, SPEC, PROTOCOL)


@pytest.mark.parametrize(
    "value",
    [
        *("!!bool x", "!!int ''", "!!timestamp x", "!!float ''", "!!set {a}", "&a 4", "*a"),
        *("{1: 2}", "{a: 1, a: 2}", "0x_", ".inf", ".nan", "1" * 400, "1" * 5000, "2001-01-01"),
    ],
)
def test_yaml_of_other_than_plain_values_is_refused(value: str) -> None:
    with pytest.raises(SpecError):
        parse(JOB.replace("epochs: 4", f"epochs: {value}", 1))


@pytest.mark.slow
@pytest.mark.skipif(not TOTAL, reason="set FUZZ_TOTAL to a number of cases such as 100000")
def test_100000_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done, seconds, peak, seed = 0, 0.0, 0.0, 0
    while done < TOTAL:
        seed += 1
        report = tmp_path / f"{seed}.json"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
        child = subprocess.run(
            [*command, f"--hypothesis-seed={seed}", "-m", "not slow"],
            env={"FUZZ_CASES": "2000", **os.environ, "FUZZ_REPORT": f"{report}", "FUZZ_TOTAL": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert child.returncode == 0, child.stdout[-5000:] + child.stderr[:5000]
        found = json.loads(report.read_text())
        done, seconds = done + found["cases"], seconds + found["seconds"]
        peak = max(peak, found["mb"])
    with capsys.disabled():
        print(f"\n{done} cases, {seed} processes, {seconds:.0f} s, at most {peak:.0f} MB taken")
