"""The metrics that know how they are made up: MACs, params, and the latency of a table.

Each is a function of population rows, as `Problem` takes it. Knows nothing of limits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latency_tables.model import BlockModel
from latency_tables.predict import FLOOR, Predictor
from latency_tables.pricing import Piece
from search.problem import Floats
from search.terms import Mask
from supernet import arithmetic
from supernet.arithmetic import Rows
from supernet.network import NetworkSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Macs:
    """MACs of a network's configs; a `search.terms.Walked` without a bit."""

    network: NetworkSpec

    def __call__(self, rows: Rows) -> Rows:
        """[n] of population rows [n, columns]."""
        return arithmetic.macs(self.network, rows)

    def term(self, number: int, rows: Rows) -> tuple[Floats, Mask]:
        """Share of a bottleneck, [n, 1]."""
        return _plain(arithmetic.macs_share(self.network, rows, number))

    def total(self, sums: Floats) -> Floats:
        """The sum itself."""
        return sums

    def sum_at(self, cost: float) -> float:
        """The cost itself."""
        return cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """Params of a network's configs; a `search.terms.Walked` without a bit."""

    network: NetworkSpec

    def __call__(self, rows: Rows) -> Rows:
        """[n] of population rows [n, columns]."""
        return arithmetic.params(self.network, rows)

    def term(self, number: int, rows: Rows) -> tuple[Floats, Mask]:
        """Share of a bottleneck, [n, 1]."""
        return _plain(arithmetic.params_share(self.network, rows, number))

    def total(self, sums: Floats) -> Floats:
        """The sum itself."""
        return sums

    def sum_at(self, cost: float) -> float:
        """The cost itself."""
        return cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Upper bound of the latency that a table predicts, in ms; a `search.terms.Walked`.

    Up to a rising function it is a sum over bottlenecks, of which each hands one bit on: whether
    the residual stream travels in the grouped layout.
    """

    predictor: Predictor

    def __call__(self, rows: Rows) -> Floats:
        """[n] of population rows [n, columns]; errors as of `Predictor.predict`."""
        return self.predictor.predict(rows)[1]

    def term(self, number: int, rows: Rows) -> tuple[Floats, Mask]:
        """Share of a bottleneck for either bit coming in, and the bit it hands on, each [n, 2].

        The first bears the stem and the start of a run as well, the last stage's first the head.
        """
        stem, *blocks, head = self.predictor.pricer.pieces
        cost, out = self._piece(blocks[number], rows, self._entering(number, rows))
        if number == 0:
            cost += self.predictor.fitted.launch_ms + self._alone(stem, rows)
        if number == len(blocks) - self.predictor.table.network.depths[-1]:
            cost += self._alone(head, rows)
        return cost, out

    def total(self, sums: Floats) -> Floats:
        """From sums of terms to the metric; see `Predictor.predict`."""
        predicted = np.maximum(self.predictor.line(sums), FLOOR * sums)
        upper: Floats = predicted * self.predictor.bound.factor
        return upper

    def sum_at(self, cost: float) -> float:
        """The inverse of `total`."""
        line, plain = self.predictor.line, cost / self.predictor.bound.factor
        return min((plain - line.a) / line.b, plain / FLOOR)

    def _entering(self, number: int, rows: Rows) -> Mask:
        """The bit that comes in, [n, 2]: a stem has but one to give."""
        if number:
            return np.repeat([[False, True]], len(rows), axis=0)
        stem, plain = self.predictor.pricer.pieces[0], np.zeros(len(rows), dtype=np.bool_)
        given = self._model(stem).stream(rows[:, stem.columns], plain)[1]
        return np.stack([given, given], axis=1)

    def _piece(self, piece: Piece, rows: Rows, into: Mask) -> tuple[Floats, Mask]:
        widths = rows[:, piece.columns]
        cost, out = np.zeros(into.shape), into.copy()
        here = widths[:, 1] > 0
        if here.any():
            layers = self.predictor.pricer.layers(piece, widths[here])
            for bit in (0, 1):
                between, leaving = self._model(piece).stream(widths[here], into[here, bit])
                cost[here, bit], out[here, bit] = layers + between, leaving
        return cost, out

    def _alone(self, piece: Piece, rows: Rows) -> Floats:
        """Stem or head, [n, 1]."""
        unique, place = np.unique(rows[:, piece.columns[0]], return_inverse=True)
        cost: Floats = self.predictor.pricer.layers(piece, unique[:, None])[place, None]
        return cost

    def _model(self, piece: Piece) -> BlockModel:
        return self.predictor.blocks.model(piece.shape.geometry)


def _plain(share: Rows) -> tuple[Floats, Mask]:
    cost: Floats = share[:, None].astype(np.float64)
    return cost, np.zeros(cost.shape, dtype=np.bool_)
