"""Features of the block model: what a convolution's latency may depend on, pair by pair of widths.

A shape is a chain of links, one per convolution or linear layer, and every feature belongs to one
link and so to two widths at most. A cost that is linear in them is a sum of pair tables, which
makes pricing a population a matter of look-ups. Knows nothing of measurements.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from supernet.shapes import BlockShape, Shape, StemShape

Floats = npt.NDArray[np.float64]
EDGES = (1, 2, 4, 8, 16, 32)
ALIGNMENTS = (4, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One layer of a shape.

    Attributes:
        source: axis of its input width, or None where that is `constant`.
        target: axis of its output width, likewise.
        macs: multiply-adds per pair of input and output channels.
        read, written: positions of the input and output maps.
    """

    source: int | None
    target: int | None
    macs: int
    read: int
    written: int
    constant: int = 1


def links(shape: Shape) -> tuple[Link, ...]:
    """The layers of a shape's geometry; a block has conv1, conv2, conv3 and any projection."""
    if isinstance(shape, BlockShape):
        into, out = shape.size**2, shape.out_size**2
        chain = (
            Link(source=0, target=1, macs=into, read=into, written=into),
            Link(source=1, target=2, macs=9 * out, read=into, written=out),
            Link(source=2, target=3, macs=out, read=out, written=out),
        )
        # The shortcut is read by the addition even where it has no layer of its own.
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


def features(link: Link, source: Floats, target: Floats, edge: int) -> Floats:
    """Features of one layer.

    Args:
        link: the layer.
        source, target: its input and output widths, both [n].
        edge: width to which the implementation is thought to round channels.

    Returns:
        [n, f], all >= 0: multiply-adds plain and rounded to `edge`, maps read and written, and for
        each alignment what a width costs that is no multiple of it: the share of the multiply-adds,
        a copy of the map, a constant, and a change of layout where only one side is aligned.
    """
    work, read, written = link.macs * source * target, link.read * source, link.written * target
    columns = [work, read, written]
    if edge > 1:
        to, into = np.ceil(target / edge) * edge, np.ceil(source / edge) * edge
        columns += [link.macs * source * to, link.macs * into * to]
    for alignment in ALIGNMENTS:
        off_in, off_out = source % alignment != 0, target % alignment != 0
        columns += [off_in * work, off_out * work, off_in * read, off_in * 1.0]
        columns += [(off_in != off_out) * read, (off_in != off_out) * written]
    return np.stack(columns, axis=1)


def pair(link: Link, widths: Floats) -> tuple[Floats, Floats]:
    """Input and output widths of a layer from a shape's widths [n, axes]."""
    fixed = np.full(len(widths), float(link.constant))
    source = fixed if link.source is None else widths[:, link.source]
    target = fixed if link.target is None else widths[:, link.target]
    return source, target


def design(shape: Shape, widths: Floats, edge: int) -> Floats:
    """A constant, then the features of every link: [n, 1 + links * f]."""
    blocks = [features(link, *pair(link, widths), edge) for link in links(shape)]
    return np.hstack([np.ones((len(widths), 1)), *blocks])
