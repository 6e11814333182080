"""Seconds to a proved optimum of ResNet50-224 under three limits, and to a proof that none exists.

`python -m benchmarks.search.exact [TABLE]`. Limits: 1.648 GMACs, 10.78 M params (Inspur's MLPerf
v0.7 entry) and a share of the dense latency by the table; oracle: additive and concave with random
weights. Compiling the space is part of every time. Beside it, on the smallest space, the
same problem as an integer program (a path through the same graph) by HiGHS.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array, vstack

from benchmarks.search.spaces import RESULTS, grid, machine, narrowed, oracle, problem, write
from latency_tables.predict import Predictor
from latency_tables.shipped import load
from search.exact.dual import Program
from search.exact.front import front
from search.exact.solve import Solver
from search.feasibility import InfeasibleError, check
from search.terms import tabulate
from supernet.space import SearchSpace

SEEDS = 5
PATIENCE = 120.0  # seconds that the integer program gets


def spaces(predictor: Predictor) -> Iterator[tuple[str, SearchSpace, float]]:
    """Name, space, and the target in seconds."""
    yield "8 widths, tied", grid(predictor, 8, 0.3), 2.0
    yield "8 widths, untied", grid(predictor, 8, 0.3, tied=False), 20.0
    yield "8 widths, untied, removable", grid(predictor, 8, 0.3, tied=False, removable=True), 20.0
    yield "stairs of 1/32, tied", narrowed(predictor), 60.0
    yield "31 widths, tied", grid(predictor, 31, 0.125), 60.0


def optimum(predictor: Predictor, space: SearchSpace, seed: int) -> dict[str, Any]:
    """One proved optimum."""
    start = time.perf_counter()
    solver = Solver(problem(predictor, space))
    edges, compiled = solver.chain.edges, time.perf_counter() - start
    found = solver.best(oracle(solver.lattice, seed))
    seconds = time.perf_counter() - start
    assert found is not None
    return {
        "seed": seed,
        "seconds": seconds,
        "compile_s": compiled,
        "edges": edges,
        "labels": found.labels,
        "value": found.value,
        "gap": found.gap,
        "proved": found.proved,
        "slack": found.slack,
        "shadow_prices": found.shadow_prices,
    }


def infeasible(predictor: Predictor, space: SearchSpace, kind: str) -> dict[str, Any]:
    """The time to a proof, with one limit out of reach alone, or several only together."""
    if kind == "alone":
        task = problem(predictor, space, latency=0.01)
    else:
        free = Solver(problem(predictor, space, macs=1e12, params=1e12, latency=100.0))
        least = {m: free.reachable(m)[0] for m in ("macs", "params", "latency_ms")}
        fast = free.lattice.rows(free.reachable("latency_ms")[1])
        cost = {m: float(free.problem.metrics[m](fast)[0]) for m in least}
        dense = free.problem.constraints[2].limit / 100
        between = 0.9 * least["macs"] + 0.1 * cost["macs"]
        if cost["macs"] <= least["macs"] * (1 + 1e-9):
            return {"kind": kind, "seconds": None, "message": "one config is least in every metric"}
        task = problem(
            predictor, space, macs=between, latency=least["latency_ms"] * (1 + 1e-6) / dense
        )
    start = time.perf_counter()
    try:
        check(task)
    except InfeasibleError as error:
        seconds = time.perf_counter() - start
        return {"kind": kind, "seconds": seconds, "message": str(error)[:300]}
    raise AssertionError("a budget meant to be out of reach was met")


def integer_program(predictor: Predictor, space: SearchSpace, seed: int) -> dict[str, Any]:
    """The same optimum by HiGHS: one unit flows through the graph, one variable per edge."""
    solver = Solver(problem(predictor, space))
    terms = tabulate(oracle(solver.lattice, seed), solver.lattice)
    assert terms is not None
    gain = [
        terms.cost[scope.number][layer.cell, 0]
        for scope, layer in zip(solver.chain.scopes, solver.chain.layers, strict=True)
    ]
    task, _ = solver.program(gain)
    flow, at = _flow(task)
    start = time.perf_counter()
    found = milp(
        -np.concatenate(task.gain),
        constraints=[
            LinearConstraint(flow, at, at),
            LinearConstraint(csr_array(np.concatenate(task.use).T), ub=task.limit),
        ],
        bounds=Bounds(0, 1),
        integrality=np.ones(flow.shape[1]),
        options={"time_limit": PATIENCE, "mip_rel_gap": 0.0},
    )
    return {
        "seed": seed,
        "seconds": time.perf_counter() - start,
        "value": None if found.fun is None else -float(found.fun),
        "proved": bool(found.status == 0),
    }


def _flow(task: Program) -> tuple[Any, Any]:
    """Conservation of flow at every state but the last, and what enters: 1 at the first."""
    layers = task.chain.layers
    edges = sum(len(layer.source) for layer in layers)
    blocks, first = [], 0
    for number, layer in enumerate(layers):
        columns = np.arange(first, first + len(layer.source))
        ones = np.ones(len(columns))
        block = csr_array((ones, (layer.source, columns)), shape=(len(layer.starts), edges))
        if number:
            before = layers[number - 1]
            columns = np.arange(first - len(before.source), first)
            ones = np.ones(len(columns))
            block = block - csr_array((ones, (before.target, columns)), shape=block.shape)
        blocks.append(block)
        first += len(layer.source)
    at = np.zeros(sum(len(layer.starts) for layer in layers))
    at[0] = 1
    return vstack(blocks), at


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", nargs="?", default="resnet50-224-ort-fp32-1t-epyc")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--out", type=Path, default=RESULTS / "search-exact.json")
    given = parser.parse_args()
    predictor = Predictor(load(given.table))
    shown = Table(title=f"proved optima under three limits, {given.table}")
    for column in ("space", "configs", "median s", "slowest s", "target s", "proved", "no: s"):
        shown.add_column(column, justify="right")
    cases = []
    for name, space, target in spaces(predictor):
        runs = [optimum(predictor, space, seed) for seed in range(given.seeds)]
        none = [infeasible(predictor, space, kind) for kind in ("alone", "together")]
        case = {
            "space": name,
            "log10_size": space.log10_size,
            "target_s": target,
            "runs": runs,
            "infeasible": none,
        }
        seconds = [run["seconds"] for run in runs]
        shown.add_row(
            name,
            f"10^{space.log10_size:.1f}",
            f"{np.median(seconds):.2f}",
            f"{max(seconds):.2f}",
            f"{target:g}",
            f"{sum(run['proved'] for run in runs)}/{len(runs)}",
            ", ".join("-" if n["seconds"] is None else f"{n['seconds']:.3f}" for n in none),
        )
        cases.append(case)
    small = next(spaces(predictor))[1]
    rival = [integer_program(predictor, small, seed) for seed in range(min(2, given.seeds))]
    solver = Solver(problem(predictor, small))
    start = time.perf_counter()
    points = front(solver, oracle(solver.lattice, 0), "latency_ms", step=0.01)
    line = {"step": 0.01, "points": len(points), "seconds": time.perf_counter() - start}
    console = Console(width=110)
    console.print(shown)
    console.print(f"front of 8 widths, tied: {line}")
    console.print(f"HiGHS on 8 widths, tied: {rival}")
    write(
        given.out,
        {
            "machine": machine(),
            "table": given.table,
            "cases": cases,
            "front": line,
            "highs": rival,
        },
    )


if __name__ == "__main__":
    main()
