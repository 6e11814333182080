"""Split-conformal upper bounds (Papadopoulos et al. 2002; Lei et al. 2018), one-sided, relative."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

COVERAGE = 0.95
Source = Literal["held-out networks", "fitted networks", "left-out blocks", "nothing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Prediction times `factor` is the upper bound.

    Attributes:
        coverage: share of exchangeable networks at or below the bound that `points` points
            guarantee; below 0.95 where they are too few, and 0 where they guarantee nothing
            because they took part in the fit or are no networks.
        source: where the residuals come from.
    """

    factor: float
    coverage: float
    points: int
    source: Source


def bound(ratios: npt.NDArray[np.float64], source: Source) -> Bound:
    """The finite-sample bound at 95 %.

    Args:
        ratios: measured over predicted, [n].
        source: where they come from; only held-out networks guarantee a coverage.
    """
    n = len(ratios)
    if n == 0:
        return Bound(factor=1.0, coverage=0.0, points=0, source="nothing")
    rank = math.ceil((n + 1) * COVERAGE)
    guaranteed = COVERAGE if rank <= n else n / (n + 1)
    return Bound(
        factor=float(np.sort(ratios)[min(rank, n) - 1]),
        coverage=guaranteed if source == "held-out networks" else 0.0,
        points=n,
        source=source,
    )
