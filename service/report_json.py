"""The report's figures as one JSON document; every number is read from a stage's files."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from latency_tables.predict import Predictor
from service.job import Job
from supernet.arithmetic import count
from supernet.config import ChannelConfig


def build(job: Job) -> dict[str, Any]:
    """The whole report.

    `meets` is true only where the upper end of the measured interval, the MACs and the params lie
    within the budget; of a measurement flagged as disturbed, every single round must.
    """
    table = job.table()
    predictor, budget = Predictor(table), job.json("search", "budget.json")
    entries = {
        name: _entry(job, name, config, predictor, budget)
        for name, config in job.finalists().items()
    }
    space = job.json("profile", "space.json")
    history = job.json("search", "search.json")
    return {
        "name": job.spec.name,
        "target": asdict(table.target),
        "budget": {metric: budget.get(metric) for metric in ("latency_ms", "macs", "params")},
        "table": _table(predictor),
        "space": {key: space[key] for key in ("log10_before", "log10_after")},
        "capacity": job.json("capacity", "capacity.json"),
        "search": {"evaluations": len(history["candidates"])},
        "dense": entries["dense"],
        "uniform": entries["uniform"],
        "found": [entry for name, entry in entries.items() if name.startswith("found")],
        "onnx": job.json("export", "check.json"),
        "spec": job.spec.model_dump(mode="json"),
    }


def _table(predictor: Predictor) -> dict[str, Any]:
    held = predictor.held_out
    return {
        "points": len(predictor.table.rows),
        "mape_percent": held.mape_percent,
        "within_10_percent": held.within_10_percent,
        "held_out": asdict(held),
    }


def _entry(
    job: Job, name: str, config: ChannelConfig, predictor: Predictor, budget: dict[str, float]
) -> dict[str, Any]:
    macs, params = count(job.spec.network, config)
    measured = job.json("measure", "measured.json")[name]
    predicted = predictor.config(config)
    costs = {"macs": macs, "params": params, "latency_ms": measured["ceiling"]}
    return {
        "name": name,
        "config": config.to_json(),
        "macs": macs,
        "params": params,
        "latency_ms": {
            "predicted": predicted.predicted,
            "upper": predicted.upper,
            "measured": measured["median"],
            "lo": measured["lo"],
            "hi": measured["hi"],
            "ceiling": measured["ceiling"],
            "flags": measured["flags"],
        },
        "accuracy": _accuracy(job, name),
        "meets": all(costs[metric] <= limit for metric, limit in budget.items()),
    }


def _accuracy(job: Job, name: str) -> dict[str, Any]:
    """Mean test accuracy over seeds; the interval is Wilson's over the images of one seed."""
    accuracy = job.json("train", "accuracy.json")
    seeds, n = accuracy["test"][name], accuracy["n"]
    mean = sum(seeds) / len(seeds)
    lo, hi = wilson(mean, n)
    return {"test": mean, "n": n, "lo": lo, "hi": hi, "seeds": seeds}


def wilson(share: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share seen in `n` trials (Wilson 1927)."""
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)
