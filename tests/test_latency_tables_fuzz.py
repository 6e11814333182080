"""Readers survive anything: they refuse with their own error in one short line, or they read.

`FUZZ_CASES` sets the cases per reader. `test_100000_cases` repeats this file's everyday tests with
other seeds in processes whose memory is limited, if `FUZZ_TOTAL` says how many cases there shall be
(100000 takes five minutes). Files that are hostile by their size are read in such a process too.
"""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from latency_tables_strategies import (
    HOSTILE,
    anything,
    damaged_bytes,
    damaged_json,
    damaged_text,
    survives,
)
from latency_tables_synthetic import SPEC, TARGET, table

from latency_tables.fitting import fit_table
from latency_tables.frames import COLUMNS, FORMATS, export, from_pandas, load_any, to_pandas
from latency_tables.table import ChainRow, LatencyTable, Roof, TableError
from profiler.journal import Journal, JournalError
from profiler.protocol import Protocol
from service.spec import SpecError, load, parse
from supernet.config import ChannelConfig, ConfigError
from supernet.shapes import HeadShape

CASES = int(os.environ.get("FUZZ_CASES", "2000"))
TOTAL = int(os.environ.get("FUZZ_TOTAL", "0"))
REPORT = os.environ.get("FUZZ_REPORT")  # the file for a child's counts
MEMORY = 300 << 20  # bytes that a reader may take
SEEN: Counter[str] = Counter()
PEAKS = [0]  # bytes that each test took, Hypothesis included

FUZZ = settings(
    max_examples=CASES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
HALF = settings(FUZZ, max_examples=CASES // 2)  # where two tests share a reader
PYARROW = importlib.util.find_spec("pyarrow") is not None
needs_pyarrow = pytest.mark.skipif(not PYARROW, reason="pyarrow is not installed")


def small() -> LatencyTable:
    """A table with one of everything, and a fit of its smallest geometry."""
    full = fit_table(table(points=1, networks=6))
    assert full.fitted is not None
    rows = {shape: found for shape, found in full.rows.items() if isinstance(shape, HeadShape)}
    (head, found), *_ = rows.items()
    return replace(
        full,
        rows={
            head: replace(
                found,
                rounds=(1.0, 1.5),
                levels=(1.0, 1.25),
                flags=("unstable",),
                notes=("runs vary",),
                isolated=1.75,
            )
        },
        chains=(ChainRow(pieces=tuple(rows), measurement=found),),
        networks=full.networks[:1],
        roof=Roof(gmacs=50.0, gbytes=9.5),
        fitted=replace(full.fitted, models={head.geometry: full.fitted.models[head.geometry]}),
    )


TABLE = small()
TEXT = TABLE.dumps()
FRAME = to_pandas(TABLE)
CONFIG = json.dumps(TABLE.networks[0].config.to_json())
JOB = """name: j
network: {depths: [1, 2], width: 0.25, stem: 3x3/1, resolution: 8, channels: 1, classes: 10}
data: {name: digits}  # a comment
limits:
  macs: 60%
  latency_ms: 1.5
capacity: {recipe: {epochs: 4, batch: 32, lr: 0.1}}
supernet: {recipe: {epochs: 4, batch: 32, lr: 0.1}}
train: {teacher: {epochs: 4, batch: 32, lr: 0.1}, recipe: {epochs: 4, batch: 32, lr: 0.1}}
"""
PROTOCOL = Protocol(rounds=2)


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for files; nothing in it has to survive a power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        path = tmp_path_factory.mktemp("fuzz")
        for suffix in FORMATS:  # once before memory is limited: threads start, caches fill
            if suffix != ".parquet" or PYARROW:
                exported(path, suffix)
                assert load_any(path / f"base{suffix}") == TABLE
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


def memory() -> dict[str, int]:
    """Bytes of this process: address space, resident, resident at most since it was limited."""
    lines = Path("/proc/self/status").read_text().splitlines()
    pairs = (line.split()[:2] for line in lines if line.startswith(("VmSize", "VmRSS", "VmHWM")))
    return {name.rstrip(":"): 1024 * int(size) for name, size in pairs}


def limit_memory() -> None:
    """Lets this process have `MEMORY` more bytes of address space than it has."""
    Path("/proc/self/clear_refs").write_text("5")  # forgets the most that was resident
    resource.setrlimit(resource.RLIMIT_AS, (memory()["VmSize"] + MEMORY, resource.RLIM_INFINITY))


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


def exported(folder: Path, name: str) -> bytes:
    path = folder / f"base{name}"
    if not path.exists():
        export(TABLE, path)
    return path.read_bytes()


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


@needs_pyarrow
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


def journal(path: Path) -> bytes:
    """A journal with one of everything."""
    if not path.exists():
        book = Journal(path, TARGET, SPEC, PROTOCOL)
        book.add(
            level=1.0,
            sentinel=[1.0, 1.5],
            rows=TABLE.rows,
            chains={chain.pieces: chain.measurement for chain in TABLE.chains},
            networks=TABLE.networks,
        )
        book.set_roof(Roof(gmacs=50.0, gbytes=9.5))
        book.lose(TABLE.chains[0].pieces, "it ended the process")
        book.lose(TABLE.networks[0].config, "it ended the process")
    return path.read_bytes()


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
            env={**os.environ, "FUZZ_REPORT": str(report), "FUZZ_TOTAL": "0"},
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


MB = 1_000_000
PIECE = '{"geometry":"head:1x1,1","widths":[1]}'
FIGURES = '"median":1,"lo":1,"hi":1,"rounds":[1],"flags":[]'
ROW = '{"geometry":"block:8x8/1,projection","widths":[%d,%d,8,8],' + FIGURES + "}"


def valid(size: int) -> str:
    """The text of a table of about this many bytes, with rows as they are measured."""
    rng, rows = np.random.default_rng(0), []
    for number in range(size // 600):
        row = json.loads(ROW % (1 + number % 999, 1 + number // 999))
        rounds, levels = (1 + rng.random((2, 11))).tolist()
        rows.append(json.dumps({**row, "hi": max(rounds), "rounds": rounds, "levels": levels}))
    return filled("rows", f"[{','.join(rows)}]")


def filled(place: str, value: str) -> str:
    """The small table's text with a text of any length as the value in one place."""
    data = json.loads(TEXT)
    *way, last = place.split(".")
    spot = data
    for step in way:
        spot = spot[int(step) if step.isdigit() else step]
    spot[last] = "HERE"
    return json.dumps(data).replace('"HERE"', value)


def spread(item: str, size: int) -> str:
    """A JSON array of this many bytes."""
    return "[" + ",".join([item] * (size // (len(item) + 1))) + "]"


def many_keys() -> str:
    return "{" + ",".join(f'"{number}":1' for number in range(MB)) + "}"


def bomb() -> str:
    """YAML of a page that stands for 9 ** 15 values."""
    names = "abcdefghijklmno"
    lines = [f"{a}: &{a} [{f'*{b},' * 9}]" for b, a in pairwise(names)]
    return "\n".join(["a: &a [x]", *lines])


LARGE: dict[str, Callable[[str], str]] = {
    "deep.json": lambda base: "[" * 20 * MB,
    "arrays.json": lambda base: filled("protocol", spread("[]", 20 * MB)),
    "objects.json": lambda base: filled("protocol", spread('{"a":1}', 5 * MB)),
    "numbers.json": lambda base: filled("sentinel", spread("1.5", 12 * MB)),
    "texts.json": lambda base: filled("protocol", spread('"ab"', 10 * MB)),
    "wide.json": lambda base: filled("protocol", f'"{"😀" * 5 * MB}"'),
    "escapes.json": lambda base: filled("protocol", '"' + "\\u0100" * 3 * MB + '"'),
    "digits.json": lambda base: filled("rows.0.median", "1" * 20 * MB),
    "fraction.json": lambda base: filled("rows.0.median", "0." + "1" * 20 * MB),
    "keys.json": lambda base: filled("fitted.held_out", many_keys()),
    "rounds.json": lambda base: filled("rows.0.rounds", spread("1.5", 8 * MB)),
    "rows.json": lambda base: filled("rows", spread(ROW % (1, 1), 12 * MB)),
    "chain.json": lambda base: filled("chains.0.pieces", spread(PIECE, 12 * MB)),
    "depths.json": lambda base: filled("network.depths", spread("1000", 5 * MB)),
    "blocks.json": lambda base: filled("networks.0.config.inner", spread("[1,1]", 8 * MB)),
    "models.json": lambda base: filled("fitted.models", '{"a":1,' + '"b":{},' * 300_000 + '"c":1}'),
    "cells.csv": lambda base: base + "," * 20 * MB,
    "quote.csv": lambda base: base + '"' + "a\n" * 8 * MB,
    "lines.csv": lambda base: base + "row\n" * 5 * MB,
    "head.csv": lambda base: "# stairprune: " + spread("[]", 4 * MB),
    "deep.config": lambda base: "[" * 20 * MB,
    "pairs.config": lambda base: base.replace('"inner": [', '"inner": [' + "[1,1]," * 20_000),
    "visits.jsonl": lambda base: base + f'{{"kind":"session","values":{spread("1", 3 * MB)}}}\n',
    "lines.jsonl": lambda base: base + "\n" * 20 * MB,
    "line.jsonl": lambda base: base + "[" * 20 * MB,
    "bomb.yaml": lambda base: bomb(),
    "deep.yaml": lambda base: "[" * 60_000,
    "keys.yaml": lambda base: "? " * 30_000,
    "items.yaml": lambda base: "- " * 30_000,
    "commas.yaml": lambda base: f"[{'a,' * 30_000}]",
    "long.yaml": lambda base: "a: b\n" * 4 * MB,
}
READ_ALL = """
import json, sys, time
from pathlib import Path
import test_latency_tables_fuzz as fuzz
for line in sys.stdin:
    path, found = Path(line.strip()), ""
    reader, error = fuzz.READERS[path.suffix]
    fuzz.limit_memory()
    before, start = fuzz.memory()["VmRSS"], time.process_time()
    try:
        reader(path)
    except error as caught:
        found = str(caught)
    seconds, mb = time.process_time() - start, (fuzz.memory()["VmHWM"] - before) / 1e6
    print(json.dumps({"refused": found, "seconds": seconds, "mb": mb}), flush=True)
"""
READERS: dict[str, tuple[Callable[[Path], object], type[Exception]]] = {
    **dict.fromkeys((".json", ".csv", ".parquet"), (load_any, TableError)),
    ".config": (lambda path: ChannelConfig.parse(path.read_text()), ConfigError),
    ".jsonl": (lambda path: Journal(path, TARGET, SPEC, PROTOCOL), JournalError),
    ".yaml": (load, SpecError),
}


@pytest.fixture(scope="module")
def child() -> Iterator[subprocess.Popen[str]]:
    """A process that reads files, and may have little memory for each."""
    with subprocess.Popen(
        [sys.executable, "-c", READ_ALL],
        cwd=Path(__file__).parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def refusal(path: Path, child: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a reader refuses the file for; checks the time and memory that it takes."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(f"{path}\n")
    child.stdin.flush()
    answer = child.stdout.readline()
    assert answer, f"{path.name} ended the process"
    found, size = json.loads(answer), path.stat().st_size / MB
    path.unlink()
    with capsys.disabled():
        print(f"\n{path.name}: {size:.1f} MB, {found}")
    assert len(found["refused"]) < 600
    assert found["seconds"] < max(1.0, size)
    assert found["mb"] < MEMORY / 1e6
    return str(found["refused"])


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_hostile_files_take_little_memory_and_time(
    name: str, folder: Path, child: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / name
    match path.suffix:
        case ".csv":
            base = exported(folder, ".csv").decode()
        case ".jsonl":
            base = journal(folder / "base.jsonl").decode()
        case _:
            base = CONFIG
    path.write_text(LARGE[name](base), encoding="utf-8")
    assert refusal(path, child, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", FORMATS)
def test_tables_of_20_mb_are_read(
    suffix: str, folder: Path, child: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    path = folder / f"valid{suffix}"
    export(LatencyTable.loads(valid(20 * MB)), path)
    assert not refusal(path, child, capsys)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"use_dictionary": True},
        {"use_dictionary": True, "compression": "NONE"},
        {"use_dictionary": False, "column_encoding": {"pieces": "DELTA_BYTE_ARRAY"}},
    ],
)
def test_parquet_files_that_unpack_to_much(
    options: dict[str, Any],
    folder: Path,
    child: subprocess.Popen[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A text of 10 MB that is stored once and stands in 30 lines."""
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    lists = {"rounds": "[1]", "levels": "[]", "flags": "[]", "notes": "[]"}
    first = FRAME[:1].drop(columns="pieces").assign(**lists)
    lines = pa.concat_tables([pa.Table.from_pandas(first, preserve_index=False)] * 30)
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * 30), pa.array(["x" * 10 * MB]))
    lines = lines.append_column("pieces", repeated.dictionary_decode())
    lines = lines.replace_schema_metadata({"PANDAS_ATTRS": json.dumps(FRAME.attrs)})
    path = folder / "bomb.parquet"
    parquet.write_table(lines, path, **options)
    assert path.stat().st_size < 12 * MB
    refused = refusal(path, child, capsys)
    assert "missing" not in refused
    assert "column" not in refused
