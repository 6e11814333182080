"""One run of one method on one case, and the folder that keeps finished runs.

A run is a JSON file of its own, named by case, method and seed and marked with what decided it, so
that a benchmark that was stopped goes on and one that was changed starts anew. Not run by itself;
see `benchmarks.search`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import time
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.search.budget import Budget, Spent
from benchmarks.search.cases import Case
from benchmarks.search.methods import Method
from benchmarks.search.optimum import Optimum, solve
from latency_tables.files import replace_with
from search.fingerprint import fingerprint

TIME_LIMIT = 600.0  # seconds of one run
CHECKPOINTS = (50, 100, 150, 200, 300, 400, 500, 600, 700, 800, 900, 1000)


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What a score is relative to: 0 is the median feasible config, 1 the optimum."""

    floor: float
    top: float

    def __call__(self, accuracy: float) -> float:
        """A score; -inf where nothing feasible was found."""
        return (accuracy - self.floor) / (self.top - self.floor)


class Folder:
    """Finished runs and solved cases under `path`."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path

    def run(self, case: Case, method: Method, seed: int) -> dict[str, Any]:
        """The run as it was kept, or as it is now made and kept."""
        file = self.path / f"{_slug(case.name)}--{_slug(method.name)}--{seed}.json"
        mark = _mark(case)
        if (found := _read(file, mark)) is None:
            found = {"mark": mark, **measure(case, method, seed)}
            _write(file, found)
        return found

    def has(self, case: Case, method: Method, seed: int) -> bool:
        """Whether the run is kept already."""
        file = self.path / f"{_slug(case.name)}--{_slug(method.name)}--{seed}.json"
        return _read(file, _mark(case)) is not None

    def optimum(self, case: Case, seconds: float) -> dict[str, Any]:
        """The case's optimum as it was kept, or as it is now found and kept."""
        file = self.path / f"{_slug(case.name)}--optimum.json"
        mark = _mark(case)
        if (found := _read(file, mark)) is None:
            started = time.perf_counter()
            best: Optimum = solve(case, seconds)
            found = {
                "mark": mark,
                "accuracy": best.accuracy,
                "bound": best.bound,
                "proved": best.proved,
                "worst_error_of_tables": best.worst,
                "feasible": bool(case.feasible(best.index)[0]),
                "seconds": time.perf_counter() - started,
            }
            _write(file, found)
        return found

    def overhead(self) -> list[dict[str, Any]]:
        """What the loop costs, as it was kept; empty before it was measured."""
        file = self.path / "overhead.json"
        found: list[dict[str, Any]] = (
            json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
        )
        return found

    def keep_overhead(self, found: list[dict[str, Any]]) -> None:
        """Keeps what the loop costs."""
        _write(self.path / "overhead.json", found)


def measure(case: Case, method: Method, seed: int) -> dict[str, Any]:
    """Spends a budget and says what came of it; accuracies at checkpoints, and every rise."""
    budget = Budget(case, TIME_LIMIT)
    started, cpu = time.perf_counter(), time.process_time()
    with contextlib.suppress(Spent):
        method.run(budget, seed)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    trace = np.array(budget.trace)
    rises = np.flatnonzero(trace > np.concatenate([[-math.inf], trace[:-1]]))
    return {
        "method": method.name,
        "case": case.name,
        "seed": seed,
        "evaluations": len(trace),
        "feasible": budget.feasible,
        "out_of_time": budget.late,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "rises": [[int(at) + 1, float(trace[at])] for at in rises],
    }


def best_after(run: dict[str, Any], evaluations: int) -> float:
    """Best feasible accuracy after so many evaluations; -inf before any."""
    reached = [value for at, value in run["rises"] if at <= evaluations]
    return max(reached, default=-math.inf)


def first_above(run: dict[str, Any], accuracy: float) -> float:
    """Evaluations until an accuracy was reached; inf where it never was."""
    return next((float(at) for at, value in run["rises"] if value >= accuracy), math.inf)


def versions() -> dict[str, str]:
    """Of the packages that took part."""
    found = {}
    for name in ("numpy", "scipy", "ofa", "pymoo", "optuna", "nevergrad"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


@cache
def _mark(case: Case) -> str:
    data = fingerprint(case.problem, "", {}, seed=0, generation=0, evaluator=_oracle(case))
    text = json.dumps([data, case.evaluations], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _oracle(case: Case) -> str:
    drawn = case.lattice.draw(np.random.default_rng(1), 16)
    return ",".join(f"{value:.9g}" for value in case.oracle(drawn))


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower())


def _read(file: Path, mark: str) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found if found["mark"] == mark else None


def _write(file: Path, data: Any) -> None:
    text = json.dumps(data) + "\n"
    replace_with(file, lambda place: place.write_text(text, encoding="utf-8"))
