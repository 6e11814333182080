"""Networks that nobody has seen, measured twice: does the table predict them, and do they repeat?

`python -m benchmarks.latency.fresh TABLE` draws random networks, half of them off the aligned
grid, and measures them in two fresh processes. It prints the prediction's error as measured and
with the machine brought to the table's level, and how far the two runs differ (A/A). Where
their 95 % quantile exceeds 3 %, the run is flagged: this machine repeats no better than that now.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from latency_tables.shipped import load
from profiler.machine import facts
from service.console import out
from service.replay import Replay, drawn, figures, replay
from service.replay_view import as_json, render
from supernet.arithmetic import encode

TOLERANCE = 3.0  # percent


def a_a(first: Replay, second: Replay) -> dict[str, Any]:
    """How far two runs of the same networks differ, each at its own level of the machine."""
    a = {row.name: row.measured_ms / first.level for row in first.rows}
    b = {row.name: row.measured_ms / second.level for row in second.rows}
    off = np.array([100 * abs(a[name] / b[name] - 1) for name in a])
    raw = np.array(
        [
            100 * abs(x.measured_ms / y.measured_ms - 1)
            for x, y in zip(first.rows, second.rows, strict=True)
        ]
    )
    p95 = float(np.quantile(off, 0.95))
    return {
        "networks": len(off),
        "p95_percent": p95,
        "median_percent": float(np.median(off)),
        "p95_without_level_percent": float(np.quantile(raw, 0.95)),
        "flagged": p95 > TOLERANCE,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", help="a table file, or the name of a shipped table")
    parser.add_argument("--networks", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="12 networks, fewer rounds")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/latency-fresh.json"))
    given = parser.parse_args()
    table = load(given.table)
    configs = drawn(table, 12 if given.quick else given.networks, given.seed)
    rounds = 5 if given.quick else 11
    runs = [replay(table, configs, rounds, seed) for seed in (0, 1)]
    out.print(render(runs[0]))
    repeated = a_a(*runs)
    aligned = sum(bool((encode([c]) % 8 == 0).all()) for c in configs.values())
    result = {
        "prediction": [figures(run) for run in runs],
        "a_a": repeated,
        "aligned_networks": aligned,
        "runs": [as_json(run) for run in runs],
        "machine": facts(),
        "table": table.fingerprint,
    }
    out.print_json(json.dumps({k: result[k] for k in ("prediction", "a_a", "aligned_networks")}))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
