"""Prices of population rows: every network as a sum of tabulated pairs of widths.

A piece costs a constant plus, for each layer, an entry of a table over the widths of its input and
output; each table is filled once per call, over the widths that occur. What the residual stream
costs depends on the piece before, and is carried along. Knows nothing of whole
networks' overheads; `latency_tables.predict` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from latency_tables.features import Floats, links, pair
from latency_tables.model import BlockModel, BlockModels
from latency_tables.table import TargetMismatchError
from supernet.arithmetic import Rows
from supernet.network import NetworkSpec
from supernet.shapes import Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Stem, bottleneck or head of a network, and the columns of a row that hold its widths.

    Attributes:
        number: of the bottleneck, from 0; None for stem and head.
    """

    shape: Shape
    columns: tuple[int, ...]
    number: int | None

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Of a bottleneck, the columns of the input and output width of every layer."""
        return tuple(
            (self.columns[link.source], self.columns[link.target])
            for link in links(self.shape)
            if link.source is not None and link.target is not None
        )


def pieces(network: NetworkSpec) -> Iterator[Piece]:
    """Every piece of `network`, in order."""
    stem, *blocks, head = network.shapes(network.dense())
    stages = len(network.depths)
    yield Piece(shape=stem, columns=(0,), number=None)
    for number, ((stage, index), shape) in enumerate(zip(network.positions(), blocks, strict=True)):
        cin = stage if index == 0 else stage + 1
        first = 1 + stages + 2 * number
        yield Piece(shape=shape, columns=(cin, first, first + 1, stage + 1), number=number)
    yield Piece(shape=head, columns=(stages,), number=None)


@dataclass(frozen=True)
class Pricer:
    """Sums of blocks, stem and head, as they cost inside a network of the table.

    Attributes:
        models: the block models of a table.
    """

    models: BlockModels

    @property
    def network(self) -> NetworkSpec:
        """The network whose rows are priced."""
        return self.models.table.network

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """The network's pieces."""
        return tuple(pieces(self.network))

    def price(self, rows: Rows) -> Floats:
        """Summed latency in ms of each row, [n]; a removed block costs nothing.

        Raises:
            MissingShapeError: a shape outside what was measured.
            TargetMismatchError: rows of another network than the table's.
        """
        width = 1 + len(self.network.depths) + 2 * sum(self.network.depths)
        if rows.ndim != 2 or rows.shape[1] != width:
            raise TargetMismatchError(
                f"the table is of a network whose rows have {width} columns, "
                f"but got rows of shape {list(rows.shape)}"
            )
        total, grouped = np.zeros(len(rows)), np.zeros(len(rows), dtype=np.bool_)
        values = [np.unique(column, return_inverse=True) for column in rows.T]
        for piece in self.pieces:
            model = self.models.model(piece.shape.geometry)
            present = rows[:, piece.columns[1]] > 0 if piece.number is not None else None
            self._check(piece, model, rows if present is None else rows[present])
            between, out = model.stream(rows[:, piece.columns], grouped)
            if piece.number is None:
                unique, place = values[piece.columns[0]]
                total += self.single(piece.shape, unique)[place] + between
                grouped = out
                continue
            cost = model.coefficients[0] + between
            for index, (source, target) in enumerate(piece.pairs):
                cost += _share(model, index, values[source], values[target])
            total += cost if present is None else np.where(present, cost, 0.0)
            grouped = out if present is None else np.where(present, out, grouped)
        return total

    def single(self, shape: Shape, widths: Rows) -> Floats:
        """What stems or heads like `shape` with these widths cost in a network, in ms, [n]."""
        model, (link,) = self.models.model(shape.geometry), links(shape)
        moving = widths.astype(np.float64)
        fixed = np.full(len(moving), float(link.constant))
        source, target = (fixed, moving) if link.source is None else (moving, fixed)
        cost: Floats = model.coefficients[0] + model.link(0, source, target)
        return cost

    def layers(self, piece: Piece, widths: Rows) -> Floats:
        """What the layers of one piece cost in a network, in ms, without the residual stream, [n].

        Args:
            widths: of the piece's shape, [n, axes], all above 0.

        Raises:
            MissingShapeError: a shape outside what was measured.
        """
        model = self.models.model(piece.shape.geometry)
        model.check(widths)
        cost = np.full(len(widths), model.coefficients[0])
        if piece.number is None:
            (link,) = links(piece.shape)
            cost += model.link(0, *pair(link, widths.astype(np.float64)))
            return cost
        values = dict(zip(piece.columns, map(_places, widths.T), strict=True))
        for index, (source, target) in enumerate(piece.pairs):
            cost += _share(model, index, values[source], values[target])
        return cost

    @staticmethod
    def _check(piece: Piece, model: BlockModel, rows: Rows) -> None:
        if len(rows):
            widths = rows[:, piece.columns]
            outside = (widths < model.low) | (widths > model.high)
            if outside.any():
                model.check(widths[outside.any(axis=1)][:1])


def _places(column: Rows) -> tuple[Rows, Rows]:
    """Unique widths and each one's place among them, as `np.unique`, without sorting the column."""
    found = np.zeros(int(column.max()) + 1, dtype=np.bool_)
    found[column] = True
    unique = np.flatnonzero(found)
    place = np.empty(len(found), dtype=np.int64)
    place[unique] = np.arange(len(unique))
    return unique, place[column]


def _share(
    model: BlockModel, index: int, source: tuple[Rows, Rows], target: tuple[Rows, Rows]
) -> Floats:
    """The share of one layer in every row, [n], from both columns' unique widths and places."""
    (first, at_first), (second, at_second) = source, target
    n = len(at_first)
    if len(first) * len(second) >= n:
        return model.link(index, first[at_first].astype(float), second[at_second].astype(float))
    grid = np.meshgrid(first.astype(float), second.astype(float), indexing="ij")
    table = model.link(index, grid[0].ravel(), grid[1].ravel())
    looked_up: Floats = table[at_first * len(second) + at_second]
    return looked_up
