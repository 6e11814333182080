"""What the scripts of this folder share: spaces, limits, an accuracy oracle, the machine, JSON.

Knows nothing of searchers.
"""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import numpy as np

from latency_tables.files import replace_with
from latency_tables.narrow import narrow
from latency_tables.predict import Predictor
from profiler.machine import cpu_name, usable_cores
from search.exact.accuracy import Additive
from search.lattice import Lattice
from search.metrics import Latency, Macs, Params
from search.problem import Constraint, Metric, Problem
from supernet.arithmetic import encode
from supernet.space import SearchSpace

RESULTS = Path(__file__).parent.parent / "results"
MACS, PARAMS = 1_648_000_000, 10_780_000
"""Of Inspur's MLPerf v0.7 open-division ResNet50."""
LATENCY = 0.45  # of the dense network


def ratios(count: int, lowest: float) -> list[float]:
    """Evenly spaced shares of the dense width."""
    return [float(ratio) for ratio in np.linspace(lowest, 1, count)]


def grid(
    predictor: Predictor,
    count: int,
    lowest: float,
    *,
    tied: bool = True,
    removable: bool = False,
) -> SearchSpace:
    """`count` widths per gene."""
    return SearchSpace.from_ratios(
        predictor.table.network, ratios(count, lowest), tied=tied, removable=removable
    )


def narrowed(predictor: Predictor, *, tied: bool = True) -> SearchSpace:
    """Steps of 1/32 from a quarter of dense, without widths that the table finds not worth it."""
    return narrow(grid(predictor, 25, 0.25, tied=tied), predictor)[0]


def metrics(predictor: Predictor) -> dict[str, Metric]:
    """MACs, params, and the upper bound of the predicted latency."""
    network = predictor.table.network
    return {
        "macs": Macs(network=network),
        "params": Params(network=network),
        "latency_ms": Latency(predictor=predictor),
    }


def problem(
    predictor: Predictor,
    space: SearchSpace,
    *,
    macs: float = MACS,
    params: float = PARAMS,
    latency: float = LATENCY,
) -> Problem:
    """Three limits at once; `latency` is a share of what the dense network takes."""
    found = metrics(predictor)
    dense = float(found["latency_ms"](encode([space.network.dense()]))[0])
    limits = {"macs": macs, "params": params, "latency_ms": latency * dense}
    return Problem(
        space=space,
        metrics=found,
        constraints=tuple(Constraint(metric=m, limit=limit) for m, limit in limits.items()),
    )


def oracle(lattice: Lattice, seed: int) -> Additive:
    """A concave additive accuracy in percent: each gene's weight is random, its shape a root."""
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.5, 1.5, size=len(lattice.choices))
    power = rng.uniform(0.3, 0.8, size=len(lattice.choices))
    shapes = [np.asarray(widths) / max(widths) for widths in lattice.choices]
    return Additive(
        lattice,
        [
            100 * w / weights.sum() * shape**p
            for w, p, shape in zip(weights, power, shapes, strict=True)
        ],
    )


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    return {
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def write(path: Path, result: dict[str, Any]) -> None:
    """Writes JSON at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=1, allow_nan=False) + "\n"
    replace_with(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
