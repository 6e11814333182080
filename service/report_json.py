"""The report's figures as one JSON document; every number is read from a stage's files."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from latency_tables.predict import Predictor
from latency_tables.table import Measurement, Target
from profiler.stats import paired_ratio
from service.job import Job
from service.stages.measure import read_measurement
from service.verdict import caveat, elsewhere, keeps, limit_ms
from supernet.arithmetic import count
from supernet.config import ChannelConfig


def build(job: Job) -> dict[str, Any]:
    """The whole report.

    `meets` is true only where the MACs and the params lie within the budget, the measured latency
    keeps its limit (see `service.verdict`) and the upper bounds on further tables keep theirs.
    `caveat` says why none can, where that is so, and `elsewhere` what was predicted only.
    The latency limit of a job that gives it as a percentage is the one of the final run, in which
    the dense network was measured too.
    """
    predictors, budget = job.predictors(), job.json("search", "budget.json")
    predictor = predictors.pop("latency_ms")
    table = predictor.table
    measured = {
        name: read_measurement(m) for name, m in job.json("measure", "measured.json").items()
    }
    budget["latency_ms"] = limit_ms(job.spec.limits, measured["dense"])
    entries = {
        name: _entry(job, name, config, predictor, budget, measured, table.target)
        for name, config in job.finalists().items()
    }
    for name, config in job.finalists().items():
        further = {m: held_elsewhere(found, config, budget[m]) for m, found in predictors.items()}
        entries[name]["further"] = further
        entries[name]["meets"] &= all(found["within"] for found in further.values())
    space = job.json("profile", "space.json")
    history = job.json("search", "search.json")
    return {
        "name": job.spec.name,
        "target": asdict(table.target),
        "origin": table.target.origin,
        "stamp": table.target.stamp,
        "caveat": caveat(job.spec.limits, table.target),
        "elsewhere": elsewhere(job.spec.limits),
        "budget": {
            metric: budget.get(metric) for metric in ("latency_ms", "macs", "params", *predictors)
        },
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


def held_elsewhere(predictor: Predictor, config: ChannelConfig, limit: float) -> dict[str, Any]:
    """What a further table says of a network, in ms."""
    found = predictor.config(config)
    return {
        "target": str(predictor.table.target),
        "predicted": found.predicted,
        "upper": found.upper,
        "limit": limit,
        "within": found.upper <= limit,
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
    job: Job,
    name: str,
    config: ChannelConfig,
    predictor: Predictor,
    budget: dict[str, float],
    measurements: dict[str, Measurement],
    target: Target,
) -> dict[str, Any]:
    macs, params = count(job.spec.network, config)
    measured, dense = measurements[name], measurements["dense"]
    predicted = predictor.config(config)
    costs = {"macs": macs, "params": params}
    ratio = paired_ratio(measured.adjusted, dense.adjusted)
    return {
        "name": name,
        "config": config.to_json(),
        "macs": macs,
        "params": params,
        "latency_ms": {
            "predicted": predicted.predicted,
            "upper": predicted.upper,
            "measured": measured.median,
            "lo": measured.lo,
            "hi": measured.hi,
            "ceiling": measured.ceiling,
            "flags": list(measured.flags),
            "ratio_to_dense": {"median": ratio.median, "lo": ratio.lo, "hi": ratio.hi},
        },
        "accuracy": _accuracy(job, name),
        "meets": keeps(job.spec.limits, target, measured, dense)
        and all(cost <= budget.get(metric, cost) for metric, cost in costs.items()),
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
