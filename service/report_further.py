"""The report's figures on further targets: measured where the job did, else predicted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latency_tables.predict import Predictor
from latency_tables.table import Measurement
from service.job import Job, measured_stage
from service.spec import Limits
from service.stages.measure import read_measurement
from service.verdict import limit_ms, within
from supernet.config import ChannelConfig


def on_further(
    job: Job, predictors: Mapping[str, Predictor], budget: dict[str, float]
) -> dict[str, dict[str, Any]]:
    """By finalist and metric, whether it keeps the limit there, and by which figures.

    Args:
        predictors: of further targets, by metric.
        budget: limits by metric; a percentage becomes that of the dense network as measured.
    """
    networks = job.finalists()
    found: dict[str, dict[str, Any]] = {name: {} for name in networks}
    for metric, predictor in predictors.items():
        target = metric.removeprefix("latency_ms:")
        measured = _measured(job, target)
        limits = Limits(latency_ms=job.spec.limits.further[target].latency_ms)
        if measured and (limit := limit_ms(limits, measured["dense"])) is not None:
            budget[metric] = limit
        for name, config in networks.items():
            found[name][metric] = held_elsewhere(predictor, config, budget[metric])
            if measured:
                one = measured[name]
                found[name][metric] |= {
                    "measured": one.median,
                    "lo": one.lo,
                    "hi": one.hi,
                    "flags": one.flags,
                    "within": within(limits, one, measured["dense"]),
                }
    return found


def _measured(job: Job, target: str) -> dict[str, Measurement]:
    if target not in job.spec.limits.run_on():
        return {}
    found = job.json(measured_stage(target), "measured.json")
    return {name: read_measurement(data) for name, data in found.items()}


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
