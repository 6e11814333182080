"""The search loop: same bytes whatever happens, and clear refusals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.feasibility import InfeasibleError
from search.history import History
from search.loop import run
from search.problem import Constraint, Problem, SearchError
from search.searcher import Evaluator, names
from search.store import Folder
from supernet.arithmetic import encode, macs
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.space import SearchSpace

NETWORK = NetworkSpec(depths=(1, 2), width=0.25, resolution=32, classes=10)
SPACE = SearchSpace.from_ratios(NETWORK, [0.25, 0.5, 0.75, 1.0], tied=False)
PROBLEM = Problem(
    space=SPACE,
    metrics={"macs": lambda rows: macs(NETWORK, rows)},
    constraints=(Constraint(metric="macs", limit=6e5),),
)
OPTIONS: dict[str, dict[str, Any]] = {
    "evolution": {"first": 12, "seeds": [SPACE.smallest()]},
    "nsga2": {"population": 12},
    "optuna": {"first": 12},
    "predictor": {"first": 12, "seeds": [SPACE.smallest()]},
    "random": {"near": 0.25},
    "two_stage": {"pool": 30, "banded": ["macs"]},
}


def score(config: ChannelConfig) -> float:
    return float(np.sqrt(encode([config])).sum())


def search(
    folder: Path,
    searcher: str = "evolution",
    evaluate: Evaluator = score,
    evaluations: int = 40,
    problem: Problem = PROBLEM,
    **options: Any,
) -> History:
    settings: dict[str, Any] = {"seed": 5, "generation": 9, **options}
    chosen = OPTIONS.get(searcher, {})
    return run(
        problem,
        searcher,
        chosen,
        evaluate,
        evaluations=evaluations,
        folder=folder,
        **settings,
    )


CHILD = """
import os, signal, sys
from pathlib import Path
import test_search_loop as here

folder, searcher, at, place = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
score = getattr(here, sys.argv[5])
calls = 0

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def evaluate(config):
    global calls
    calls += 1
    if place == "evaluate" and calls == at:
        die()
    with (folder.parent / "calls.txt").open("a") as file:
        file.write(repr(config) + "\\n")
    return score(config)

replace = Path.replace
saves = 0
def dying_replace(self, target):
    global saves
    saves += 1
    if place == "before-rename" and saves == at:
        die()
    result = replace(self, target)
    if place == "after-rename" and saves == at:
        die()
    return result

Path.replace = dying_replace
here.search(folder, searcher, evaluate)
"""


def killed(folder: Path, searcher: str, at: int, place: str, scorer: str = "score") -> int:
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    process = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder), searcher, str(at), place, scorer],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode in (0, -signal.SIGKILL), process.stderr
    return process.returncode


@pytest.mark.parametrize(
    ("place", "points"),
    [("evaluate", (1, 14, 30)), ("before-rename", (1, 3)), ("after-rename", (1, 4))],
)
def test_killed_at_several_points_the_bytes_are_the_same(
    tmp_path: Path, place: str, points: Sequence[int]
) -> None:
    search(tmp_path / "whole")
    for point in points:
        folder = tmp_path / f"{place}-{point}" / "search"
        folder.parent.mkdir()
        assert killed(folder, "evolution", point, place) == -signal.SIGKILL
        search(folder)
        assert (folder / "search.json").read_bytes() == (
            tmp_path / "whole" / "search.json"
        ).read_bytes()
        assert not (folder / "journal.jsonl").exists()


def test_what_was_scored_before_a_kill_is_not_scored_again(tmp_path: Path) -> None:
    folder = tmp_path / "search"
    assert killed(folder, "evolution", 14, "evaluate") == -signal.SIGKILL
    calls: list[ChannelConfig] = []

    def counted(config: ChannelConfig) -> float:
        calls.append(config)
        return score(config)

    history = search(folder, evaluate=counted)
    before = (tmp_path / "calls.txt").read_text().splitlines()
    assert len(before) == 13
    assert len(calls) == 40 - 13
    assert not set(before) & {repr(config) for config in calls}
    assert len(history.scored) == 40


@pytest.mark.parametrize("searcher", names())
@pytest.mark.parametrize("stop", [1, 8, 9, 10, 33])
def test_an_interrupted_search_goes_on(tmp_path: Path, searcher: str, stop: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "a", searcher, _interrupt_after(stop - 1))
    search(tmp_path / "a", searcher)
    search(tmp_path / "b", searcher)
    assert (tmp_path / "a/search.json").read_bytes() == (tmp_path / "b/search.json").read_bytes()


def test_a_torn_journal_line_is_forgotten(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "a", evaluate=_interrupt_after(4))
    journal = tmp_path / "a" / "journal.jsonl"
    data = journal.read_bytes()
    assert data.count(b"\n") == 4
    journal.write_bytes(data[:-9])
    search(tmp_path / "a")
    search(tmp_path / "b")
    assert (tmp_path / "a/search.json").read_bytes() == (tmp_path / "b/search.json").read_bytes()


def _interrupt_after(n: int) -> Evaluator:
    calls = 0

    def evaluate(config: ChannelConfig) -> float:
        nonlocal calls
        calls += 1
        if calls > n:
            raise KeyboardInterrupt
        return score(config)

    return evaluate


@pytest.mark.parametrize("workers", [1, 3])
def test_parallel_workers_change_nothing(tmp_path: Path, workers: int) -> None:
    with ThreadPoolExecutor(workers) as pool:

        def mapper(f: Evaluator, configs: Sequence[ChannelConfig]) -> Iterable[float]:
            return pool.map(f, configs)

        search(tmp_path / "a", mapper=mapper)
    search(tmp_path / "b")
    assert (tmp_path / "a/search.json").read_bytes() == (tmp_path / "b/search.json").read_bytes()


def test_a_finished_search_is_read_and_can_be_extended(tmp_path: Path) -> None:
    first = search(tmp_path / "a", evaluations=36)
    data = (tmp_path / "a/search.json").read_bytes()
    again = search(tmp_path / "a", evaluations=36, evaluate=_interrupt_after(0))
    assert again == first
    assert (tmp_path / "a/search.json").read_bytes() == data
    longer = search(tmp_path / "a", evaluations=72)
    assert longer.candidates[:36] == first.candidates
    assert longer == search(tmp_path / "b", evaluations=72)
    assert History.load(tmp_path / "a/search.json") == longer


def _change(problem: Problem, **changes: Any) -> Problem:
    return replace(problem, **changes)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"seed": 6}, "seed"),
        ({"generation": 10}, "generation"),
        ({"searcher": "random"}, "searcher"),
        ({"evaluator_id": "other checkpoint"}, "evaluator"),
        (
            {"problem": _change(PROBLEM, constraints=(Constraint(metric="macs", limit=5e5),))},
            "limits",
        ),
        (
            {"problem": _change(PROBLEM, metrics={"macs": lambda rows: 1.01 * rows.sum(axis=1)})},
            "costs",
        ),
        ({"problem": _change(PROBLEM, space=SPACE.narrowed({"stem": [4, 16]}))}, "choices"),
    ],
)
def test_a_folder_of_another_search_is_refused(
    tmp_path: Path, changes: dict[str, Any], key: str
) -> None:
    search(tmp_path)
    before = (tmp_path / "search.json").read_bytes()
    with pytest.raises(SearchError, match=f"holds another search: .*{key} is .*another folder"):
        search(tmp_path, **changes)
    assert (tmp_path / "search.json").read_bytes() == before


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "null", '{"schema": 2}', '{"schema": 1, "candidates": []}']
)
def test_a_file_that_is_no_search_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "search.json").write_text(text)
    with pytest.raises(SearchError, match=r"search\.json"):
        search(tmp_path)
    assert (tmp_path / "search.json").read_text() == text


def test_a_damaged_searcher_state_is_refused(tmp_path: Path) -> None:
    search(tmp_path, evaluations=9)
    data = json.loads((tmp_path / "search.json").read_text())
    for state in ({}, {**data["state"], "memory": 3}, {**data["state"], "best": [[1]]}):
        (tmp_path / "search.json").write_text(json.dumps({**data, "state": state}))
        with pytest.raises(SearchError, match="state is not its own"):
            search(tmp_path)


def sometimes(config: ChannelConfig) -> float:
    """Fails for a third of the configs, and is not a number for another."""
    number = int(encode([config]).sum()) % 3
    if number == 1:
        raise MemoryError(f"no room for <object at {id(config):#x}>")
    return score(config) if number else float("nan")


@pytest.mark.parametrize("searcher", names())
def test_what_fails_is_kept_with_its_reason_and_never_wins(tmp_path: Path, searcher: str) -> None:
    history = search(tmp_path, searcher, sometimes)
    assert len(history.scored) + len(history.failed) == 40
    assert {c.failure for c in history.failed} == {
        "MemoryError: no room for <object at 0x>",
        "an estimate must be finite, but got nan",
    }
    assert all(c.estimate is None for c in history.failed)
    assert history.best is not None
    assert history.best.estimate == max(score(c.config) for c in history.scored)
    assert History.load(tmp_path / "search.json") == history


@pytest.mark.parametrize("point", [1, 14, 30])
def test_failures_survive_a_kill(tmp_path: Path, point: int) -> None:
    folder = tmp_path / "killed" / "search"
    folder.parent.mkdir()
    assert killed(folder, "evolution", point, "evaluate", "sometimes") == -signal.SIGKILL
    search(folder, evaluate=sometimes)
    search(tmp_path / "whole", evaluate=sometimes)
    expected = (tmp_path / "whole" / "search.json").read_bytes()
    assert (folder / "search.json").read_bytes() == expected


def test_an_evaluator_that_always_fails_ends_the_search_and_can_be_mended(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match="each of the first 27 evaluations failed; the first: an"):
        search(tmp_path / "a", evaluate=lambda config: float("inf"))
    assert search(tmp_path / "a") == search(tmp_path / "b")


@given(st.binary(max_size=200))
def test_a_journal_of_anything_is_read_up_to_the_first_wrong_line(data: bytes) -> None:
    with TemporaryDirectory() as place:
        folder = Path(place) / "search"
        with pytest.raises(KeyboardInterrupt):
            search(folder, evaluations=9, evaluate=_interrupt_after(2))
        journal = folder / "journal.jsonl"
        whole = journal.read_bytes()
        journal.write_bytes(whole + data)
        files = Folder(folder)
        mark = json.loads((folder / "search.json").read_text())["fingerprint"]
        files.load(mark)
        assert len(files.outcomes) >= 2
        assert journal.read_bytes().startswith(whole)


def test_an_infeasible_search_evaluates_and_writes_nothing(tmp_path: Path) -> None:
    impossible = _change(PROBLEM, constraints=(Constraint(metric="macs", limit=10),))
    with pytest.raises(InfeasibleError):
        search(tmp_path / "a", problem=impossible)
    assert not (tmp_path / "a").exists()


def test_an_exhausted_space_ends_the_search(tmp_path: Path) -> None:
    tiny = SearchSpace.from_ratios(NETWORK, [0.5, 1.0])
    problem = Problem(space=tiny, metrics=PROBLEM.metrics, constraints=())
    history = search(tmp_path, "random", problem=problem, evaluations=1000, generation=50)
    assert len(history.scored) == 2 ** len(tiny.names)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    def nested(config: ChannelConfig) -> float:
        search(tmp_path)
        return 0.0

    with pytest.raises(SearchError, match="another process"):
        search(tmp_path, evaluate=nested)


def test_progress_tells_the_best_so_far(tmp_path: Path) -> None:
    notes: list[tuple[int, int, str]] = []
    progress: Callable[[int, int, str], None] = lambda *told: notes.append(told)  # noqa: E731
    history = search(tmp_path, progress=progress)
    assert [done for done, _, _ in notes] == [9, 18, 27, 36, 40]
    assert history.best is not None
    assert notes[-1][2].startswith(f"best {history.best.estimate:.6g}, 100% feasible")
