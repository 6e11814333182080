"""Which right edges moved between two tables of one network, per geometry and axis.

Only what both could have seen is compared: an edge counts as gone, or as new, where the other
table measured both sides of it. Unsure edges are left aside; they come and go with the noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from latency_tables.stairs import Plateau, stairs_of
from latency_tables.sweeps import Sweep, sweeps
from latency_tables.table import LatencyTable

SURE = 0.5  # least confidence of an edge that is compared


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeChange:
    """Edges of one sweep in two tables; `moved`, `gone` and `new` are empty where nothing changed.

    Attributes:
        kept: edges that both have.
        moved: edges of the first, each with the one edge of the second that took its place.
        gone, new: edges of the first, and of the second, without a counterpart.
        comparable: whether both tables swept the axis at the same other widths; if not, all
            edges are left empty.
    """

    geometry: str
    axis: str
    kept: tuple[int, ...] = ()
    moved: tuple[tuple[int, int], ...] = ()
    gone: tuple[int, ...] = ()
    new: tuple[int, ...] = ()
    comparable: bool = True


def edge_changes(first: LatencyTable, second: LatencyTable) -> Iterator[EdgeChange]:
    """One entry per geometry and axis that both tables swept."""
    others = {(sweep.geometry, sweep.axis): sweep for sweep in sweeps(second)}
    for one in sweeps(first):
        other = others.get((one.geometry, one.axis))
        if other is None:
            continue
        if one.fixed != other.fixed:
            yield EdgeChange(geometry=one.geometry, axis=one.axis, comparable=False)
        else:
            yield _compare(one, other)


def _compare(one: Sweep, other: Sweep) -> EdgeChange:
    mine, theirs = _sure(one), _sure(other)
    kept: list[Plateau] = []
    moved, gone, new = [], [], []
    left: list[Plateau] = []
    right = [e for e in theirs if not any(_same(edge, e) for edge in mine)]
    for edge in mine:
        (kept if any(_same(edge, e) for e in theirs) else left).append(edge)
    left = [edge for edge in left if _seen(edge, other)]
    right = [edge for edge in right if _seen(edge, one)]
    # Between two edges that stayed, the first that is missing is taken to be the first that is new.
    bounds = [0, *sorted(edge.right for edge in kept), max(one.widths[-1], other.widths[-1]) + 1]
    for low, high in pairwise(bounds):
        ours = [edge.right for edge in left if low < edge.right < high]
        its = [edge.right for edge in right if low < edge.right < high]
        moved += list(zip(ours, its, strict=False))
        gone += ours[len(its) :]
        new += its[len(ours) :]
    return EdgeChange(
        geometry=one.geometry,
        axis=one.axis,
        kept=tuple(edge.right for edge in kept),
        moved=tuple(moved),
        gone=tuple(gone),
        new=tuple(new),
    )


def _sure(sweep: Sweep) -> Sequence[Plateau]:
    return [edge for edge in stairs_of(sweep).edges if edge.confidence >= SURE]


def _same(one: Plateau, other: Plateau) -> bool:
    return one.right <= other.until and other.right <= one.until


def _seen(edge: Plateau, sweep: Sweep) -> bool:
    """Whether the sweep measured every width at which the edge may lie, and the one after."""
    return set(range(edge.right, edge.until + 2)) <= set(sweep.widths)
