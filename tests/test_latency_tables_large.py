"""Files that are hostile by their size are refused, in little memory and time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from latency_tables_small import CONFIG, FRAME, MEMORY, PROTOCOL, TEXT, exported, journal, prepared
from latency_tables_synthetic import SPEC, TARGET
from pyarrow import parquet

from latency_tables.frames import FORMATS, export, load_any
from latency_tables.table import LatencyTable, TableError
from profiler.journal import Journal, JournalError
from service.spec import SpecError, load
from supernet.config import ChannelConfig, ConfigError

READERS: dict[str, tuple[Callable[[Path], object], type[Exception]]] = {
    **dict.fromkeys((".json", ".csv", ".parquet"), (load_any, TableError)),
    ".config": (lambda path: ChannelConfig.parse(path.read_text()), ConfigError),
    ".jsonl": (lambda path: Journal(path, TARGET, SPEC, PROTOCOL), JournalError),
    ".yaml": (load, SpecError),
}
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
import latency_tables_small as small
from test_latency_tables_large import READERS
for line in sys.stdin:
    path, found = Path(line.strip()), ""
    reader, error = READERS[path.suffix]
    small.limit_memory()
    before, start = small.memory()["VmRSS"], time.process_time()
    try:
        reader(path)
    except error as caught:
        found = str(caught)
    seconds, mb = time.process_time() - start, (small.memory()["VmHWM"] - before) / 1e6
    print(json.dumps({"refused": found, "seconds": seconds, "mb": mb}), flush=True)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with prepared(tmp_path_factory.mktemp("large")) as path:
        yield path


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
