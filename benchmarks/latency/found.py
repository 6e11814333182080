"""A config found by our search in the space that the stairs leave, for the replay.

Most MACs within limits on MACs, params and the upper bound of the predicted latency; needs no
images. `python -m benchmarks.latency.replay` measures it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from latency_tables.narrow import Narrowing, narrow
from latency_tables.predict import Predictor
from search.baselines import uniform_seeds
from search.loop import run
from search.problem import Constraint, Problem
from supernet.arithmetic import count, macs, params
from supernet.config import ChannelConfig
from supernet.space import SearchSpace

MACS, PARAMS = 1_648_000_000, 10_780_000
"""Of Inspur's MLPerf v0.7 open-division ResNet50."""
STEP = 1 / 32
LOWEST = 0.25


def space_of(predictor: Predictor) -> tuple[SearchSpace, Narrowing]:
    """Widths in steps of 1/32 of dense, tied, without those that the table finds not worth it."""
    steps = [i * STEP for i in range(int(LOWEST / STEP), int(1 / STEP) + 1)]
    return narrow(SearchSpace.from_ratios(predictor.table.network, steps), predictor)


def found_config(
    predictor: Predictor, speed_up: float, evaluations: int, seed: int = 0
) -> ChannelConfig:
    """The config with the most MACs that is predicted to be `speed_up` times as fast as dense.

    The limit holds for the upper bound of the prediction.
    """
    network = predictor.table.network
    space, _ = space_of(predictor)
    limit = predictor.config(network.dense()).predicted / speed_up
    problem = Problem(
        space=space,
        metrics={
            "macs": lambda rows: macs(network, rows),
            "params": lambda rows: params(network, rows),
            "latency_ms": lambda rows: predictor.predict(rows)[1],
        },
        constraints=(
            Constraint(metric="macs", limit=MACS),
            Constraint(metric="params", limit=PARAMS),
            Constraint(metric="latency_ms", limit=limit),
        ),
    )
    with tempfile.TemporaryDirectory() as folder:
        history = run(
            problem,
            "evolution",
            {"seeds": uniform_seeds(problem)},
            lambda config: float(count(network, config)[0]),
            seed=seed,
            evaluations=evaluations,
            generation=200,
            folder=Path(folder),
        )
    best = max(history.scored, key=lambda candidate: candidate.estimate or 0.0)
    return best.config
