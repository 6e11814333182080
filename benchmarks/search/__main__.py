"""Searchers side by side: `python -m benchmarks.search [--quick]`.

Every method gets the same cases (`benchmarks.search.cases`), the same number of evaluations and
seeds. Printed and written: median and quartiles over seeds of the score (0 is the median feasible
config, 1 the optimum or, where it is not proved, the best known), evaluations to 0.99, share
feasible, CPU milliseconds per evaluation; and what the search loop itself costs. Finished runs are
kept in `--runs`: the same command goes on after an interruption, `--seconds` stops it in time and
`--report` only writes what there is.

The oracles are smooth sums over genes and pairs of genes, without noise, which is also what our
predictor fits: its lead here is that of a model which suits its object. Does not know how well a
supernet's estimates suit it.

    python -m benchmarks.search [--quick] [--cases NAME ...] [--methods NAME ...] [--seeds N]
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.latency.output import RESULTS, show, text, write_json, write_png
from benchmarks.search.cases import Case, cases
from benchmarks.search.methods import METHODS, Method
from benchmarks.search.overhead import overhead
from benchmarks.search.plot import figure
from benchmarks.search.runs import Folder, Scale, versions
from benchmarks.search.summary import best_known, summarise
from service.console import say

KEPT = Path("runs") / "search-benchmark"
SEEDS, QUICK_SEEDS = 10, 3
SOLVER_SECONDS = 100.0
COLUMNS = (
    "method",
    "at 200",
    "at 400",
    "at end (quartiles)",
    "evaluations to 0.99",
    "reached",
    "feasible %",
    "ms/evaluation",
)


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    found = argparse.ArgumentParser(
        prog="python -m benchmarks.search",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.add_argument("--quick", action="store_true", help="3 seeds, without the slow methods")
    found.add_argument("--cases", nargs="+", metavar="NAME", help="only these cases")
    found.add_argument("--methods", nargs="+", metavar="NAME", help="only these methods")
    found.add_argument("--seeds", type=int, help="how many seeds (default: 10, quick: 3)")
    found.add_argument("--jobs", type=int, default=1, help="runs at once (default: %(default)s)")
    found.add_argument("--seconds", type=float, help="start no run after so many seconds")
    found.add_argument("--report", action="store_true", help="only write what there is")
    found.add_argument("--runs", type=Path, default=KEPT, help="folder (default: %(default)s)")
    found.add_argument(
        "--out", type=Path, default=RESULTS / "search.json", help="JSON (default: %(default)s)"
    )
    return found


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    options = parser().parse_args(arguments)
    folder, every = Folder(options.runs), cases()
    chosen = [every[name] for name in _known(options.cases, list(every), "case")]
    names = _known(options.methods, [m.name for m in METHODS], "method")
    methods = [m for m in METHODS if m.name in names and not (options.quick and m.slow)]
    seeds = options.seeds or (QUICK_SEEDS if options.quick else SEEDS)
    if not options.report:
        _fill(options, folder, chosen, methods, seeds)
    result = report(folder, chosen, methods, seeds)
    write_json(options.out, result)
    write_png(options.out.with_suffix(".png"), figure(result))
    for case in result["cases"]:
        proof = "proved" if case["optimum"]["proved"] else "best known"
        title = f"{case['name']}: score 1 is {case['top']:.4f} ({proof})"
        show(title, COLUMNS, [cells(found) for found in case["methods"]])


def report(
    folder: Folder, chosen: Sequence[Case], methods: Sequence[Method], seeds: int
) -> dict[str, Any]:
    """Figures of all finished runs, ready for JSON."""
    found = []
    for case in chosen:
        runs = {
            m.name: [folder.run(case, m, s) for s in range(seeds) if folder.has(case, m, s)]
            for m in methods
        }
        optimum = folder.optimum(case, SOLVER_SECONDS)
        top = best_known(optimum, [r for rs in runs.values() for r in rs], case.evaluations)
        scale = Scale(floor=case.floor, top=top)
        found.append(
            {
                "name": case.name,
                "evaluations": case.evaluations,
                "floor": scale.floor,
                "top": scale.top,
                "optimum": {k: v for k, v in optimum.items() if k != "mark"},
                "bound_score": scale(optimum["bound"]),
                "methods": [
                    summarise(case, scale, m, runs[m.name]) for m in methods if runs[m.name]
                ],
            }
        )
    return {
        "benchmark": "search",
        "machine": platform.processor() or platform.machine(),
        "packages": versions(),
        "cases": found,
        "overhead": folder.overhead(),
    }


def cells(found: dict[str, Any]) -> list[str]:
    """One line of the printed table."""
    low, middle, high = found["end"]
    return [
        f"{found['method']}{'' if found['ours'] else ' (peer)'}",
        *(text(found["score"].get(str(n), [0, None])[1], 3) for n in (200, 400)),
        f"{text(middle, 3)} ({text(low, 3)}..{text(high, 3)})",
        text(found["evaluations_to_goal"][1], 0),
        f"{found['reached_goal']}/{found['seeds']}",
        text(100 * found["share_feasible"][1], 0),
        text(found["ms_per_evaluation"][1], 2),
    ]


def _fill(
    options: argparse.Namespace,
    folder: Folder,
    chosen: Sequence[Case],
    methods: Sequence[Method],
    seeds: int,
) -> None:
    """Makes the runs that are missing, seed by seed, until all are there or the time is over."""
    started = time.monotonic()
    todo = [
        (str(folder.path), case.name, method.name, seed)
        for seed in range(seeds)
        for case in chosen
        for method in methods
        if not folder.has(case, method, seed)
    ]
    with ProcessPoolExecutor(options.jobs) as pool:
        for at in range(0, len(todo), options.jobs):
            if options.seconds and time.monotonic() - started > options.seconds:
                say(f"{len(todo) - at} runs are left; the same command goes on with them")
                return
            for line in pool.map(_one, todo[at : at + options.jobs]):
                say(line)
    if not folder.overhead():
        case = chosen[0]
        ours = [m.name for m in methods if m.ours and not m.slow]
        folder.keep_overhead([overhead(case, name, case.evaluations) for name in ours])


def _one(task: tuple[str, str, str, int]) -> str:
    path, case_name, method_name, seed = task
    case = cases()[case_name]
    method = next(m for m in METHODS if m.name == method_name)
    run = Folder(Path(path)).run(case, method, seed)
    return f"{case_name}, {method_name}, seed {seed}: {run['seconds']:.1f} s"


def _known(given: list[str] | None, known: list[str], what: str) -> list[str]:
    if wrong := [name for name in given or [] if name not in known]:
        raise SystemExit(f"a {what} must be one of: {'; '.join(known)}; but got {wrong[0]!r}")
    return given or known


if __name__ == "__main__":
    main()
