"""Filling tables with the real runtime: resume, refusal, a kill in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from latency_tables.table import LatencyTable, Measurement, Target
from profiler import batches as batching
from profiler.backend import load
from profiler.batches import ALIVE, batches
from profiler.collect import collect, compare, sentinel_of
from profiler.journal import Journal, JournalError
from profiler.models import Whole
from profiler.plan import Goals, Planner
from profiler.protocol import Protocol
from supernet.network import NetworkSpec
from supernet.shapes import Shape
from supernet.space import SearchSpace

NETWORK = NetworkSpec(depths=(2, 2), width=0.25, stem="3x3/1", resolution=8, channels=1, classes=3)
SPACE = SearchSpace.from_ratios(NETWORK, [0.25, 0.5, 0.75, 1.0])
FAST = Protocol(
    rounds=2,
    iterations=2,
    round_ms=0.2,
    warmup_ms=1.0,
    warmup_cap_ms=20.0,
    model_cap_ms=1.0,
    repeats=0,
)
ort = pytest.mark.skipif(
    load("onnxruntime").unavailable() is not None, reason="onnxruntime is not installed"
)

COLLECT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_profiler_collect import *
collect(load("onnxruntime").target("fp32", 1, 1), NETWORK, planner(24), Path(sys.argv[2]), FAST,
        lambda done, total, note: print(done, total, flush=True))
"""


def planner(points: int = 8) -> Planner:
    goals = Goals(
        points_per_geometry=points,
        target_error_percent=1e-6,
        chains=2,
        networks_fit=2,
        networks_held_out=2,
    )
    return Planner(SPACE, goals)


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def collected(
    journal: Path, wanted: Planner, protocol: Protocol = FAST, batch: int = 1
) -> LatencyTable:
    target = load("onnxruntime").target("fp32", batch, 1)
    return collect(target, NETWORK, wanted, journal, protocol)


def as_measured(path: Path) -> dict[Shape, Measurement]:
    """The rows that a planner decided by: a table's are brought to one level of the machine."""
    book = Journal(path, load("onnxruntime").target("fp32", 1, 1), NETWORK, FAST)
    return {shape: found.measurement for shape, found in book.rows.items()}


@ort
def test_a_table_holds_everything_wanted_and_survives_its_file(tmp_path: Path) -> None:
    wanted = planner()
    journal = tmp_path / "new" / "journal.jsonl"
    seen: list[tuple[int, int]] = []
    table = collect(
        load("onnxruntime").target("fp32", 1, 1),
        NETWORK,
        wanted,
        journal,
        FAST,
        lambda done, total, note: seen.append((done, total)),
    )
    assert wanted.next(as_measured(journal)) == []
    assert {chain.pieces for chain in table.chains} == set(wanted.chains)
    assert {(n.config, n.role) for n in table.networks} == set(wanted.networks)
    assert all(len(m.rounds) == len(m.levels) == 2 for m in table.rows.values())
    assert len(table.sentinel) >= 2
    assert table.protocol["rounds"] == 2
    assert table.roof is not None
    assert table.fitted is not None
    assert table.fitted.fingerprint == table.fingerprint
    assert seen == sorted(seen)
    assert seen[-1][0] <= seen[-1][1]
    path = tmp_path / "table.json"
    table.save(path)
    assert LatencyTable.load(path).dumps() == table.dumps()


@ort
def test_nothing_is_measured_twice_and_a_larger_plan_continues(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    first = collected(journal, planner())
    text = journal.read_bytes()
    again = collected(journal, planner())
    assert journal.read_bytes() == text
    assert again.target.details["load_average"] == first.target.details["load_average"]
    assert again.dumps() == first.dumps()
    table = collected(journal, planner(11))
    assert journal.read_bytes().startswith(text)
    assert set(first.rows) < set(table.rows)
    assert all(table.rows[shape].rounds == first.rows[shape].rounds for shape in first.rows)


@ort
def test_a_torn_last_line_is_cut_off_and_measured_again(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    collected(journal, planner())
    lines = journal.read_bytes().splitlines(keepends=True)
    kept = b"".join(lines[:6])
    journal.write_bytes(kept + lines[6][:-9])
    collected(journal, planner())
    assert journal.read_bytes().startswith(kept)
    assert planner().next(as_measured(journal)) == []
    for line in journal.read_text().splitlines():
        json.loads(line)


@ort
def test_a_journal_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    collected(journal, planner())
    text = journal.read_bytes()
    with pytest.raises(JournalError, match=r"journal.jsonl .* target batch 1, but 2 is asked"):
        collected(journal, planner(), batch=2)
    with pytest.raises(JournalError, match="protocol rounds 2, but 11 is asked for"):
        collected(journal, planner(), Protocol())
    assert journal.read_bytes() == text


def other_journal(path: Path) -> Journal:
    target = Target(
        device="d", runtime="r", runtime_version="1", precision="fp32", batch=1, threads=1
    )
    return Journal(path, target, NETWORK, FAST)


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "{}",
        "not json",
        '{"kind": "surprise"}',
        '{"kind": "row", "geometry": "block:1x1/1,identity", "widths": [1]}',
        '{"kind": "session", "level": 1.0, "values": ["x"]}',
        '{"kind": "session", "level": -1.0, "values": [1.0]}',
        '{"kind": "row", "geometry": "head:4x4,3", "widths": [1], "median": 1.0, "lo": 1.0, '
        '"hi": 1.0, "rounds": [1.0], "flags": [], "session": 3}',
    ],
)
def test_a_damaged_line_inside_a_journal_is_an_error_that_names_it(
    line: str, tmp_path: Path
) -> None:
    path = tmp_path / "journal.jsonl"
    other_journal(path)
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(JournalError, match=r"journal.jsonl, line 3"):
        other_journal(path)


@pytest.mark.parametrize("text", ["[]\n", "{}\n", "results\n", "no end of line", "first\nsecond"])
def test_a_file_that_is_no_journal_is_not_overwritten(text: str, tmp_path: Path) -> None:
    path = tmp_path / "precious.txt"
    path.write_text(text)
    with pytest.raises(JournalError, match="not a measuring journal"):
        other_journal(path)
    assert path.read_text() == text


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def test_a_torn_first_line_starts_the_journal_anew(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    other_journal(path)
    whole = path.read_bytes()
    header = whole.index(b"\n")
    for torn in (0, header - 20, header, header + 1, len(whole) - 1):
        path.write_bytes(whole[:torn])
        other_journal(path)
        assert path.read_bytes() == whole


@ort
def test_rows_measured_before_a_kill_are_kept_byte_for_byte(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-c", COLLECT, str(Path(__file__).parent), str(journal)],
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    with process:
        wait_for(
            lambda: journal.exists() and len(rows_of(journal.read_bytes())) >= ALIVE,
            "no session was journalled",
        )
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    before = journal.read_bytes()
    whole = before[: before.rfind(b"\n") + 1]
    kept = {json.dumps(row["widths"]) + row["geometry"]: row for row in rows_of(whole)}
    wanted = planner(24)
    assert len(kept) >= ALIVE

    table = collected(journal, wanted)
    assert journal.read_bytes().startswith(whole)
    assert wanted.next(as_measured(journal)) == []
    assert len(table.networks) == 4
    after = rows_of(journal.read_bytes())
    assert len(after) == len(table.rows) > len(kept)
    for shape, found in table.rows.items():
        row = kept.get(json.dumps(list(shape.widths)) + shape.geometry)
        assert row is None or tuple(row["rounds"]) == found.rounds


def rows_of(data: bytes) -> list[dict[str, Any]]:
    whole = data[: data.rfind(b"\n") + 1]
    lines = [json.loads(line) for line in whole.decode().splitlines()]
    return [line for line in lines if line.get("kind") == "row"]


@ort
def test_finalists_are_compared_in_one_run() -> None:
    models = {
        "small": Whole(NETWORK, NETWORK.uniform(0.25)),
        "large": Whole(NETWORK, NETWORK.dense()),
    }
    target = load("onnxruntime").target("fp32", 1, 1)
    found = compare(target, models, Protocol(rounds=3, round_ms=2.0, repeats=0))
    assert set(found) == {"small", "large"}
    assert len(found["small"].rounds) == 3
    assert min(found["small"].rounds) < min(found["large"].rounds)


def test_batches_keep_everything_in_order_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "free_bytes", lambda: 24 << 30)
    items = list(range(100))
    cut = list(batches(items, lambda item: 1))
    assert [item for batch in cut for item in batch] == items
    assert max(map(len, cut)) <= ALIVE
    assert max(map(len, cut)) - min(map(len, cut)) <= 2  # none so small that it is alone
    heavy = list(batches(items[:5], lambda item: 800_000_000))
    assert list(map(len, heavy)) == [1] * 5
    assert list(batches([], lambda item: 1)) == []


def test_a_machine_with_little_memory_gets_smaller_sessions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    items = list(range(40))
    monkeypatch.setattr(batching, "free_bytes", lambda: 24 << 30)
    roomy = list(batches(items, lambda item: 10_000_000))
    monkeypatch.setattr(batching, "free_bytes", lambda: 2 << 30)
    narrow = list(batches(items, lambda item: 10_000_000))
    assert len(roomy) == 1
    assert len(narrow) > 3


def test_the_sentinel_is_the_network_at_half_of_its_widths() -> None:
    assert sentinel_of(NETWORK) == Whole(NETWORK, NETWORK.uniform(0.5))
