"""Dominance between widths of one gene: how much more a larger width can cost, at worst.

Every block is a sum over layers of a function of two widths, so the difference between two widths
of a gene is bounded by the sum of each layer's largest difference over its other width. Whatever
a layer's function is (steps, implementations chosen by alignment, maps beyond the cache), the bound
holds. What blocks cost each other is bounded by `latency_tables.dominance_stream`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from latency_tables.dominance_stream import Stream
from latency_tables.features import Floats
from latency_tables.model import BlockModel
from latency_tables.pricing import Piece, Pricer
from supernet.arithmetic import Rows
from supernet.space import SearchSpace

Excess = Callable[[int, Sequence[int]], Floats]
"""From one of a gene's nonzero widths to larger ones, by their numbers: ms lost at worst."""
CELLS = 1 << 17  # pairs of widths priced at once
NEAR = 16  # larger widths asked first


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The layers of one piece that a gene touches.

    Attributes:
        constant: ms that the piece costs whatever its widths.
        layers: per layer, its cost in ms over the gene's widths and those of its other side.
        optional: the piece may be removed by another gene.
        count: how many such pieces the network has.
    """

    constant: float
    layers: tuple[Floats, ...]
    optional: bool
    count: int

    def excess(self, source: int, targets: Sequence[int], tolerance: float) -> Floats:
        """Upper bound of what the targets cost more than (1 + tolerance) times the source, [t]."""
        total = np.full(len(targets), -tolerance * self.constant)
        for cost in self.layers:
            total += (cost[list(targets)] - (1 + tolerance) * cost[source]).max(axis=1)
        return self.count * (np.maximum(total, 0) if self.optional else total)


def worst_excess(space: SearchSpace, gene: int, pricer: Pricer, tolerance: float) -> Excess:
    """Upper bound of T(to) - (1 + tolerance) * T(from) in ms, over all values of other genes.

    T is what the pieces cost that the gene touches, and the residual stream behind them. Widths of
    0 (removed blocks) are left out.

    Args:
        space: the search space.
        gene: its number.
        pricer: prices the space's network.
        tolerance: relative.
    """
    parts = _parts(space, gene, pricer)
    between = Stream(pricer, space, gene).excess([w for w in space.choices[gene] if w])

    def excess(source: int, targets: Sequence[int]) -> Floats:
        found = [part.excess(source, targets, tolerance) for part in parts]
        total: Floats = np.sum(found, axis=0) + between[source, list(targets)]
        return total

    return excess


def undominated(widths: tuple[int, ...], excess: Excess) -> tuple[int, ...]:
    """Widths that no larger kept one matches; 0, the smallest and the largest always stay.

    Only kept widths dominate, so a gentle slope is thinned out and never swallowed whole.

    Args:
        widths: ascending, 0 may be among them.
        excess: a width matches another where it is <= 0.
    """
    nonzero = [w for w in widths if w]
    kept: list[int] = []
    for index in reversed(range(len(nonzero))):
        # The nearest most often match, and are quickly asked.
        matched = any((excess(index, some) <= 0).any() for some in (kept[-NEAR:], kept) if some)
        if index == 0 or not matched:
            kept.append(index)
    left = {nonzero[index] for index in kept}
    return tuple(w for w in widths if not w or w in left)


def _parts(space: SearchSpace, gene: int, pricer: Pricer) -> list[Part]:
    """The pieces that the gene touches; those of one geometry with the same choices count once."""
    found: Counter[tuple[str, tuple[int, ...]]] = Counter()
    pieces: dict[tuple[str, tuple[int, ...]], Piece] = {}
    numbers = {choices: number for number, choices in enumerate(space.choices)}
    for piece in pricer.pieces:
        genes = [int(space.columns[column]) for column in piece.columns]
        if gene in genes:
            sides = (-1 if side == gene else numbers[space.choices[side]] for side in genes)
            key = (piece.shape.geometry, tuple(sides))
            pieces[key] = piece
            found[key] += 1
    return [_part(space, gene, pricer, pieces[key], count) for key, count in found.items()]


def _part(space: SearchSpace, gene: int, pricer: Pricer, piece: Piece, count: int) -> Part:
    model = pricer.models.model(piece.shape.geometry)
    widths = np.array([w for w in space.choices[gene] if w])
    if piece.number is None:
        # A single layer holds the constant: stems and heads have no other side.
        cost = pricer.single(piece.shape, widths)[:, None]
        return Part(constant=0.0, layers=(cost,), optional=False, count=count)
    genes = [int(space.columns[column]) for column in piece.columns]
    layers = []
    for index, columns in enumerate(piece.pairs):
        sides = [int(space.columns[column]) for column in columns]
        # A layer that the gene does not touch costs the same on both sides: only the tolerance of
        # it is left, and leaving that out errs on the side of keeping widths.
        if sides == [gene, gene]:
            layers.append(_layer(model, index, widths, None, gene_first=True))
        elif gene in sides:
            (other,) = (side for side in sides if side != gene)
            theirs = np.array([w for w in space.choices[other] if w])
            layers.append(_layer(model, index, widths, theirs, gene_first=sides[0] == gene))
    return Part(
        constant=float(model.coefficients[0]),
        layers=tuple(layers),
        optional=any(side != gene and 0 in space.choices[side] for side in genes[1:3]),
        count=count,
    )


def _layer(
    model: BlockModel, index: int, widths: Rows, theirs: Rows | None, *, gene_first: bool
) -> Floats:
    """Cost of a layer over the gene's widths and, unless both sides are the gene, the other's."""
    if theirs is None:
        both = widths.astype(float)
        return model.link(index, both, both)[:, None]
    grid = np.empty((len(widths), len(theirs)))
    step = max(1, CELLS // len(theirs))
    for start in range(0, len(widths), step):
        some = widths[start : start + step]
        mine, other = (g.ravel().astype(float) for g in np.meshgrid(some, theirs, indexing="ij"))
        source, target = (mine, other) if gene_first else (other, mine)
        grid[start : start + step] = model.link(index, source, target).reshape(len(some), -1)
    return grid
