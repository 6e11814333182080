"""Dominance between widths of one gene: how much more a larger width can cost, at worst.

Every block is a sum over layers of a function of two widths, so the difference between two widths
of a gene is bounded by the sum of each layer's largest difference over its other width.
"""

from __future__ import annotations

import numpy as np

from latency_tables.features import Floats
from latency_tables.pricing import Piece, Pricer, border
from supernet.arithmetic import Rows
from supernet.space import SearchSpace


def worst_excess(space: SearchSpace, gene: int, pricer: Pricer, tolerance: float) -> Floats:
    """Upper bound of T(to) - (1 + tolerance) * T(from) in ms, over all values of other genes.

    T is what the pieces cost that the gene touches. Widths of 0 (removed blocks) are left out.

    Args:
        space: the search space.
        gene: its number.
        pricer: prices the space's network.
        tolerance: relative.

    Returns:
        [m, m] over the gene's m nonzero widths: [from, to].
    """
    widths = np.array([w for w in space.choices[gene] if w])
    total = np.zeros((len(widths), len(widths)))
    for piece in pricer.pieces:
        genes = [int(space.columns[column]) for column in piece.columns]
        if gene not in genes:
            continue
        if piece.number is None:
            cost = pricer.single(piece.shape, widths)
            total += cost[None, :] - (1 + tolerance) * cost[:, None]
            continue
        excess = _of_block(space, gene, piece, pricer, widths, tolerance)
        removable = any(side != gene and 0 in space.choices[side] for side in genes[1:3])
        total += np.maximum(excess, 0) if removable else excess
    return total


def _of_block(
    space: SearchSpace, gene: int, piece: Piece, pricer: Pricer, widths: Rows, tolerance: float
) -> Floats:
    model = pricer.models.model(piece.shape.geometry)
    genes = [int(space.columns[column]) for column in piece.columns]
    total = np.full((len(widths), len(widths)), -tolerance * float(model.coefficients[0]))
    for index, columns in enumerate(piece.pairs):
        sides = [int(space.columns[column]) for column in columns]
        other = [side for side in sides if side != gene]
        # A layer that the gene does not touch costs the same on both sides: only the tolerance of
        # it is left, and leaving that out errs on the side of keeping widths.
        if len(other) == 2:
            continue
        neighbours = np.array([w for w in space.choices[other[0]] if w]) if other else np.zeros(1)
        mine, theirs = (g.ravel() for g in np.meshgrid(widths, neighbours, indexing="ij"))
        source, target = (mine if side == gene else theirs for side in sides)
        cost = model.link(index, source.astype(float), target.astype(float))
        grid = cost.reshape(len(widths), len(neighbours))
        total += (grid[None, :, :] - (1 + tolerance) * grid[:, None, :]).max(axis=2)
    for axis, side in ((0, genes[0]), (3, genes[3])):
        if side == gene:
            own = pricer.border_ms * border(piece.shape, axis, widths)
            total += own[None, :] - own[:, None]
    return total


def undominated(widths: tuple[int, ...], excess: Floats) -> tuple[int, ...]:
    """Widths that no larger kept one matches; 0, the smallest and the largest always stay.

    Only kept widths dominate, so a gentle slope is thinned out and never swallowed whole.

    Args:
        widths: ascending, 0 may be among them.
        excess: [from, to] over the nonzero ones; `to` matches `from` where it is <= 0.
    """
    nonzero = [w for w in widths if w]
    kept: list[int] = []
    for index in reversed(range(len(nonzero))):
        matched = any(excess[index, other] <= 0 for other in kept)
        if not matched or index == 0:
            kept.append(index)
    return tuple(w for w in widths if not w or nonzero.index(w) in kept)
