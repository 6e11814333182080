"""All published configs, what snapping makes of two of them, and a found one, in one run.

`python -m benchmarks.latency.replay TABLE` measures them interleaved on this machine, against the
table's predictions, and writes JSON. What it shows: how much of its MACs ratio each config gets
as speed-up; that widths moved to right edges cost no latency; what the search finds instead.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.latency.found import found_config
from latency_tables.predict import Predictor
from latency_tables.shipped import load
from latency_tables.snap import snap
from latency_tables.table import LatencyTable
from profiler.machine import facts
from service.console import out
from service.replay import Replay, published, replay
from service.replay_view import as_json, render
from supernet.config import ChannelConfig

SNAPPED = ("metapruning-2g", "dmcp-2g")
SPEED_UP = 2.55
"""Asked of the found config; its MACs ratio is 2.48."""


def configs_of(table: LatencyTable, evaluations: int) -> dict[str, ChannelConfig]:
    """Everything that is measured, by name."""
    predictor = Predictor(table)
    configs = published(table)
    for name in SNAPPED:
        configs[f"{name}-snapped"] = snap(configs[name], predictor).config
    configs["found"] = found_config(predictor, SPEED_UP, evaluations)
    dense = table.network.dense()
    return {name: config for name, config in configs.items() if config != dense}


def claims(replayed: Replay) -> dict[str, Any]:
    """The figures that this benchmark is about."""
    rows = {row.name: row for row in replayed.rows}
    result: dict[str, Any] = {
        "efficiency": {name: row.efficiency for name, row in rows.items() if name != "dense"}
    }
    for name in SNAPPED:
        before, after = rows[name], rows[f"{name}-snapped"]
        result[f"{name} snapped"] = {
            "more_macs_percent": 100 * (after.macs / before.macs - 1),
            "latency_ratio": after.measured_ms / before.measured_ms,
            "not_slower": after.lo_ms <= before.hi_ms,
        }
    found = rows["found"]
    result["found"] = {
        "macs": found.macs,
        "params": found.params,
        "macs_ratio": found.macs_ratio,
        "speed_up": found.speed_up,
    }
    return result


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", help="a table file, or the name of a shipped table")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, a shorter search")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/latency-replay.json"))
    given = parser.parse_args()
    table = load(given.table)
    configs = configs_of(table, 1000 if given.quick else 20_000)
    replayed = replay(table, configs, 7 if given.quick else 21)
    out.print(render(replayed))
    shown = claims(replayed)
    out.print_json(json.dumps(shown))
    result = {
        **as_json(replayed),
        "claims": shown,
        "machine": facts(),
        "table": table.fingerprint,
        "configs": {name: config.to_json() for name, config in configs.items()},
        "target": asdict(table.target),
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
