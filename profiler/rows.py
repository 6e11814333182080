"""How a row comes about: a piece in an engine of its own, or as what it adds to a chain.

An engine of a single block pays for its borders (layouts that a network would not change there) and
for its start. Those cancel out between two chains: of a block that can follow itself, six copies
less two, divided by four; of a stage's first block, behind a block that can precede it, less that
block. The chains are measured in one interleaved session and paired by pass, so that what slows the
machine cancels out too. Stem and head are measured alone. Measures nothing by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from latency_tables.table import Measurement
from profiler.models import Chain, piece
from profiler.protocol import RowMethod
from profiler.stats import measurement
from supernet.shapes import BlockShape, Shape

FEW, MANY = 2, 6
"""Copies of a block in its two chains."""
BOTTLENECK = 4
"""The inner widths of a preceding block are this share of its outer ones, as ResNet has it."""
MOST = 1.5
"""A difference of more than this times the isolated engine is absurd: that has the block in it."""
WIDEST = 0.5
"""And one whose interval is wider than this share of it says too little."""
FALLEN_BACK = "isolated-only"
"""Flag of a row that should have been a difference, and is the isolated engine's."""


def parts(shape: Shape, method: RowMethod) -> dict[str, Chain]:
    """What is measured for a row: `alone`, and the chains whose difference it is, if any."""
    found = {"alone": piece(shape)}
    if method == "isolated" or not isinstance(shape, BlockShape):
        return found
    if shape.shortcut == "identity":
        return {**found, "less": Chain((shape,) * FEW), "more": Chain((shape,) * MANY)}
    before = preceding(shape)
    return {**found, "less": piece(before), "more": Chain((before, shape))}


def preceding(shape: BlockShape) -> BlockShape:
    """A block that gives what `shape` takes, as the stage before it would end."""
    inner = max(1, shape.cin // BOTTLENECK)
    return BlockShape(shape.size, 1, "identity", shape.cin, inner, inner, shape.cin)


def row(shape: Shape, method: RowMethod, found: Mapping[Chain, Measurement]) -> Measurement:
    """The row of a shape from the measurements of its `parts`, all of one session.

    A difference that cannot be a block's is not used: the row is then the isolated engine's,
    flagged. Otherwise that is kept beside it as its upper bound.
    """
    wanted = parts(shape, method)
    alone = found[wanted["alone"]]
    if "more" not in wanted:
        return alone
    more, less = found[wanted["more"]], found[wanted["less"]]
    copies, name = 1, "difference of chains: behind another block, less that block"
    if shape == wanted["less"].pieces[0]:
        copies, name = MANY - FEW, f"difference of chains: {MANY} copies, less {FEW}"
    added = [(m - f) / copies for m, f in zip(more.adjusted, less.adjusted, strict=True)]
    if why := next(_absurd(added, alone), None):
        return replace(
            alone,
            flags=_union(alone.flags, (FALLEN_BACK,)),
            notes=(*alone.notes, f"not the {name}: {why}"),
        )
    inside = measurement(added, _union(more.flags, less.flags, alone.flags))
    return replace(inside, notes=(name, *more.notes), isolated=alone.median)


def _absurd(added: Sequence[float], alone: Measurement) -> Iterator[str]:
    """Why these differences in ms cannot be a block's latency."""
    if min(added) <= 0:
        yield f"it is {min(added):.3g} ms in a pass"
        return
    inside = measurement(added)
    if inside.median > MOST * alone.median:
        yield f"{inside.median:.3g} ms exceed the isolated {alone.median:.3g} ms"
    if inside.hi - inside.lo > WIDEST * inside.median:
        yield f"its interval is {inside.lo:.3g} to {inside.hi:.3g} ms"


def _union(*flags: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(flags)))
