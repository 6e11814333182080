"""Filling a table without timing: what a planner asks for is computed at once.

No process, lock, journal or sentinel: the same question has the same answer.
"""

from __future__ import annotations

from collections.abc import Mapping

from latency_tables.table import ChainRow, LatencyTable, Measurement, NetworkRow, Role, Roof, Target
from profiler.backend import load
from profiler.measure import Progress, quiet
from profiler.modelled.gpus import find
from profiler.models import Chain, Model, Whole, piece
from profiler.plan import Planner
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.shapes import Shape


def survey(
    target: Target, network: NetworkSpec, planner: Planner, progress: Progress = quiet
) -> LatencyTable:
    """The table that `profiler.collect.collect` would measure, computed; not fitted yet.

    The dense network is always among its networks: limits are given as percentages of it.

    Args:
        target: a modelled one.

    Raises:
        BackendError: it names no known device.
    """
    rows: dict[Shape, Measurement] = {}
    while wanted := planner.next(rows):
        rows |= {shape: value(target, piece(shape)) for shape in wanted}
        progress(min(len(rows), planner.total), planner.total, "computing")
    gpu = find(target.device)
    roles: dict[ChannelConfig, Role] = {network.dense(): "fit", **dict(planner.networks)}
    return LatencyTable(
        target=target,
        network=network,
        rows=rows,
        chains=tuple(
            ChainRow(pieces=pieces, measurement=value(target, Chain(pieces)))
            for pieces in planner.chains
        ),
        networks=tuple(
            NetworkRow(config=config, measurement=value(target, Whole(network, config)), role=role)
            for config, role in roles.items()
        ),
        protocol={"computed": "nothing was timed"},
        roof=Roof(gmacs=gpu.tera_ops[target.precision] * 1e3 / 2, gbytes=gpu.gbytes),
    )


def values(target: Target, models: Mapping[str, Model]) -> dict[str, Measurement]:
    """What `profiler.collect.compare` would measure, computed; errors as in `survey`.

    Raises:
        BackendError: an exported file is among them.
    """
    return {name: value(target, model) for name, model in models.items()}


def value(target: Target, model: Model) -> Measurement:
    """One latency as a measurement of a single round, without an interval."""
    ms = model.build(load(target.runtime), target)(1)
    return Measurement(median=ms, lo=ms, hi=ms, rounds=(ms,))
