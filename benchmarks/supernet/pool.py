"""What scoring in several processes costs and gains: `python -m benchmarks.supernet.pool`.

In every round the same fresh configs are scored by a plain loop, by the pool with one process, by
it with two, by two processes of their own that score all of them each, at the same time, by the
process of another host alone, and by it and this one; one CPU thread each; who goes first
alternates. The other host is this machine, reached over its network interface. Real scores: batch
norm recalibrated and images classified, by a supernet of quarter width at 28x28, whose random
weights change no time.

Gain: the loop's time over that of the pool of two. Ceiling: what two processes that share nothing
but the machine gain, twice the loop's time over theirs. Overhead: pool of one less the loop, per
config, of scores on very few images, as the noise of a long score hides it; likewise that of
another host. All are started before,
as in a search, and must give identical scores.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.latency.output import RESULTS, show, text, write_json
from search.lattice import Lattice
from search.loop import Mapper
from search.scoring import Guarded, Outcome
from service.scoring import pooled, spread
from service.scoring_far import Far, serve
from supernet.config import ChannelConfig
from supernet.estimate import Estimator
from supernet.network import NetworkSpec
from supernet.sliced import SlicedSupernet
from supernet.space import SearchSpace

NETWORK = NetworkSpec(width=0.25, stem="3x3/2", resolution=28, channels=1, classes=10)
CONFIGS, ROUNDS, BATCH, FEW = 16, 12, 256, 2
RECALIBRATION, VALIDATION = 1, 2
"""Batches."""
WAYS = ("loop", "pool of 1", "pool of 2", "two apart", "other host", "two hosts")
GOAL_OVERHEAD_MS, GOAL_GAIN = 5.0, 1.8


def estimator(batch: int) -> Estimator:
    """A new one, which remembers nothing, with so many images a batch."""
    torch.manual_seed(0)
    images = [torch.randn(batch, 1, 28, 28) for _ in range(RECALIBRATION + VALIDATION)]
    labels = torch.arange(batch) % NETWORK.classes
    supernet = SlicedSupernet(space())
    judged = [(part, labels) for part in images[RECALIBRATION:]]
    return Estimator(supernet, images[:RECALIBRATION], judged)


def space() -> SearchSpace:
    """Seven widths a gene."""
    return SearchSpace.from_ratios(NETWORK, [1 - 0.125 * step for step in range(7)])


def timed(mapper: Mapper, guarded: Guarded, configs: Sequence[ChannelConfig]) -> Any:
    """Seconds and outcomes."""
    start = time.perf_counter()
    outcomes: list[Outcome] = list(mapper(guarded, configs))
    return time.perf_counter() - start, [outcome.estimate for outcome in outcomes]


def alone(pipe: Connection, batch: int) -> None:
    """A process that scores whatever comes, beside another one."""
    torch.set_num_threads(1)
    guarded = Guarded(estimator(batch))
    pipe.send(None)
    while (configs := pipe.recv()) is not None:
        pipe.send([guarded(config) for config in configs])


@contextmanager
def apart(batch: int) -> Iterator[Mapper]:
    """Two processes that score everything each; the outcomes of the second."""
    context = multiprocessing.get_context("spawn")
    pipes, others = zip(*(context.Pipe() for _ in range(2)), strict=True)
    running = [context.Process(target=alone, args=(pipe, batch), daemon=True) for pipe in others]
    for process in running:
        process.start()
    for pipe in pipes:
        pipe.recv()

    def scoring(guarded: Guarded, configs: Sequence[ChannelConfig]) -> Iterator[Outcome]:
        for pipe in pipes:
            pipe.send(configs)
        return iter([pipe.recv() for pipe in pipes][1])

    yield scoring
    for pipe in pipes:
        pipe.send(None)


def elsewhere(place: dict[str, Any], batch: int) -> None:
    """What runs on another host."""
    torch.set_num_threads(1)
    serve(place, "alike", Guarded(estimator(batch)))


@contextmanager
def hosts(batch: int, *, together: bool) -> Iterator[tuple[Mapper, Guarded]]:
    """A process of another host, and this one as well if they work together."""
    own = estimator(batch)
    with Far("127.0.0.1", "alike") as far, spread(own, 1, far) as both:
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=elsewhere, args=(far.place, batch), daemon=True)
        process.start()
        list(far.outcomes([space().smallest()], None, []))  # it is there now
        other: Mapper = lambda guarded, configs: far.outcomes(configs, None, [])  # noqa: E731
        yield both if together else other, Guarded(own)


def rounds(count: int, batch: int) -> dict[str, list[float]]:
    """Seconds of each way in each round.

    Raises:
        RuntimeError: scores that differ.
    """
    lattice, rng = Lattice(space()), np.random.default_rng(0)
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    with ExitStack() as stack:
        ways: dict[str, tuple[Mapper, Guarded]] = {"loop": (map, Guarded(estimator(batch)))}
        for workers in (1, 2):
            own = estimator(batch)
            ways[f"pool of {workers}"] = stack.enter_context(pooled(own, workers)), Guarded(own)
        ways["two apart"] = stack.enter_context(apart(batch)), ways["loop"][1]
        ways["other host"] = stack.enter_context(hosts(batch, together=False))
        ways["two hosts"] = stack.enter_context(hosts(batch, together=True))
        for number in range(-1, count):
            configs = lattice.configs(lattice.draw(rng, CONFIGS, 0.3))
            names = list(ways)[:: 1 if number % 2 else -1]
            found = {name: timed(*ways[name], configs) for name in names}
            if len({tuple(scores) for _, scores in found.values()}) != 1:
                raise RuntimeError("the number of processes changed a score")
            for name, (spent, _) in found.items():
                if number >= 0:  # The first round warms up.
                    seconds[name].append(spent)
    return seconds


def interval(values: npt.NDArray[np.float64]) -> dict[str, float]:
    """The median of the rounds with its 95 % interval, by bootstrap over rounds."""
    rng, n = np.random.default_rng(0), len(values)
    drawn = np.median(values[rng.integers(n, size=(2000, n))], axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return {"value": float(np.median(values)), "low": float(low), "high": float(high)}


def figures(long: dict[str, list[float]], short: dict[str, list[float]]) -> dict[str, Any]:
    """What the rounds say, of long scores and of short ones."""
    loop, _, two, both, _, apart = (np.array(long[way]) for way in WAYS)
    over, over_hosts = (
        1000 * (np.array(short[way]) - np.array(short["loop"])) / CONFIGS
        for way in ("pool of 1", "other host")
    )
    ratios = {"gain": loop / two, "ceiling": 2 * loop / both, "gain_of_ceiling": both / (2 * two)}
    ratios |= {"gain_hosts": loop / apart, "gain_hosts_of_ceiling": both / (2 * apart)}
    found = {
        "score_ms": 1000 * loop / CONFIGS,
        "short_score_ms": 1000 * np.array(short["loop"]) / CONFIGS,
        "overhead_ms": over,
        "overhead_hosts_ms": over_hosts,
        **ratios,
    }
    return {name: interval(values) for name, values in found.items()}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.supernet.pool",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--out", type=Path, default=RESULTS / "supernet-pool.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    load_before = os.getloadavg()[0]
    seconds = {"long": rounds(given.rounds, BATCH), "short": rounds(2 * given.rounds, FEW)}
    found = figures(seconds["long"], seconds["short"])
    rows = [
        [name, *(text(value[key], 2) for key in ("value", "low", "high"))]
        for name, value in found.items()
    ]
    show(f"{given.rounds} rounds of {CONFIGS} configs", ("figure", "median", "low", "high"), rows)
    goals = {"overhead_ms": GOAL_OVERHEAD_MS, "gain": GOAL_GAIN}
    write_json(
        given.out,
        {
            "benchmark": "supernet.pool",
            "cores": os.cpu_count(),
            "load_before": load_before,
            "torch": torch.__version__,
            "configs": CONFIGS,
            "goals": goals,
            **found,
            "seconds": seconds,
        },
    )


if __name__ == "__main__":
    main()
