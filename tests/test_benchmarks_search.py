"""The benchmark counts fairly, knows the optimum, and goes on where it stopped."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.search import __main__ as command
from benchmarks.search.budget import Budget, Spent
from benchmarks.search.cases import LIMITS, NETWORK, Case, Oracle, oracle, stepped
from benchmarks.search.methods import METHODS, Method, Ours
from benchmarks.search.optimum import solve
from benchmarks.search.overhead import overhead
from benchmarks.search.runs import Folder, Scale, best_after, first_above, measure
from benchmarks.search.summary import quartiles, summarise
from benchmarks.search.tables import decompose
from search.problem import Constraint, Floats, Problem
from supernet.arithmetic import Rows, encode, macs
from supernet.network import NetworkSpec
from supernet.space import SearchSpace

SMALL = NetworkSpec(depths=(1, 2), width=0.25, resolution=32, classes=10)


def small(evaluations: int = 60, *, pairwise: bool = True) -> Case:
    """Seven genes of three widths, half the MACs."""
    space = SearchSpace.from_ratios(SMALL, [0.25, 0.625, 1.0])

    def latency(rows: Rows) -> Floats:
        return np.asarray((-(-rows // 12)).sum(axis=1), dtype=np.float64)

    problem = Problem(
        space=space,
        metrics={"macs": lambda rows: macs(SMALL, rows), "latency_ms": latency},
        constraints=(
            Constraint(metric="macs", limit=0.5 * float(macs(SMALL, encode([SMALL.dense()]))[0])),
            Constraint(metric="latency_ms", limit=0.7 * float(latency(encode([SMALL.dense()]))[0])),
        ),
    )
    found = oracle(space, pairwise=pairwise, pairs=6)
    return Case(name="small", problem=problem, oracle=found, evaluations=evaluations)


@pytest.fixture
def case() -> Case:
    return small()


@pytest.mark.parametrize("pairwise", [False, True])
def test_the_solver_finds_the_optimum_of_a_listed_space(pairwise: bool) -> None:
    given = small(pairwise=pairwise)
    every = given.lattice.everything()
    best = given.oracle(every[given.feasible(every)]).max()
    found = solve(given)
    assert found.proved
    assert given.feasible(found.index).all()
    assert found.accuracy == pytest.approx(best, rel=1e-9)
    assert found.bound == pytest.approx(best, rel=1e-4)
    assert found.worst < 1e-12


def test_limits_are_sums_over_pairs_of_genes(case: Case) -> None:
    found = decompose(lambda index: stepped(NETWORK_CASE.lattice.rows(index)), NETWORK_CASE.lattice)
    assert found.worst < 1e-12
    assert 16 < len(found.pairs) < 40
    assert decompose(case.oracle, case.lattice).worst < 1e-9


NETWORK_CASE = Case(
    name="resnet50",
    problem=Problem(
        space=SearchSpace.from_ratios(NETWORK, [0.25, 0.5, 1.0]),
        metrics={"macs": lambda rows: macs(NETWORK, rows)},
        constraints=(Constraint(metric="macs", limit=LIMITS["macs"]),),
    ),
    oracle=Oracle(
        values=np.zeros((21, 3)),
        pairs=np.zeros((0, 2), dtype=np.int64),
        strength=np.zeros(0),
        shares=np.ones((21, 3)),
    ),
)


def test_a_budget_counts_all_and_keeps_the_best_feasible(case: Case) -> None:
    budget = Budget(case)
    smallest, largest = case.lattice.smallest(), case.lattice.largest()
    values = budget.score(np.concatenate([largest, smallest]))
    assert budget.trace == [-math.inf, values[1]]
    assert values[0] > values[1]
    assert budget.feasible == 1
    with pytest.raises(Spent):
        budget.score(np.repeat(smallest, 100, axis=0))
    assert len(budget.trace) == case.evaluations
    late = Budget(case, seconds=-1)
    with pytest.raises(Spent):
        late.check()
    assert late.late


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_every_method_spends_its_budget(method: Method) -> None:
    package = {"OFA EvolutionFinder": "ofa", "Nevergrad NGOpt": "nevergrad"}.get(method.name)
    if package:
        pytest.importorskip(package)
    given = small(120)
    run = measure(given, method, seed=0)
    assert run["evaluations"] == 120
    assert 0 < run["feasible"] <= 120
    values = [value for _, value in run["rises"]]
    assert values == sorted(set(values))
    assert values[-1] <= solve(given).accuracy + 1e-9
    if method.ours:
        assert run["feasible"] == 120


def test_runs_are_kept_and_a_changed_case_starts_anew(case: Case, tmp_path: Path) -> None:
    folder, calls = Folder(tmp_path), 0

    def counted(budget: Budget, seed: int) -> None:
        nonlocal calls
        calls += 1
        Ours("random")(budget, seed)

    method = Method(name="counted", what="", run=counted)
    first = folder.run(case, method, 0)
    assert folder.has(case, method, 0)
    assert Folder(tmp_path).run(case, method, 0) == first
    assert calls == 1
    changed = replace(case, evaluations=30)
    assert not folder.has(changed, method, 0)
    folder.run(changed, method, 0)
    assert calls == 2
    assert folder.optimum(case, 10) == folder.optimum(case, 10)


def test_figures_of_runs(case: Case) -> None:
    run = {"rises": [[1, 1.0], [5, 2.0], [9, 3.0]], "evaluations": 10, "feasible": 5,
           "cpu_seconds": 0.02, "out_of_time": False}  # fmt: skip
    never = {**run, "rises": [[2, 1.0]]}
    assert best_after(run, 8) == 2.0
    assert best_after(never, 1) == -math.inf
    assert first_above(run, 2.5) == 9
    scale = Scale(floor=1.0, top=3.0)
    found = summarise(case, scale, METHODS[0], [run, run, never])
    assert found["end"] == [0.0, 1.0, 1.0]
    assert found["reached_goal"] == 2
    assert found["evaluations_to_goal"] == [9.0, 9.0, math.inf]
    assert found["ms_per_evaluation"][1] == pytest.approx(2.0)
    assert quartiles([1.0, 2.0, math.inf]) == [1.0, 2.0, math.inf]


def test_overhead_tells_the_loop_from_the_searcher(case: Case) -> None:
    found = overhead(case, "random", 60)
    assert found["evaluations"] == 60
    assert found["loop_ms"] > 0
    assert found["searcher_ms"] > 0


def test_the_command_resumes_reports_and_names_what_it_knows(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "cases", lambda: {"small": case})
    out = tmp_path / "search.json"
    words = ["--methods", "random", "evolution", "--seeds", "2", "--runs", str(tmp_path / "runs")]
    folder = Folder(tmp_path / "runs")
    for name in ("random", "evolution"):
        method = next(m for m in METHODS if m.name == name)
        folder.run(case, method, 0)
    command.main([*words, "--report", "--out", str(out)])
    found = json.loads(out.read_text())
    assert [m["seeds"] for m in found["cases"][0]["methods"]] == [1, 1]
    assert found["cases"][0]["optimum"]["proved"]
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SystemExit, match=r"a method must be one of: predictor; .* 'magic'"):
        command.main(["--methods", "magic"])
