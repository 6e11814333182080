"""Prices of population rows: every network as a sum of tabulated pairs of widths.

A row costs a constant plus, for each layer, an entry of a table over the widths of its input and
output. Each table is filled once per call, over the widths that occur. Knows nothing of whole
networks' overheads; `latency_tables.predict` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from latency_tables.features import Floats, links
from latency_tables.model import BlockModel, BlockModels
from latency_tables.table import TargetMismatchError
from supernet.arithmetic import Rows
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape, Shape

BLOCKED = 8


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


def border(shape: Shape, axis: int, widths: Rows) -> Floats:
    """Elements of a block's input (axis 0) or output (axis 3) map in a blocked layout, [n].

    Runtimes keep maps in blocks of channels where the width allows it.
    """
    if not isinstance(shape, BlockShape):
        return np.zeros(len(widths))
    area = shape.size**2 if axis == 0 else shape.out_size**2
    return area * np.where(widths % BLOCKED == 0, widths, 0).astype(np.float64)


@dataclass(frozen=True)
class Pricer:
    """Sums of blocks, stem and head by the block models of a table.

    Attributes:
        models: what each piece costs when it runs alone.
        border_ms: what every element of a map between blocks adds where its width is a multiple
            of `BLOCKED`, in ms; negative, since only a block that runs alone changes its layout.
    """

    models: BlockModels
    border_ms: float = 0.0

    @property
    def network(self) -> NetworkSpec:
        """The network whose rows are priced."""
        return self.models.table.network

    @cached_property
    def _measured(self) -> dict[str, dict[int, float]]:
        """Unflagged stems and heads by geometry, then width."""
        found: dict[str, dict[int, float]] = {}
        for shape, row in self.models.table.rows.items():
            if not isinstance(shape, BlockShape) and not row.flags:
                found.setdefault(shape.geometry, {})[shape.widths[0]] = row.median
        return found

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
        total = np.zeros(len(rows))
        values = [np.unique(column, return_inverse=True) for column in rows.T]
        for piece in self.pieces:
            model = self.models.model(piece.shape.geometry)
            present = rows[:, piece.columns[1]] > 0 if piece.number is not None else None
            self._check(piece, model, rows if present is None else rows[present])
            if piece.number is None:
                unique, place = values[piece.columns[0]]
                total += self.single(piece.shape, unique)[place]
                continue
            cost = np.full(len(rows), model.coefficients[0])
            for index, (source, target) in enumerate(piece.pairs):
                cost += _share(model, index, values[source], values[target])
            if self.border_ms:
                for axis, columns in ((0, piece.columns[0]), (3, piece.columns[3])):
                    unique, place = values[columns]
                    cost += self.border_ms * border(piece.shape, axis, unique)[place]
            total += cost if present is None else np.where(present, cost, 0.0)
        return total

    def borders(self, rows: Rows) -> Floats:
        """Elements of all blocks' `border` in each row, [n]."""
        total = np.zeros(len(rows))
        for piece in self.pieces:
            if piece.number is not None:
                present = rows[:, piece.columns[1]] > 0
                for axis in (0, 3):
                    total += present * border(piece.shape, axis, rows[:, piece.columns[axis]])
        return total

    def shares(self, rows: Rows) -> Floats:
        """Pieces of each row beside the first, as a share of those of a whole network, [n]."""
        inner = rows[:, 1 + len(self.network.depths) :: 2]
        present: Floats = (1 + (inner > 0).sum(axis=1)) / (1 + inner.shape[1])
        return present

    def single(self, shape: Shape, widths: Rows) -> Floats:
        """Latency in ms of stems or heads like `shape` with these widths, [n].

        Rows without a flag are taken as measured; the rest comes from the model.
        """
        cost = self.models.model(shape.geometry).predict(widths[:, None])
        measured = self._measured.get(shape.geometry, {})
        return np.array([measured.get(int(w), c) for w, c in zip(widths, cost, strict=True)])

    @staticmethod
    def _check(piece: Piece, model: BlockModel, rows: Rows) -> None:
        if len(rows):
            widths = rows[:, piece.columns]
            outside = (widths < model.low) | (widths > model.high)
            if outside.any():
                model.check(widths[outside.any(axis=1)][:1])


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
