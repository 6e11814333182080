"""Filling a table: measures a plan batch by batch, journals each batch, resumes after a kill.

A batch is a random mix of the plan's shapes, alive at once and interleaved, so that a change of
the machine between two batches is noise in every staircase rather than a step in one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from latency_tables.table import LatencyTable, Measurement, NetworkRow, Target
from profiler.backend import Backend, Runner
from profiler.journal import Journal
from profiler.lock import measuring
from profiler.measure import Progress, Protocol, Session, measure, quiet
from profiler.plan import Plan, Role
from supernet.arithmetic import count
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape, HeadShape, Shape

Item = TypeVar("Item")

ALIVE = 24
"""Models alive at once."""
WEIGHTS = 300_000_000
"""Weights alive at once; a runtime keeps up to two copies of 4 bytes each."""
WAIT_S = 600.0
"""How long another measurement on the device is waited for."""
SENTINEL = BlockShape(14, 1, "identity", 256, 64, 64, 256)
"""The sentinel where no network is given."""


def collect(
    backend: Backend,
    target: Target,
    network: NetworkSpec,
    plan: Plan,
    journal: Path,
    protocol: Protocol | None = None,
    progress: Progress = quiet,
    *,
    wait_s: float = WAIT_S,
) -> LatencyTable:
    """Measures what of `plan` the journal lacks, shapes first, then whole networks.

    Args:
        journal: JSON-lines file, created or continued; each batch is on the disk when it ends.
        progress: counts shapes and networks, those of earlier runs included.
        wait_s: how long to wait for another measurement on this device to end.

    Raises:
        JournalError: the journal is of another target, network or protocol.
        DeviceBusyError: another measurement still runs on this device after `wait_s` seconds.
        BackendError: the runtime failed.
    """
    protocol = protocol or Protocol()
    total = len(plan.shapes) + len(plan.networks)
    with measuring(target.device, wait_s, lambda note: progress(0, total, note)):
        book = Journal(journal, target, network, protocol)
        _Collector(backend, target, network, plan, book, protocol, progress).run()
    return LatencyTable(
        target=book.target,
        network=network,
        rows=book.rows,
        networks=tuple(book.networks.values()),
        protocol=asdict(protocol),
        sentinel=tuple(book.sentinel),
    )


def compare(
    backend: Backend,
    target: Target,
    models: Mapping[str, Runner],
    protocol: Protocol | None = None,
    progress: Progress = quiet,
    *,
    wait_s: float = WAIT_S,
) -> dict[str, Measurement]:
    """Measures finalists against each other in one interleaved run; 11 rounds by default.

    Rounds of all models are in pass order: `profiler.stats.paired_ratio` compares two of them.

    Raises:
        DeviceBusyError: another measurement still runs on this device after `wait_s` seconds.
    """
    with measuring(target.device, wait_s, lambda note: progress(0, len(models), note)):
        sentinel = backend.block(SENTINEL, target)
        session = measure(models, sentinel, protocol or Protocol(rounds=11), progress)
    return dict(session.measurements)


def sentinel_shape(network: NetworkSpec) -> Shape:
    """The fixed bottleneck that watches over a table of `network`: its middle one, dense."""
    shapes = network.shapes(network.dense())
    return shapes[len(shapes) // 2]


def weights_of(shape: Shape) -> int:
    """About how many weights a shape has."""
    match shape:
        case BlockShape():
            projection = shape.cin * shape.cout if shape.shortcut == "projection" else 0
            return shape.w1 * (shape.cin + 9 * shape.w2) + shape.w2 * shape.cout + projection
        case HeadShape():
            return shape.cin * shape.classes
        case _:
            return shape.kernel**2 * shape.channels * shape.cout


class _Collector:
    """One run of `collect`."""

    def __init__(
        self,
        backend: Backend,
        target: Target,
        network: NetworkSpec,
        plan: Plan,
        book: Journal,
        protocol: Protocol,
        progress: Progress,
    ) -> None:
        self.backend, self.target, self.network = backend, target, network
        self.plan, self.book, self.progress = plan, book, progress
        self.protocol = protocol
        self.total = len(plan.shapes) + len(plan.networks)
        self.done = 0
        self.warm = False
        self.rng = np.random.default_rng(protocol.seed)

    def run(self) -> None:
        shapes = self._shuffled([s for s in self.plan.shapes if s not in self.book.rows])
        nets = self._shuffled([n for n in self.plan.networks if n[0] not in self.book.networks])
        self.done = self.total - len(shapes) - len(nets)
        self.progress(self.done, self.total, "resumed" if self.done else "started")
        if not shapes and not nets:
            return
        sentinel = self.backend.block(sentinel_shape(self.network), self.target)
        for batch in batches(shapes, weights_of):
            self._shapes(batch, sentinel)
        for group in batches(nets, lambda net: count(self.network, net[0])[1]):
            self._networks(group, sentinel)

    def _shuffled(self, items: Sequence[Item]) -> list[Item]:
        return [items[i] for i in self.rng.permutation(len(items))]

    def _shapes(self, batch: list[Shape], sentinel: Runner) -> None:
        names = {f"{s.geometry} {list(s.widths)}": s for s in batch}
        models = {name: self.backend.block(s, self.target) for name, s in names.items()}
        session = self._measure(models, sentinel, "blocks")
        self.book.add_rows(
            {shape: session.measurements[name] for name, shape in names.items()},
            {shape: session.minima[name] for name, shape in names.items()},
            session.sentinel,
        )

    def _networks(self, batch: list[tuple[ChannelConfig, Role]], sentinel: Runner) -> None:
        models = {
            f"network {i}": self.backend.network(self.network, config, self.target)
            for i, (config, _) in enumerate(batch)
        }
        session = self._measure(models, sentinel, "networks")
        self.book.add_networks(
            [
                NetworkRow(
                    config=config, measurement=session.measurements[f"network {i}"], role=role
                )
                for i, (config, role) in enumerate(batch)
            ],
            session.sentinel,
        )

    def _measure(self, models: Mapping[str, Runner], sentinel: Runner, what: str) -> Session:
        def inside(done: int, total: int, note: str) -> None:
            share = done * len(models) // total
            self.progress(self.done + share, self.total, f"{what}, {note} of this batch")

        protocol = replace(self.protocol, seed=int(self.rng.integers(2**31)))
        session = measure(
            models, sentinel, protocol, inside, history=self.book.sentinel, warm=self.warm
        )
        self.warm = True
        self.done += len(models)
        return session


def batches(items: Sequence[Item], weights: Callable[[Item], int]) -> Iterator[list[Item]]:
    """Splits into runs of at most `ALIVE` items and about `WEIGHTS` weights."""
    batch: list[Item] = []
    load = 0
    for item in items:
        if batch and (len(batch) == ALIVE or load + weights(item) > WEIGHTS):
            yield batch
            batch, load = [], 0
        batch.append(item)
        load += weights(item)
    if batch:
        yield batch
