"""`Collector`: measures what a planner asks for, session by session, and journals each.

A session is a random mix of shapes, alive at once and interleaved, so that a change of the machine
between two sessions is noise in every staircase rather than a step in one; and each is divided by
how slow the sentinel, the same in all of them, was. What breaks the measuring process again and
again is left out, and told. Knows nothing of locks and fits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from latency_tables.table import Measurement, NetworkRow, Role, Target
from profiler.backend import BackendError
from profiler.batches import ALIVE, batches
from profiler.journal import Journal, Lost
from profiler.measure import Progress, Session
from profiler.models import Chain, Model, Whole
from profiler.plan import Planner
from profiler.protocol import Protocol
from profiler.recovery import persistently, surely
from profiler.rows import parts, row
from profiler.session import run_roof, run_session
from supernet.arithmetic import count
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.shapes import Shape

Item = TypeVar("Item")

MOST_LOST = 8
"""Models of a table that may break the measuring process; with more, something else is wrong."""


@dataclass
class Collector:
    """One run: what the planner wants and the journal lacks.

    Attributes:
        sentinel: the model that watches over the table.
    """

    target: Target
    network: NetworkSpec
    planner: Planner
    book: Journal
    protocol: Protocol
    progress: Progress
    sentinel: Model

    def run(self) -> None:
        known = len(self.book.rows) + len(self.book.chains) + len(self.book.networks)
        self._tell("resumed" if known else "started")
        book, lost = self.book, self.book.lost
        while wanted := self.planner.next({s: f.measurement for s, f in book.rows.items()}, lost):
            self._measured(wanted, self._weights, self._shapes, lambda shape: shape, self._alive)
        chains = [c for c in self.planner.chains if c not in book.chains and c not in lost]
        self._measured(chains, lambda c: Chain(c).weights, self._chains, lambda chain: chain)
        nets = [n for n in self.planner.networks if n[0] not in book.networks and n[0] not in lost]
        weights = lambda n: count(self.network, n[0])[1]  # noqa: E731
        self._measured(nets, weights, self._networks, lambda network: network[0])
        if book.roof is None:
            book.set_roof(persistently(lambda: run_roof(self.target)))

    def _measured(
        self,
        items: Sequence[Item],
        weights: Callable[[Item], int],
        measure: Callable[[Sequence[Item]], None],
        named: Callable[[Item], Lost],
        most: int = ALIVE,
    ) -> None:
        """Measures all items in sessions; those that break them are journalled as lost."""
        for batch in batches(self._shuffled(items), weights, most):
            for found in surely(batch, measure, self._probe):
                self.book.lose(named(found.item), found.reason)
                self._tell(f"left out what breaks the measuring process: {named(found.item)}")
            if len(self.book.lost) > MOST_LOST:
                raise BackendError(
                    f"more than {MOST_LOST} models break the measuring process, the last with: "
                    f"{list(self.book.lost.values())[-1]}"
                )

    def _probe(self) -> None:
        """The sentinel alone, which tells a broken device from a guilty model."""
        quick = replace(self.protocol, rounds=1, repeats=0)
        run_session(self.target, {"probe": self.sentinel}, self.sentinel, quick)

    @property
    def _alive(self) -> int:
        """Shapes of a session: each takes up to three models where rows are differences."""
        return ALIVE if self.protocol.rows == "isolated" else ALIVE // 3

    def _parts(self, shape: Shape) -> list[Chain]:
        return list(parts(shape, self.protocol.rows).values())

    def _weights(self, shape: Shape) -> int:
        return sum(part.weights for part in self._parts(shape))

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

    def _shapes(self, batch: Sequence[Shape]) -> None:
        models = list(dict.fromkeys(part for shape in batch for part in self._parts(shape)))
        session = self._measure(models, "blocks", len(batch))
        found = dict(zip(models, _in_order(session), strict=True))
        rows = {shape: row(shape, self.protocol.rows, found) for shape in batch}
        self._add(session, rows=rows)

    def _chains(self, batch: Sequence[tuple[Shape, ...]]) -> None:
        session = self._measure([Chain(pieces) for pieces in batch], "chains", len(batch))
        self._add(session, chains=dict(zip(batch, _in_order(session), strict=True)))

    def _networks(self, batch: Sequence[tuple[ChannelConfig, Role]]) -> None:
        session = self._measure([Whole(self.network, c) for c, _ in batch], "networks", len(batch))
        rows = [
            NetworkRow(config=config, measurement=found, role=role)
            for (config, role), found in zip(batch, _in_order(session), strict=True)
        ]
        self._add(session, networks=rows)

    def _add(self, session: Session, **found: Any) -> None:
        self.book.add(level=session.level, sentinel=session.sentinel, **found)

    def _measure(self, models: Sequence[Model], what: str, items: int) -> Session:
        def inside(done: int, total: int, note: str) -> None:
            self._tell(f"{what}, {note} of this session", done * items // total)

        rng = np.random.default_rng([self.protocol.seed, len(self.book.levels)])
        return run_session(
            self.target,
            {f"{number:04}": model for number, model in enumerate(models)},
            self.sentinel,
            replace(self.protocol, seed=int(rng.integers(2**31))),
            inside,
        )


def _in_order(session: Session) -> list[Measurement]:
    return [session.measurements[name] for name in sorted(session.measurements)]
