"""The roofline: what a block could cost at least, and the share of the roof it reaches.

A block is bound by arithmetic or by memory, whichever takes longer at the target's measured peak
and bandwidth (Williams, Waterman and Patterson 2009). Bytes are those of the maps that its layers
read and write and of its weights, once each: what no implementation of separate layers avoids.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from latency_tables.features import links
from latency_tables.table import LatencyTable, Measurement, Roof, TableError
from supernet.shapes import BlockShape, Shape, StemShape

BYTES = {"fp32": 4, "fp16": 2, "int8": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class RoofPoint:
    """One measured shape against the roof.

    Attributes:
        intensity: MACs per byte moved.
        gmacs: MACs per second as measured, in thousand millions.
        bound: what the roof says at this intensity, in the same unit.
        by_memory: the roof there is the bandwidth's.
    """

    shape: Shape
    intensity: float
    gmacs: float
    bound: float
    by_memory: bool

    @property
    def share(self) -> float:
        """Of the roof, 0 to 1; above 1 where data stays in caches that the copy exceeds."""
        return self.gmacs / self.bound


def bytes_moved(shape: Shape, batch: int, precision: str) -> int:
    """Bytes of maps and weights that the layers of a shape read and write."""
    elements = 0
    for link in links(shape):
        source = link.constant if link.source is None else shape.widths[link.source]
        target = link.constant if link.target is None else shape.widths[link.target]
        kernel = link.macs // link.written
        # A strided 1x1 layer skips positions. A head's pooling reads them all.
        used = min(link.read, kernel * link.written) if isinstance(shape, BlockShape) else link.read
        elements += batch * (used * source + link.written * target) + kernel * source * target
    return BYTES[precision] * (elements + batch * _between(shape))


def _between(shape: Shape) -> int:
    """Elements that move beside the layers: the second read of a sum, the pooling of a stem."""
    if isinstance(shape, BlockShape):
        return shape.out_size**2 * shape.cout
    if isinstance(shape, StemShape) and shape.out_size != shape.conv_size:
        return (shape.conv_size**2 + shape.out_size**2) * shape.cout
    return 0


def roofline(table: LatencyTable) -> list[RoofPoint]:
    """Every row of a table, sorted as in the file.

    Raises:
        TableError: the table has no measured roof.
    """
    if table.roof is None:
        raise TableError("the table holds no roof: it was measured before peak and bandwidth were")
    points = []
    for rows in table.by_geometry().values():
        points += _of_geometry(rows, table.roof, table.target.batch, table.target.precision)
    return points


def _of_geometry(
    rows: Mapping[Shape, Measurement], roof: Roof, batch: int, precision: str
) -> list[RoofPoint]:
    points = []
    for shape, row in rows.items():
        macs = batch * shape.macs
        intensity = macs / bytes_moved(shape, batch, precision)
        memory = roof.gbytes * intensity
        points.append(
            RoofPoint(
                shape=shape,
                intensity=intensity,
                gmacs=macs / row.median / 1e6,
                bound=min(roof.gmacs, memory),
                by_memory=memory < roof.gmacs,
            )
        )
    return points
