"""From the sum of pieces measured alone to the latency of a whole network: a robust line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latency_tables.features import Floats
from latency_tables.fit import cross_validated, fit

FEWEST = 5  # networks below which a line through them says less than a plain sum
FEWEST_BORDER = 15  # and below which a second slope does


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """T = a + b * sum - d * share + c * border.

    Attributes:
        a: ms that every network pays.
        b: factor of the sum.
        d: ms that the whole network saves, since pieces measured alone each start a run; a network
            with removed blocks saves only the `share` of it that its pieces make up.
        c: ms per element that blocks exchange in a blocked layout; 0 where it does not help.
        calibrated: false where too few networks were measured, and T is the plain sum.
    """

    a: float
    b: float
    c: float
    d: float
    calibrated: bool

    def __call__(self, sums: Floats, shares: Floats, borders: Floats | float = 0.0) -> Floats:
        """Latency in ms, [n], of networks with these sums, shares and borders."""
        total: Floats = self.a + self.b * sums - self.d * shares + self.c * borders
        return total


def calibrate(sums: Floats, shares: Floats, borders: Floats, measured: Floats) -> Line:
    """Fits the line in relative error.

    The border is used only where that lowers the cross-validation error.

    Args:
        sums: of pieces in ms, [n].
        shares: of the network's pieces that are present, less the first, [n].
        borders: elements exchanged in a blocked layout, [n].
        measured: latencies in ms, [n].
    """
    n, unfitted = len(measured), Line(a=0.0, b=1.0, c=0.0, d=0.0, calibrated=False)
    if n < FEWEST:
        return unfitted
    plain = np.column_stack([np.ones(n), -shares, sums])
    full = np.column_stack([plain, borders, -borders])
    if n >= FEWEST_BORDER and _error(full, measured) < _error(plain, measured):
        a, d, b, more, less = (float(v) for v in fit(full, measured))
    else:
        a, d, b = (float(v) for v in fit(plain, measured))
        more = less = 0.0
    if b <= 0:  # what was measured contradicts the sum; validation shows the error
        return unfitted
    return Line(a=a, b=b, c=more - less, d=d, calibrated=True)


def _error(x: Floats, y: Floats) -> float:
    return float(np.abs(cross_validated(x, y)).mean())
