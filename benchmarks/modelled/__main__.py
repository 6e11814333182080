"""Modelled tables: their stairs, their fit, and searches that know them.

    python -m benchmarks.modelled [--device t4 --precision int8 --batch 8] [--quick]

Prints tables, and writes JSON and a plot to `benchmarks/results/modelled-TARGET.*`. Nothing in it
is measured on a GPU, and every figure is labelled `modelled`.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.latency.output import RESULTS, show, text, write_json, write_png
from benchmarks.modelled.plot import figure
from benchmarks.modelled.searches import WAYS, compare, modelled_ms, summary
from benchmarks.modelled.steps import CASES, Stairs, stairs
from latency_tables.predict import Predictor
from latency_tables.table import PRECISIONS, STAMP
from profiler.modelled.gpus import GPUS
from profiler.plan import Goals
from service.console import say
from service.table_build import Request, build

FULL = ((0.9, 0.8), 8, 800)
"""Shares of the latency, seeds, evaluations."""
QUICK = ((0.9,), 3, 200)
GOALS, QUICK_GOALS = Goals(networks_held_out=100), Goals(points_per_geometry=60)


def table_of(device: str, precision: str, batch: int, goals: Goals) -> Predictor:
    """A modelled table of ResNet50 at 224, as `stairprune table build` makes it."""
    request = Request(
        network="resnet50",
        resolution=224,
        backend="modelled",
        device=device,
        precision=precision,
        batch=batch,
        threads=1,
        lowest=0.125,
        goals=goals,
        rounds=3,
    )
    with tempfile.TemporaryDirectory() as folder:
        return Predictor(build(request, Path(folder) / "table.json"))


def searched(
    predictor: Predictor, name: str, shares: tuple[float, ...], seeds: int, evaluations: int
) -> dict[str, Any]:
    """All searches on one table."""
    dense = predictor.table.network.dense()
    result: dict[str, Any] = {
        "target": str(predictor.table.target),
        "label": name,
        "origin": predictor.table.target.origin,
        "points": len(predictor.table.rows),
        "fit_against_model": asdict(predictor.held_out),
        "dense_modelled_ms": modelled_ms(predictor.table.target, predictor.table.network, dense),
        "evaluations": evaluations,
        "shares": [],
    }
    by_seed = []
    for seed in range(seeds):
        say(f"{name}: seed {seed + 1} of {seeds}")
        by_seed.append(compare(predictor, seed, shares=shares, evaluations=evaluations))
    for share, found in zip(shares, map(list, zip(*by_seed, strict=True)), strict=True):
        result["shares"].append(
            {
                "share": share,
                "summary": summary(found),
                "seeds": [{way: best[way].to_json() for way in WAYS} for best in found],
            }
        )
    return result


def _show_steps(found: list[Stairs]) -> None:
    rows = []
    for each in found:
        data = each.to_json()
        rows.append(
            [
                f"{each.device} {each.precision} b{each.batch}",
                str(data["shortest_run"]),
                str(data["longest_run"]),
                f"{data['highest_step_percent']:.0f} % behind {data['highest_step_behind']}",
            ]
        )
    columns = ("target", "shortest flat run", "longest", "highest step")
    show(f"stage3.1, both inner widths 1..256, {STAMP}", columns, rows)


def _show_searches(found: dict[str, Any]) -> None:
    rows = [
        [
            f"{found['label']}, {each['share']:.0%}, {other}",
            _between(figures["latency_ratio"], 3),
            _between(figures["macs_ratio"], 3),
            _between(figures["score_difference"], 4),
        ]
        for each in found["shares"]
        for other, figures in each["summary"].items()
    ]
    columns = ("search on modelled latency", "latency ratio", "MACs ratio", "oracle difference")
    show(f"means over seeds and 95 % intervals, {STAMP}", columns, rows)


def _between(figures: dict[str, float], digits: int) -> str:
    mean, low, high = (text(figures[key], digits) for key in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.modelled", description=__doc__)
    parser.add_argument("--device", choices=tuple(GPUS), default="a100")
    parser.add_argument("--precision", choices=PRECISIONS, default="int8")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--quick", action="store_true", help="fewer seeds and points: 20 seconds")
    parser.add_argument("--out", type=Path, help="JSON file; the plot beside it ends in .png")
    given = parser.parse_args()
    name = f"{given.device}-{given.precision}-b{given.batch}"
    out = given.out or RESULTS / f"modelled-{name}.json"
    stepped = [stairs(*case) for case in CASES]
    _show_steps(stepped)
    say(f"{name}: computing a table")
    goals = QUICK_GOALS if given.quick else GOALS
    predictor = table_of(given.device, given.precision, given.batch, goals)
    found = searched(predictor, name, *(QUICK if given.quick else FULL))
    _show_searches(found)
    result = {"stamp": STAMP, "steps": [s.to_json() for s in stepped], "searches": found}
    write_json(out, result)
    write_png(out.with_suffix(".png"), figure(result))


if __name__ == "__main__":
    main()
