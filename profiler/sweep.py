"""Blocks by name, and staircases: one shape with one of its widths swept.

Plain arithmetic; measures nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from profiler.pieces import piece_names
from supernet.config import ConfigError
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape, HeadShape, Shape, StemShape


def named_shape(network: NetworkSpec, name: str) -> Shape:
    """The dense shape called `stem`, `stage3.1` (stages from 1, blocks from 0) or `head`.

    Raises:
        ConfigError: no such piece; names the valid ones.
    """
    dense = network.dense()
    shapes = dict(zip(piece_names(network, dense), network.shapes(dense), strict=True))
    if name not in shapes:
        raise ConfigError(f"block must be one of {', '.join(shapes)}, but got {name!r}")
    return shapes[name]


def axes(shape: Shape) -> tuple[str, ...]:
    """What `sweep` can move: the shape's widths, and for a bottleneck `w`, both inner widths."""
    return (*shape.axes, "w") if isinstance(shape, BlockShape) else shape.axes


def moved(shape: Shape, axis: str, width: int) -> Shape:
    """`shape` with one width changed; what an identity shortcut ties moves along.

    Raises:
        ConfigError: no such axis, or a width below 1.
    """
    if axis not in axes(shape):
        raise ConfigError(f"axis must be one of {', '.join(axes(shape))}, but got {axis!r}")
    if width < 1:
        raise ConfigError(f"a width must be >= 1, but got {width}")
    match shape:
        case StemShape():
            return replace(shape, cout=width)
        case HeadShape():
            return replace(shape, cin=width)
        case BlockShape() if axis == "w":
            return replace(shape, w1=width, w2=width)
        case BlockShape() if axis == "w1":
            return replace(shape, w1=width)
        case BlockShape() if axis == "w2":
            return replace(shape, w2=width)
        case BlockShape() if shape.shortcut == "identity":
            return replace(shape, cin=width, cout=width)
        case BlockShape():
            return replace(shape, cin=width) if axis == "cin" else replace(shape, cout=width)


def sweep(shape: Shape, axis: str, widths: Iterable[int]) -> list[Shape]:
    """One staircase: `shape` at each of `widths` along `axis`; see `moved`."""
    return [moved(shape, axis, width) for width in widths]
