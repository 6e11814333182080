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
    """T = a + b * sum + c * border.

    Attributes:
        a: ms; negative where every piece measured alone pays for starting a run.
        b: factor of the sum.
        c: ms per element that blocks exchange in a blocked layout; 0 where it does not help.
        calibrated: false where too few networks were measured, and T is the plain sum.
    """

    a: float
    b: float
    c: float
    calibrated: bool

    def __call__(self, sums: Floats, borders: Floats | None = None) -> Floats:
        """Latency in ms of networks with these sums and borders, [n]."""
        total: Floats = self.a + self.b * sums
        return total if borders is None else total + self.c * borders


def calibrate(sums: Floats, borders: Floats, measured: Floats) -> Line:
    """Fits the line in relative error.

    The border is used only where that lowers the cross-validation error.

    Args:
        sums: of pieces in ms, [n].
        borders: elements exchanged in a blocked layout, [n].
        measured: latencies in ms, [n].
    """
    n = len(measured)
    if n < FEWEST:
        return Line(a=0.0, b=1.0, c=0.0, calibrated=False)
    plain, full = _design(sums), np.column_stack([_design(sums), borders, -borders])
    if n >= FEWEST_BORDER and _error(full, measured) < _error(plain, measured):
        up, down, b, more, less = fit(full, measured)
        c = float(more - less)
    else:
        (up, down, b), c = fit(plain, measured), 0.0
    if b <= 0:  # what was measured contradicts the sum; validation shows the error
        return Line(a=0.0, b=1.0, c=0.0, calibrated=False)
    return Line(a=float(up - down), b=float(b), c=c, calibrated=True)


def _design(sums: Floats) -> Floats:
    """Columns for an intercept of either sign, and the slope."""
    ones = np.ones(len(sums))
    return np.column_stack([ones, -ones, sums])


def _error(x: Floats, y: Floats) -> float:
    return float(np.abs(cross_validated(x, y)).mean())
