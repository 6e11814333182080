"""Narrowing: which widths of a search space can be left out because a larger one costs no more.

A width is dominated where a larger kept one of the same gene is not slower, whatever the other
genes are: the difference is bounded over all widths of the neighbours, layer by layer. So under a
latency limit and an accuracy that grows with width, no optimum is lost, up to the stated tolerance.
A gene of which every width was swept is decided by what was measured, at the widths its neighbours
had there. Limits on MACs or params may bind first; then the widths left out could have served.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from latency_tables.dominance import Excess, undominated, worst_excess
from latency_tables.dominance_stream import Stream
from latency_tables.features import Floats, design
from latency_tables.predict import Predictor
from latency_tables.sweeps import Sweep, sweep
from latency_tables.table import LatencyTable, MissingShapeError
from supernet.space import SearchSpace

MOST = 0.02  # larger noise is no reason to give more latency away
ROUNDING = 1e-9  # relative; sums in another order differ by less


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrowing:
    """What narrowing did.

    Attributes:
        log10_before, log10_after: sizes of the space.
        kept: widths left, by gene.
        measured: genes decided by a measured sweep; the others by the block model.
        tolerance: relative difference of a gene's blocks that counts as none.
    """

    log10_before: float
    log10_after: float
    kept: Mapping[str, tuple[int, ...]]
    measured: tuple[str, ...]
    tolerance: float


def narrow(
    space: SearchSpace,
    source: LatencyTable | Predictor,
    *,
    tolerance: float | None = None,
    use_sweeps: bool = True,
) -> tuple[SearchSpace, Narrowing]:
    """Leaves out dominated widths; the smallest and the largest of every gene stay.

    Args:
        space: of the network that the table covers.
        source: a table or its predictor.
        tolerance: see `Narrowing`; by default the noise of the table's rows, at most 2 %.
            With 0, the optimum under the predictor is unchanged, rounding apart.
        use_sweeps: decide a gene by a measured sweep, where one holds all of its widths.

    Returns:
        The narrowed space and what was done.

    Raises:
        MissingShapeError: the space reaches beyond what was measured.
        TargetMismatchError: the table is of another network.
    """
    predictor = Predictor(source) if isinstance(source, LatencyTable) else source
    predictor.require(space.network)
    slack = max(ROUNDING, noise(predictor.table) if tolerance is None else tolerance)
    # Bounds are taken from pairs of widths, unchecked: the corners check the range for all.
    positive = [[w for w in widths if w] for widths in space.choices]
    corners = np.array([[widths[end] for widths in positive] for end in (0, -1)])
    predictor.predict(space.rows(corners))
    narrowed, measured = space, []
    for gene, name in enumerate(space.names):
        # Each gene faces only what is left of those before it.
        excess = _swept(narrowed, gene, predictor, slack) if use_sweeps else None
        if excess is None:
            excess = worst_excess(narrowed, gene, predictor.pricer, slack)
        else:
            measured.append(name)
        narrowed = narrowed.narrowed({name: undominated(space.choices[gene], excess)})
    return narrowed, Narrowing(
        log10_before=space.log10_size,
        log10_after=narrowed.log10_size,
        kept=dict(zip(space.names, narrowed.choices, strict=True)),
        measured=tuple(measured),
        tolerance=slack,
    )


def noise(table: LatencyTable) -> float:
    """Half the relative width of a typical row's interval, at most `MOST`."""
    widths = [(row.hi - row.lo) / (2 * row.median) for row in table.rows.values() if not row.flags]
    return min(MOST, float(np.median(widths))) if widths else MOST


def _swept(space: SearchSpace, gene: int, predictor: Predictor, slack: float) -> Excess | None:
    """As `worst_excess`, from measured rows; None unless all nonzero widths were swept."""
    blocks = [
        piece
        for piece in predictor.pricer.pieces
        if piece.number is not None and space.columns[piece.columns[1]] == gene
    ]
    if not space.tied or not blocks:
        return None
    try:
        found = sweep(predictor.table, blocks[0].shape.geometry, "w")
    except MissingShapeError:
        return None
    by_width = dict(zip(found.widths, inside(found, predictor), strict=True))
    clean = {w for w, row in zip(found.widths, found.rows, strict=True) if not row.flags}
    widths = [w for w in space.choices[gene] if w]
    if not clean.issuperset(widths):
        return None
    cost = np.array([by_width[width] for width in widths])
    between = Stream(predictor.pricer, space, gene).excess(widths)

    def excess(source: int, targets: Sequence[int]) -> Floats:
        lost: Floats = cost[list(targets)] - (1 + slack) * cost[source]
        return lost + between[source, list(targets)]

    return excess


def inside(found: Sweep, predictor: Predictor) -> Floats:
    """Measured latencies in ms of a block's layers: without the stream, which ends there, [n]."""
    model = predictor.blocks.model(found.geometry)
    widths = np.array([shape.widths for shape in found.shapes])
    price = design(model.sample, widths.astype(np.float64), model.grain) @ model.coefficients
    kept: Floats = found.levels - (model.predict(widths) - price)
    return kept
