"""A run's result in a few lines for a terminal."""

from __future__ import annotations

import json
from typing import Any

from rich.table import Table

from service.job import Job
from service.verdict import caveat


def summarise(report: dict[str, Any]) -> Table:
    """Dense, uniform and found networks side by side."""
    budget = report["budget"]
    limits = ", ".join(f"{name} <= {value:,.6g}" for name, value in budget.items() if value)
    held = report["table"]
    caption = (
        f"table: {held['points']} shapes, {held['mape_percent']:.1f} % mean error on "
        f"networks never fitted, {held['within_10_percent']:.0f} % of them within 10 %"
    )
    if note := report.get("caveat") or report.get("stamp"):  # older reports have neither
        caption += f"\n{note}"
    if elsewhere := report.get("elsewhere"):
        caption += f"\n{elsewhere}"
    table = Table(title=f"{report['name']}: {limits}", caption=caption)
    for column in (
        "network",
        "MACs",
        "params",
        "latency ms",
        "predicted",
        "test accuracy",
        "meets",
    ):
        table.add_column(column, justify="left" if column == "network" else "right")
    further = list(report["dense"].get("further", {}))
    for metric in further:
        table.add_column(metric.replace("latency_ms:", "ms, "), justify="right")
    for entry in (report["dense"], report["uniform"], *report["found"]):
        latency, accuracy = entry["latency_ms"], entry["accuracy"]
        table.add_row(
            entry["name"],
            f"{entry['macs']:,}",
            f"{entry['params']:,}",
            f"{latency['measured']:.3f} ({latency['lo']:.3f}..{latency['hi']:.3f})",
            f"{latency['predicted']:.3f}",
            f"{accuracy['test']:.4f} ({accuracy['lo']:.4f}..{accuracy['hi']:.4f})",
            "yes" if entry["meets"] else "not certified" if report.get("caveat") else "no",
            *(_elsewhere(entry["further"][metric]) for metric in further),
        )
    return table


def _elsewhere(found: dict[str, Any]) -> str:
    if "measured" in found:
        return f"{found['measured']:.3f} ({found['lo']:.3f}..{found['hi']:.3f})"
    return f"<= {found['upper']:.3f}"


def search_result(job: Job) -> dict[str, Any]:
    """The finalists of a finished search with their costs and estimates."""
    history = job.json("search", "search.json")
    by_config = {_key(c["config"]): c for c in history["candidates"]}
    chosen = job.json("select", "finalists.json")
    target = job.table().target
    return {
        "origin": target.origin,
        "stamp": target.stamp,
        "caveat": caveat(job.spec.limits, target),
        "evaluations": len(history["candidates"]),
        "budget": job.json("search", "budget.json"),
        "finalists": {
            name: {"config": config, **_scored(by_config.get(_key(config)))}
            for name, config in chosen["configs"].items()
            if name.startswith("found")
        },
    }


def summarise_search(result: dict[str, Any]) -> Table:
    """The finalists, one row each."""
    table = Table(
        title=f"{result['evaluations']} configs estimated; limits {result['budget']}",
        caption=result["caveat"] or result["stamp"] or None,
    )
    for column in ("finalist", "estimate", "MACs", "params", "latency bound ms", "left of limits"):
        table.add_column(column)
    for name, entry in result["finalists"].items():
        costs = entry["costs"]
        table.add_row(
            name,
            f"{entry['estimate']:.4f}",
            f"{costs['macs']:,.0f}",
            f"{costs['params']:,.0f}",
            f"{costs['latency_ms']:.3f}",
            ", ".join(f"{m} {1 - costs[m] / limit:.1%}" for m, limit in result["budget"].items()),
        )
    return table


def _key(config: dict[str, Any]) -> str:
    """The same for one config in any file; some sort their keys, some do not."""
    return json.dumps(config, sort_keys=True)


def _scored(candidate: dict[str, Any] | None) -> dict[str, Any]:
    if candidate is None:
        return {}
    return {"estimate": candidate["estimate"], "costs": candidate["costs"]}
