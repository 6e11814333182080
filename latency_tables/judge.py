"""How well predictions of whole networks agree with measurements: the figures of `HeldOut`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
BAND = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Errors on networks that no fit has seen; all figures are nan where `points` is 0.

    Attributes:
        points: held-out networks.
        mape_percent: mean absolute percentage error.
        within_5_percent, within_10_percent: share of networks, in percent, predicted that well.
        worst_percent: largest absolute error.
        flops_linear_mape_percent: mean error of a line in MACs, fitted to the same networks.
        rank_correlation: Spearman's, over all held-out networks.
        band_rank_correlation: Kendall's, over pairs whose latencies differ by at most 10 %.
    """

    points: int
    mape_percent: float
    within_5_percent: float
    within_10_percent: float
    worst_percent: float
    flops_linear_mape_percent: float
    rank_correlation: float
    band_rank_correlation: float


def judge(predicted: Floats, measured: Floats, flops_linear: Floats) -> HeldOut:
    """Figures of `predicted` and its rival `flops_linear` against `measured`, all [n] in ms."""
    if not len(measured):
        nan = float("nan")
        return HeldOut(
            points=0,
            mape_percent=nan,
            within_5_percent=nan,
            within_10_percent=nan,
            worst_percent=nan,
            flops_linear_mape_percent=nan,
            rank_correlation=nan,
            band_rank_correlation=nan,
        )
    errors = 100 * np.abs(predicted / measured - 1)
    return HeldOut(
        points=len(measured),
        mape_percent=float(errors.mean()),
        within_5_percent=float(100 * (errors <= 5).mean()),
        within_10_percent=float(100 * (errors <= 10).mean()),
        worst_percent=float(errors.max()),
        flops_linear_mape_percent=float(100 * np.abs(flops_linear / measured - 1).mean()),
        rank_correlation=_spearman(predicted, measured),
        band_rank_correlation=_band(predicted, measured),
    )


def _spearman(predicted: Floats, measured: Floats) -> float:
    if min(len(np.unique(predicted)), len(np.unique(measured))) < 2:
        return float("nan")
    # scipy.stats takes longer to import than a table to show; ties keep their order here.
    ranks = [values.argsort(kind="stable").argsort() for values in (predicted, measured)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _band(predicted: Floats, measured: Floats) -> float:
    first, second = np.triu_indices(len(measured), 1)
    apart = measured[second] / measured[first] - 1
    near = (np.abs(apart) <= BAND) & (apart != 0)
    if not near.any():
        return float("nan")
    agree = np.sign(apart) * np.sign(predicted[second] - predicted[first])
    return float(agree[near].mean())
