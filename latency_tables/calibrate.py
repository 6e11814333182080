"""From the sum of pieces to the latency of a whole network: a robust line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latency_tables.features import Floats
from latency_tables.fit import fit

FEWEST = 5  # networks below which a line through them says less than a plain sum


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """T = a + b * sum.

    Attributes:
        a: ms that every network pays, may be negative.
        b: factor of the sum.
        calibrated: false where too few networks were measured, and T is the plain sum.
    """

    a: float = 0.0
    b: float = 1.0
    calibrated: bool = False

    def __call__(self, sums: Floats) -> Floats:
        """Latency in ms, [n], of networks with these sums."""
        total: Floats = self.a + self.b * sums
        return total


def calibrate(sums: Floats, measured: Floats) -> Line:
    """Fits the line in relative error.

    Args:
        sums: of pieces in ms, [n].
        measured: latencies in ms, [n].
    """
    if len(measured) < FEWEST:
        return Line()
    one = np.ones(len(measured))
    more, less, b = (float(v) for v in fit(np.column_stack([one, -one, sums]), measured))
    if b <= 0:  # what was measured contradicts the sum; validation shows the error
        return Line()
    return Line(a=more - less, b=b, calibrated=True)
