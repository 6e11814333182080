"""Models that take the measuring process down: found, left out and told; nothing else is lost."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiler_dying_worker import BREAKS, DIES, ONCE, SHORT_OF_MEMORY
from test_profiler_collect import FAST, NETWORK, SPACE

from latency_tables.table import Measurement
from profiler import session
from profiler.backend import BackendError, BrokenError, OutOfMemoryError, load
from profiler.collect import collect, compare
from profiler.journal import Journal, JournalError
from profiler.models import Model, piece
from profiler.plan import Goals, Planner
from profiler.recovery import ATTEMPTS, Lost, persistently, surely
from supernet.shapes import BlockShape, Shape

ort = pytest.mark.skipif(
    load("onnxruntime").unavailable() is not None, reason="onnxruntime is not installed"
)


def fine() -> None:
    """A probe of a device that is well."""


@given(
    st.lists(st.integers(0, 99), unique=True, min_size=1, max_size=40),
    st.sets(st.integers(0, 99)),
    st.sampled_from([BrokenError, OutOfMemoryError]),
)
def test_exactly_the_guilty_are_lost_and_everything_else_is_kept_once(
    items: list[int], guilty: set[int], kind: type[BackendError]
) -> None:
    kept: list[int] = []

    def run(some: Sequence[int]) -> None:
        if bad := guilty.intersection(some):
            raise kind(f"{min(bad)} broke it")
        kept.extend(some)

    lost = surely(items, run, fine)
    assert {found.item for found in lost} == guilty.intersection(items)
    assert sorted(kept) == sorted(set(items) - guilty)
    assert all(found.reason == f"{found.item} broke it" for found in lost)


@given(st.integers(2, 12), st.integers(1, ATTEMPTS - 1))
def test_chance_is_given_fresh_processes_before_anyone_is_blamed(count: int, times: int) -> None:
    left = [times]

    def run(some: Sequence[int]) -> None:
        if left[0]:
            left[0] -= 1
            raise BrokenError("by chance")

    assert surely(list(range(count)), run, fine) == []


def test_what_holds_only_in_halves_is_measured_in_halves() -> None:
    kept: list[int] = []

    def run(some: Sequence[int]) -> None:
        if len(some) > 3:
            raise OutOfMemoryError("too many")
        kept.extend(some)

    assert surely(list(range(10)), run, fine) == []
    assert kept == list(range(10))


def test_a_broken_device_blames_nobody() -> None:
    def broken(*some: object) -> None:
        raise BrokenError("the GPU has fallen off the bus")

    with pytest.raises(BrokenError, match="fallen off the bus"):
        surely([1, 2, 3], broken, broken)


def test_other_errors_are_not_tried_again() -> None:
    calls = []

    def refused() -> None:
        calls.append(1)
        raise BackendError("no such layer")

    with pytest.raises(BackendError, match="no such layer"):
        persistently(refused)
    with pytest.raises(BackendError, match="no such layer"):
        surely([1, 2], lambda some: refused(), fine)
    assert len(calls) == 2


class Narrow(Planner):
    """Asks for these blocks beside its networks and chains, and for nothing else."""

    wanted: tuple[Shape, ...] = ()

    def next(self, rows: Mapping[Shape, Measurement], lost: object = ()) -> list[Shape]:
        assert isinstance(lost, dict)
        return [s for s in self.wanted if s not in rows and s not in lost]


def narrow(*widths: int) -> Narrow:
    goals = Goals(points_per_geometry=2, chains=1, networks_fit=1, networks_held_out=1)
    found = Narrow(SPACE, goals)
    found.wanted = tuple(BlockShape(8, 1, "identity", 16, w, w, 16) for w in widths)
    return found


@pytest.fixture
def dying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Real measuring processes that die; returns the file that kills the next one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    script = Path(__file__).parent / "profiler_dying_worker.py"
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    monkeypatch.setattr(session, "COMMAND", (sys.executable, str(script)))
    monkeypatch.setenv(ONCE, str(tmp_path / "once"))
    return tmp_path / "once"


@ort
def test_rows_that_kill_the_process_are_left_out_of_a_table_and_told(
    dying: Path, tmp_path: Path
) -> None:
    path, notes = tmp_path / "journal.jsonl", list[str]()
    target = load("onnxruntime").target("fp32", 1, 1)
    planner = narrow(4, 5, DIES, 6, SHORT_OF_MEMORY, 8)
    good = {shape for shape in planner.wanted if shape.widths[1] in (4, 5, 6, 8)}
    table = collect(target, NETWORK, planner, path, FAST, lambda d, t, note: notes.append(note))
    assert set(table.rows) == good
    assert len(table.networks) == 2
    lost = {tuple(found["widths"]): found["reason"] for found in table.protocol["lost"]}
    assert lost.keys() == {(16, DIES, DIES, 16), (16, SHORT_OF_MEMORY, SHORT_OF_MEMORY, 16)}
    assert "exit code -9" in lost[(16, DIES, DIES, 16)]
    assert "out of memory" in lost[(16, SHORT_OF_MEMORY, SHORT_OF_MEMORY, 16)]
    assert sum("left out" in note for note in notes) == 2
    # a later run knows them, and measures nothing again
    before = path.read_bytes()
    assert collect(target, NETWORK, planner, path, FAST).dumps() == table.dumps()
    assert path.read_bytes() == before
    assert set(Journal(path, target, NETWORK, FAST).lost) == set(planner.wanted) - good


@ort
def test_a_process_that_dies_once_costs_nothing_but_time(dying: Path, tmp_path: Path) -> None:
    dying.touch()
    target = load("onnxruntime").target("fp32", 1, 1)
    planner = narrow(4, 5)
    table = collect(target, NETWORK, planner, tmp_path / "journal.jsonl", FAST)
    assert not dying.exists()
    assert set(table.rows) == set(planner.wanted)
    assert "lost" not in table.protocol


@ort
def test_a_comparison_names_the_models_that_break_it(dying: Path) -> None:
    target = load("onnxruntime").target("fp32", 1, 1)
    models: dict[str, Model] = {
        f"w{w}": piece(BlockShape(8, 1, "identity", 16, w, w, 16)) for w in (4, BREAKS, 8)
    }
    with pytest.raises(BrokenError, match=rf"illegal memory .*that break it: w{BREAKS}$"):
        compare(target, models, FAST)
    del models[f"w{BREAKS}"]
    dying.touch()
    assert set(compare(target, models, FAST)) == set(models)


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        ({}, {}, True),
        ({"gpu_uuid": "GPU-1"}, {"gpu_uuid": "GPU-1"}, True),
        ({"gpu_uuid": "GPU-1"}, {"gpu_uuid": "GPU-2"}, False),
        ({"clocks": "locked at 1095 MHz"}, {"clocks": "locked at 1095 MHz"}, True),
        ({"clocks": "locked at 1095 MHz"}, {"clocks": "locked at 1410 MHz"}, False),
        ({"clocks": "locked at 1095 MHz"}, {"clocks": "not locked: refused"}, False),
        ({"clocks": "not locked: refused"}, {"clocks": "not locked: no NVML"}, True),
    ],
)
def test_a_journal_holds_sessions_of_one_gpu_at_one_clock(
    before: dict[str, str], now: dict[str, str], same: bool, tmp_path: Path
) -> None:
    target = load("onnxruntime").target("fp32", 1, 1)
    path = tmp_path / "j.jsonl"
    Journal(path, replace(target, details=before), NETWORK, FAST)
    if same:
        Journal(path, replace(target, details=now), NETWORK, FAST)
        return
    with pytest.raises(JournalError, match=r"was measured with (gpu_uuid|clocks) .* now"):
        Journal(path, replace(target, details=now), NETWORK, FAST)


def test_losses_of_every_kind_survive_the_journal(tmp_path: Path) -> None:
    target = load("onnxruntime").target("fp32", 1, 1)
    planner = narrow(4)
    book = Journal(tmp_path / "j.jsonl", target, NETWORK, FAST)
    every = [planner.wanted[0], planner.chains[0], planner.networks[0][0]]
    for what in every:
        book.lose(what, "it\ndied")
        assert book.lost[what] == "it died"
    again = Journal(tmp_path / "j.jsonl", target, NETWORK, FAST)
    assert again.lost == dict.fromkeys(every, "it died")
    assert Lost(1, "a") == Lost(1, "a")
