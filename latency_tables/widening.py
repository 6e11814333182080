"""The search behind `latency_tables.snap`: larger widths under a latency, move by move.

First the network becomes as fast as it can; then the time won buys the widths that hold the most
MACs for it. A move takes one width to a larger one, or all those of a stage, or of the network, to
the next multiple of what the table's grain favours: maps keep their layout only if all layers of a
stage agree. Greedy: better networks that need other moves at once are not found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from latency_tables.features import Floats
from latency_tables.predict import Predictor
from latency_tables.reach import reach
from supernet.arithmetic import Rows, macs

NEXT = 4  # channels: the next few widths are tried whatever the grain
NEAR = 0.5  # moves at most this much worse than the best are made together with it
ROUNDING = 1e-12  # relative; sums in another order differ by less
STRICT = -1e-9

Groups = Sequence[Sequence[int]]
"""Columns of a population row that move together, and have the same width."""


@dataclass(frozen=True, slots=True)
class Move:
    """Groups that become wider, with what that gains and costs."""

    widths: tuple[tuple[int, int], ...]
    macs: float = 0.0
    ms: float = 0.0

    @property
    def worth(self) -> float:
        """MACs per ms; no end of it where it costs none."""
        return self.macs / self.ms if self.ms > 0 else float("inf")


def widen(row: Rows, predictor: Predictor, *, groups: Groups, most: int, limit_ms: float) -> Rows:
    """A row with as many MACs as found at no more than `limit_ms`.

    Args:
        row: a population row, [columns], that takes at most `limit_ms` itself.
        predictor: prices rows.
        groups: those that may move.
        most: channels that a width may gain.
        limit_ms: predicted latency not to be exceeded.
    """
    _, high = reach(predictor.pricer)
    last = [min(int(row[g[0]]) + most, *(int(high[column]) for column in g)) for g in groups]
    for slack in (ROUNDING, STRICT):
        search = _Search(predictor, groups, last, limit_ms * (1 + slack))
        wider = search.run(search.run(row, faster=True), faster=False)
        if predictor.predict(wider[None])[0][0] <= limit_ms:
            return wider
    return row


@dataclass(frozen=True)
class _Search:
    """Ascent by single and joint moves.

    Attributes:
        last: largest width that each group may have.
    """

    predictor: Predictor
    groups: Groups
    last: Sequence[int]
    limit_ms: float

    def run(self, row: Rows, *, faster: bool) -> Rows:
        """Moves until none helps: to less latency, or to more MACs within the limit."""
        while True:
            ms = float(self.ms(row[None])[0])
            moves = [m for m in self.priced(row, ms) if self.helps(m, ms, faster)]
            if not moves:
                return row
            moves.sort(key=lambda m: (_order(m, faster), m.macs), reverse=True)
            row = self.together(row, moves, faster)

    def helps(self, move: Move, ms: float, faster: bool) -> bool:
        return move.ms < STRICT * ms if faster else ms + move.ms <= self.limit_ms

    def priced(self, row: Rows, ms: float) -> list[Move]:
        """Every move from a row."""
        moves = [*self.single(row), *self.joint(row)]
        if not moves:
            return []
        rows = np.stack([self.after(row, move) for move in moves])
        network = self.predictor.table.network
        gained = macs(network, rows) - macs(network, row[None])
        return [
            Move(move.widths, float(more), float(cost))
            for move, more, cost in zip(moves, gained, self.ms(rows) - ms, strict=True)
        ]

    def single(self, row: Rows) -> Iterator[Move]:
        grain = self.predictor.fitted.grain
        for number, (group, last) in enumerate(zip(self.groups, self.last, strict=True)):
            width = int(row[group[0]])
            for wider in range(width + 1, last + 1):
                near = wider <= width + NEXT or wider == last
                if near or wider % grain.align == 0 or wider % grain.group == 0:
                    yield Move(((number, wider),))

    def joint(self, row: Rows) -> Iterator[Move]:
        grain = self.predictor.fitted.grain
        for scope in self.scopes:
            for multiple in sorted({grain.align, grain.group}):
                found = []
                for number in scope:
                    width = int(row[self.groups[number][0]])
                    wider = -(-width // multiple) * multiple
                    if width < wider <= self.last[number]:
                        found.append((number, wider))
                if len(found) > 1:
                    yield Move(tuple(found))

    @cached_property
    def scopes(self) -> list[list[int]]:
        """Groups that share a stage, without and with its output width; and all groups."""
        place = {column: n for n, group in enumerate(self.groups) for column in group}
        stages: dict[int, set[int]] = {}
        for piece in self.predictor.pricer.pieces:
            if piece.number is not None:
                _, w1, w2, out = piece.columns
                stages.setdefault(out, set()).update(place[c] for c in (w1, w2) if c in place)
        found = [sorted(inner) for inner in stages.values()]
        found += [sorted({*inner, place[out]}) for out, inner in stages.items()]
        return [*found, list(range(len(self.groups)))]

    def together(self, row: Rows, moves: Sequence[Move], faster: bool) -> Rows:
        """The row after the first moves, as many as help when made one after another."""
        first = _order(moves[0], faster)
        rows, taken = [row], set[int]()
        for move in moves:
            # Best first: what is much worse may do better after the others are made.
            if _order(move, faster) < NEAR * first:
                break
            groups = {number for number, _ in move.widths}
            if not groups & taken:
                rows.append(self.after(rows[-1], move))
                taken |= groups
        ms = self.ms(np.stack(rows[1:]))
        if faster:
            return rows[1 + int(ms.argmin())]
        within = np.flatnonzero(ms <= self.limit_ms * (1 + ROUNDING))
        return rows[1 + int(within.max(initial=0))]

    def after(self, row: Rows, move: Move) -> Rows:
        wider = row.copy()
        for number, width in move.widths:
            wider[list(self.groups[number])] = width
        return wider

    def ms(self, rows: Rows) -> Floats:
        return self.predictor.predict(rows)[0]


def _order(move: Move, faster: bool) -> float:
    return -move.ms if faster else move.worth
