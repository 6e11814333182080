"""Every latency benchmark in turn: `python -m benchmarks.latency [TABLE] [--quick]`.

Without a table it takes a shipped one of this very device and runtime, and measures a new one where
there is none. Each benchmark prints a table and writes JSON to `benchmarks/results/`; they run one
after another, never beside each other.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from latency_tables.shipped import load, names
from latency_tables.table import TargetMismatchError
from profiler.backend import load as load_backend
from profiler.plan import Goals
from service.console import say
from service.table_build import Request, build

RESULTS = Path("benchmarks/results")
COMPUTED = ("rivals", "points")
MEASURED = ("fresh", "replay")
SMALL = Goals(points_per_geometry=40, chains=20, networks_fit=24, networks_held_out=16)


def table_here(quick: bool) -> str:
    """A table of this device, ONNX Runtime, fp32, batch 1, 1 thread."""
    target = load_backend("onnxruntime").target("fp32", 1, 1)
    for name in names():
        try:
            load(name).require(target)
        except TargetMismatchError:
            continue
        return name
    out = RESULTS / ("table-quick.json" if quick else "table.json")
    if not out.exists():
        say(f"no shipped table is of {target}; measuring one")
        out.parent.mkdir(parents=True, exist_ok=True)
        request = Request(
            network="resnet50",
            resolution=224,
            backend="onnxruntime",
            precision="fp32",
            batch=1,
            threads=1,
            lowest=0.125,
            goals=SMALL if quick else Goals(),
            rounds=7 if quick else 11,
        )
        build(request, out)
    return str(out)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", nargs="?", help="a table file, or the name of a shipped table")
    parser.add_argument("--quick", action="store_true", help="at most five minutes")
    given = parser.parse_args()
    table = given.table or table_here(given.quick)
    for name in (*COMPUTED, *MEASURED):
        say(f"benchmark {name} on {table}")
        command = [sys.executable, "-m", f"benchmarks.latency.{name}", table]
        out = RESULTS / f"latency-{name}{'-quick' if given.quick else ''}.json"
        subprocess.run([*command, "--out", str(out), *["--quick"] * given.quick], check=True)


if __name__ == "__main__":
    main()
