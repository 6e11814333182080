"""Filling a table: measures what a planner asks for, journals each session, resumes after a kill.

A session is a random mix of shapes, alive at once and interleaved, so that a change of the machine
between two sessions is noise in every staircase rather than a step in one; and each is divided by
how slow the sentinel, the same in all of them, was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from latency_tables.fitting import fit_table
from latency_tables.table import LatencyTable, Measurement, NetworkRow, Role, Target
from profiler.assemble import assemble
from profiler.journal import Journal
from profiler.lock import measuring
from profiler.machine import free_bytes
from profiler.measure import Progress, Session, quiet
from profiler.models import Chain, Model, Whole, piece, weights_of
from profiler.plan import Planner
from profiler.protocol import Protocol
from profiler.session import run_roof, run_session
from supernet.arithmetic import count
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape, Shape

Item = TypeVar("Item")

ALIVE = 64
"""Models alive at once."""
WEIGHTS = 1_500_000_000
"""Weights alive at once, where memory allows: networks of one session need no common scale."""
BYTES = 12
"""Of memory a weight, at most: a runtime may keep its own copy, and a packed one."""
SHARE = 0.5
"""Of the free memory that models may take."""
WAIT_S = 600.0
"""How long another measurement on the device is waited for."""
SENTINEL = piece(BlockShape(14, 1, "identity", 256, 64, 64, 256))
"""The sentinel where no network is given."""


def collect(
    target: Target,
    network: NetworkSpec,
    planner: Planner,
    journal: Path,
    protocol: Protocol | None = None,
    progress: Progress = quiet,
    *,
    wait_s: float = WAIT_S,
) -> LatencyTable:
    """Measures what the planner wants and the journal lacks: shapes, chains, whole networks.

    Args:
        journal: JSON-lines file, created or continued; each session is on the disk when it ends.
        progress: counts shapes, chains and networks, those of earlier runs included.
        wait_s: how long to wait for another measurement on this device to end.

    Returns:
        The table, fitted.

    Raises:
        JournalError: the journal is of another target, network or protocol.
        DeviceBusyError: another measurement still runs on this device after `wait_s` seconds.
        BackendError: the runtime failed.
    """
    protocol = protocol or Protocol()
    total = planner.total + len(planner.chains) + len(planner.networks)
    with measuring(target.device, wait_s, lambda note: progress(0, total, note)):
        book = Journal(journal, target, network, protocol)
        _Collector(target, network, planner, book, protocol, progress).run()
    return fit_table(assemble(book, network, protocol))


def compare(
    target: Target,
    models: Mapping[str, Model],
    protocol: Protocol | None = None,
    progress: Progress = quiet,
    *,
    wait_s: float = WAIT_S,
) -> dict[str, Measurement]:
    """Measures models against each other in one interleaved run; 11 rounds by default.

    Rounds of all models are in pass order: `profiler.stats.paired_ratio` compares two of them.

    Raises:
        DeviceBusyError: another measurement still runs on this device after `wait_s` seconds.
        BackendError: the runtime failed.
    """
    session = session_of(target, models, protocol, progress, wait_s=wait_s)
    return dict(session.measurements)


def session_of(
    target: Target,
    models: Mapping[str, Model],
    protocol: Protocol | None = None,
    progress: Progress = quiet,
    *,
    wait_s: float = WAIT_S,
    sentinel: Model = SENTINEL,
) -> Session:
    """As `compare`, with everything the session saw."""
    with measuring(target.device, wait_s, lambda note: progress(0, len(models), note)):
        return run_session(target, models, sentinel, protocol or Protocol(), progress)


def sentinel_of(network: NetworkSpec) -> Model:
    """The model that watches over a table of `network`: it whole, at half of its widths.

    A whole network, because what slows machines slows arithmetic and memory differently, and
    networks are what tables are about.
    """
    return Whole(network, network.uniform(0.5))


@dataclass
class _Collector:
    """One run of `collect`."""

    target: Target
    network: NetworkSpec
    planner: Planner
    book: Journal
    protocol: Protocol
    progress: Progress

    def run(self) -> None:
        known = len(self.book.rows) + len(self.book.chains) + len(self.book.networks)
        self._tell("resumed" if known else "started")
        while wanted := self.planner.next({s: f.measurement for s, f in self.book.rows.items()}):
            for batch in batches(self._shuffled(wanted), weights_of):
                self._shapes(batch)
        chains = [c for c in self.planner.chains if c not in self.book.chains]
        for group in batches(self._shuffled(chains), lambda c: Chain(c).weights):
            self._chains(group)
        nets = [n for n in self.planner.networks if n[0] not in self.book.networks]
        for several in batches(self._shuffled(nets), lambda n: count(self.network, n[0])[1]):
            self._networks(several)
        if self.book.roof is None:
            self.book.set_roof(run_roof(self.target))

    @property
    def total(self) -> int:
        """Everything to measure; a geometry may end with fewer shapes than it may take."""
        return self.planner.total + len(self.planner.chains) + len(self.planner.networks)

    def _tell(self, note: str, more: int = 0) -> None:
        done = len(self.book.rows) + len(self.book.chains) + len(self.book.networks)
        self.progress(min(done + more, self.total), self.total, note)

    def _shuffled(self, items: Sequence[Item]) -> list[Item]:
        rng = np.random.default_rng([self.protocol.seed, len(self.book.levels)])
        return [items[i] for i in rng.permutation(len(items))]

    def _shapes(self, batch: list[Shape]) -> None:
        session = self._measure([piece(shape) for shape in batch], "blocks")
        self._add(session, rows=dict(zip(batch, _in_order(session), strict=True)))

    def _chains(self, batch: list[tuple[Shape, ...]]) -> None:
        session = self._measure([Chain(pieces) for pieces in batch], "chains")
        self._add(session, chains=dict(zip(batch, _in_order(session), strict=True)))

    def _networks(self, batch: list[tuple[ChannelConfig, Role]]) -> None:
        session = self._measure([Whole(self.network, c) for c, _ in batch], "networks")
        rows = [
            NetworkRow(config=config, measurement=found, role=role)
            for (config, role), found in zip(batch, _in_order(session), strict=True)
        ]
        self._add(session, networks=rows)

    def _add(self, session: Session, **found: Any) -> None:
        self.book.add(level=session.level, sentinel=session.sentinel, **found)

    def _measure(self, models: Sequence[Model], what: str) -> Session:
        def inside(done: int, total: int, note: str) -> None:
            self._tell(f"{what}, {note} of this session", done * len(models) // total)

        rng = np.random.default_rng([self.protocol.seed, len(self.book.levels)])
        return run_session(
            self.target,
            {f"{number:04}": model for number, model in enumerate(models)},
            sentinel_of(self.network),
            replace(self.protocol, seed=int(rng.integers(2**31))),
            inside,
        )


def _in_order(session: Session) -> list[Measurement]:
    return [session.measurements[name] for name in sorted(session.measurements)]


def batches(items: Sequence[Item], weights: Callable[[Item], int]) -> Iterator[list[Item]]:
    """Splits into runs of at most `ALIVE` items and about `WEIGHTS` weights, of like length."""
    batch: list[Item] = []
    load = 0
    heaviest = min(WEIGHTS, int(SHARE * free_bytes() / BYTES))
    pieces = -(-len(items) // ALIVE)
    most = -(-len(items) // pieces) if pieces else ALIVE
    for item in items:
        if batch and (len(batch) == most or load + weights(item) > heaviest):
            yield batch
            batch, load = [], 0
        batch.append(item)
        load += weights(item)
    if batch:
        yield batch
