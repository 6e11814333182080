"""The report's figures as one JSON document; every number is read from a stage's files."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from latency_tables.predict import Predictor
from latency_tables.table import Measurement, Target
from profiler.stats import paired_ratio, wilson
from service.job import Job
from service.report_further import on_further
from service.stages.measure import read_measurement
from service.verdict import caveat, elsewhere, keeps, limit_ms
from supernet.arithmetic import count
from supernet.config import ChannelConfig


def build(job: Job) -> dict[str, Any]:
    """The whole report.

    `meets` is true only where the MACs and the params lie within the budget, the measured latency
    keeps its limit (see `service.verdict`) and those on further targets theirs.
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
    for name, further in on_further(job, predictors, budget).items():
        entries[name]["further"] = further
        entries[name]["meets"] &= all(found["within"] for found in further.values())
    for name, found in eight_bits(job).items():
        entries[name]["int8"] = found
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


def eight_bits(job: Job) -> dict[str, dict[str, Any]]:
    """What every network reaches as int8, and its latency beside its fp32 file's; may be empty.

    Accuracy is on the test images, of the first seed's network, with Wilson's interval.
    """
    quantised = job.json("quantise", "quantised.json")["networks"]
    other = job.json("measure", "other.json")
    measured = job.json("measure", "measured.json")
    found = {}
    for name, network in quantised.items():
        lo, hi = wilson(network["int8"]["accuracy"], network["n"])
        found[name] = {
            "accuracy": {
                "test": network["int8"]["accuracy"],
                "n": network["n"],
                "lo": lo,
                "hi": hi,
            },
            "fp32_accuracy": network["fp32"]["accuracy"],
            "calibration": network["chosen"],
            "methods": network["methods"],
            "finetuned": network["finetuned"],
            "methods_finetuned": network["methods_finetuned"],
            "layers_db": network["layers_db"],
        }
        if name in other["networks"]:
            int8, fp32 = measured, other["networks"]
            if other["precision"] == "int8":
                int8, fp32 = fp32, int8
            found[name]["latency_ms"] = _beside(int8[name], fp32[name], fp32["dense"])
    return found


def _beside(int8: dict[str, Any], fp32: dict[str, Any], dense: dict[str, Any]) -> dict[str, Any]:
    """Latency of an int8 file, and its ratio to the same network's and to the dense fp32 file."""
    own = read_measurement(int8)
    ratios = {
        f"ratio_to_{name}": asdict(paired_ratio(own.adjusted, read_measurement(of).adjusted))
        for name, of in (("fp32", fp32), ("dense_fp32", dense))
    }
    return {"measured": own.median, "lo": own.lo, "hi": own.hi, **ratios}


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
