"""Features of the block model: what a convolution's latency may depend on, pair by pair of widths.

A shape is a chain of links, one per convolution or linear layer, and every feature belongs to one
link and so to two widths at most. A cost that is linear in them is a sum of pair tables, which
makes pricing a population a matter of look-ups. Knows nothing of measurements.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from latency_tables.grain import Grain
from supernet.shapes import BlockShape, Shape, StemShape

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
STREAM = 6
"""Features of `stream`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One layer of a shape.

    Attributes:
        source: axis of its input width, or None where that is `constant`.
        target: axis of its output width, likewise.
        macs: multiply-adds per pair of input and output channels.
        read, written: positions of the input and output maps.
        inner: its output goes to the next link, and to nothing else.
    """

    source: int | None
    target: int | None
    macs: int
    read: int
    written: int
    constant: int = 1
    inner: bool = False


def links(shape: Shape) -> tuple[Link, ...]:
    """The layers of a shape's geometry; a block has conv1, conv2, conv3 and any projection."""
    if isinstance(shape, BlockShape):
        into, out = shape.size**2, shape.out_size**2
        chain = (
            Link(source=0, target=1, macs=into, read=into, written=into, inner=True),
            Link(source=1, target=2, macs=9 * out, read=into, written=out, inner=True),
            Link(source=2, target=3, macs=out, read=out, written=out),
        )
        extra = Link(source=0, target=3, macs=out, read=into, written=out)
        return (*chain, extra) if shape.shortcut == "projection" else chain
    if isinstance(shape, StemShape):
        macs, pixels = shape.kernel**2 * shape.conv_size**2, shape.size**2
        return (
            Link(
                source=None,
                target=0,
                macs=macs,
                read=pixels,
                written=shape.conv_size**2,
                constant=shape.channels,
            ),
        )
    area = shape.size**2
    return (Link(source=0, target=None, macs=1, read=area, written=1, constant=shape.classes),)


def up(width: Floats, multiple: int) -> Floats:
    """Rounded up to a multiple."""
    rounded: Floats = np.ceil(width / multiple) * multiple
    return rounded


def fits(width: Floats, grain: Grain) -> Mask:
    """Whether a layer with these input widths takes the grouped implementation."""
    mask: Mask = (width % grain.align == 0) | (width < grain.narrow)
    return mask


def features(link: Link, source: Floats, target: Floats, grain: Grain) -> Floats:
    """Features of one layer.

    Args:
        link: the layer.
        source, target: its input and output widths, both [n].
        grain: how the runtime rounds.

    Returns:
        [n, f], all >= 0. For each implementation (grouped, narrow, other): multiply-adds plain
        and with widths rounded up, maps read and written, a constant. Then maps whose layout
        the next layer has to change, what a stem pays for outputs that fill no whole groups,
        and what exceeds the cache.
    """
    narrow, grouped = source < grain.narrow, fits(source, grain)
    columns: list[Floats] = []
    for used in (grouped & ~narrow, narrow):
        columns += [used * c for c in _grouped(link, source, target, grain)]
    columns += [~grouped * c for c in _other(link, source, target, grain)]
    written = link.written * target
    if link.inner:
        after = fits(target, grain)
        columns += [(grouped & ~after) * written, (~grouped & after) * written]
    if link.source is None:
        columns.append((target % grain.group != 0) * written)
    if grain.cache:
        columns.append(np.maximum(0, link.read * source + written - grain.cache))
    return np.stack(columns, axis=1)


def _grouped(link: Link, source: Floats, target: Floats, grain: Grain) -> list[Floats]:
    into, out = up(source, grain.group), up(target, grain.group)
    together = up(target, grain.batch)
    return [
        link.macs * source * target,
        link.macs * source * out,
        link.macs * into * out,
        link.macs * source * together,
        link.macs * into * together,
        link.written * out,
        link.read * into,
        link.read * source,
        link.written * target,
        np.ones(len(source)),
    ]


def _other(link: Link, source: Floats, target: Floats, grain: Grain) -> list[Floats]:
    return [
        link.macs * source * target,
        link.macs * source * up(target, 4),
        link.macs * source * up(target, grain.group),
        link.macs * up(source, 4) * up(target, grain.group),
        link.read * source,
        link.written * target,
        np.ones(len(source)),
    ]


def pair(link: Link, widths: Floats) -> tuple[Floats, Floats]:
    """Input and output widths of a layer from a shape's widths [n, axes]."""
    fixed = np.full(len(widths), float(link.constant))
    source = fixed if link.source is None else widths[:, link.source]
    target = fixed if link.target is None else widths[:, link.target]
    return source, target


def design(shape: Shape, widths: Floats, grain: Grain) -> Floats:
    """A constant, then the features of every link: [n, 1 + links * f]."""
    blocks = [features(link, *pair(link, widths), grain) for link in links(shape)]
    return np.hstack([np.ones((len(widths), 1)), *blocks])


def stream(shape: Shape, widths: Floats, grain: Grain, into: Mask) -> tuple[Floats, Mask]:
    """What the residual stream costs a shape, and how it leaves it.

    Maps travel between blocks in the grouped layout as long as every layer that writes them, and
    both sides of each addition, are grouped; once they are not, they stay plain to the end of
    the stage, and every grouped layer has to convert. So a block's cost depends on the blocks
    before it, through one bit; measured alone it is fed plain maps.

    Args:
        widths: [n, axes].
        into: the map that enters is in the grouped layout, [n].

    Returns:
        Features [n, STREAM] and whether the map that leaves is grouped, [n].
    """
    if isinstance(shape, StemShape):
        return np.zeros((len(widths), STREAM)), widths[:, 0] % grain.group == 0
    if not isinstance(shape, BlockShape):
        return np.zeros((len(widths), STREAM)), into
    first, last = fits(widths[:, 0], grain), fits(widths[:, 2], grain)
    read, written = shape.size**2 * widths[:, 0], shape.out_size**2 * widths[:, 3]
    shortcut = into if shape.shortcut == "identity" else first
    columns = [
        (shortcut & last) * written,
        (shortcut & ~last) * written,
        (~shortcut & last) * written,
        (~shortcut & ~last) * written,
        (first & ~into) * read,
        (~first & into) * read,
    ]
    return np.stack(columns, axis=1), shortcut & last


def leave(shape: Shape, widths: Floats, out: Mask) -> Floats:
    """Elements that a shape which nothing follows has to bring back from the grouped layout, [n].

    Args:
        out: the map that leaves is grouped, [n].
    """
    if isinstance(shape, BlockShape | StemShape):
        elements: Floats = out * (shape.out_size**2 * widths[:, -1])
        return elements
    return np.zeros(len(widths))
