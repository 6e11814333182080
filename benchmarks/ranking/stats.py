"""How well one order predicts another, with intervals: Kendall, Spearman, precision and regret.

Intervals are percentile bootstraps over configs, so that they say what another draw of configs
could have shown; the noise of a single training is inside the truth, and told by `ceiling`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau, spearmanr

Floats = npt.NDArray[np.float64]
Figure = Callable[[Floats, Floats], float]
RESAMPLES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


def tau(predicted: Floats, truth: Floats) -> float:
    """Kendall's tau-b; 0 where either is constant."""
    return _number(kendalltau(predicted, truth).statistic)


def rho(predicted: Floats, truth: Floats) -> float:
    """Spearman's rank correlation; 0 where either is constant."""
    if np.ptp(predicted) == 0 or np.ptp(truth) == 0:
        return 0.0
    return _number(spearmanr(predicted, truth).statistic)


def regret(predicted: Floats, truth: Floats, k: int) -> float:
    """What the best of the k that are predicted best is below the best of all, in points."""
    picked = np.argsort(-predicted, kind="stable")[:k]
    return 100 * float(truth.max() - truth[picked].max())


def precision(predicted: Floats, truth: Floats, k: int) -> float:
    """Share of the k predicted best that are among the k best."""
    top = set(np.argsort(-predicted, kind="stable")[:k].tolist())
    return len(top & set(np.argsort(-truth, kind="stable")[:k].tolist())) / min(k, len(truth))


FIGURES: Mapping[str, Figure] = {
    "tau": tau,
    "rho": rho,
    "precision_5": lambda p, t: precision(p, t, 5),
    "regret_1": lambda p, t: regret(p, t, 1),
    "regret_10": lambda p, t: regret(p, t, 10),
}


def bootstrap(
    figure: Figure, predicted: Floats, truth: Floats, resamples: int = RESAMPLES
) -> Interval:
    """The figure and its interval over resampled configs."""
    rng, n = np.random.default_rng(0), len(truth)
    draws = rng.integers(n, size=(resamples, n))
    found = [figure(predicted[draw], truth[draw]) for draw in draws]
    low, high = np.quantile(found, (0.025, 0.975))
    return Interval(value=figure(predicted, truth), low=float(low), high=float(high))


def difference(one: Floats, other: Floats, truth: Floats, resamples: int = RESAMPLES) -> Interval:
    """By how much the first predictor's tau exceeds the other's, on the same resamples."""
    rng, n = np.random.default_rng(0), len(truth)
    draws = rng.integers(n, size=(resamples, n))
    found = [tau(one[d], truth[d]) - tau(other[d], truth[d]) for d in draws]
    low, high = np.quantile(found, (0.025, 0.975))
    value = tau(one, truth) - tau(other, truth)
    return Interval(value=value, low=float(low), high=float(high))


def _number(value: object) -> float:
    number = float(np.asarray(value))
    return number if np.isfinite(number) else 0.0
