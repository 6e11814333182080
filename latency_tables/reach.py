"""How far a table reaches: the widths of a network's row that it can price."""

from __future__ import annotations

import numpy as np

from latency_tables.pricing import Pricer
from supernet.arithmetic import Rows, encode


def reach(pricer: Pricer) -> tuple[Rows, Rows]:
    """Smallest and largest priced width of every column of a population row, both [columns].

    No column reaches beyond its width in the dense network. A smallest width above the largest
    means that two pieces that share the column were measured apart.

    Raises:
        MissingShapeError: a geometry of the network was not measured.
    """
    high = encode([pricer.network.dense()])[0]
    low = np.ones_like(high)
    for piece in pricer.pieces:
        model = pricer.models.model(piece.shape.geometry)
        for axis, column in enumerate(piece.columns):
            low[column] = max(low[column], model.low[axis])
            high[column] = min(high[column], model.high[axis])
    return low, high
