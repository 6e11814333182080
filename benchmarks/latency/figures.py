"""Figures of a predictor on held-out networks, with bootstrap intervals, beside those of ours.

Intervals are 95 % percentiles over resampled held-out networks (Efron 1979); the ratio to ours
resamples both errors together, since both were made on the same networks. They say how much the
choice of networks matters and nothing of how measurements of another day would differ.
Not run by itself; see `benchmarks.latency.rivals`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.latency.cases import Case, Floats, Mask
from benchmarks.latency.compare import Outcome
from latency_tables.judge import judge

SEED = 0
LEVELS = (2.5, 97.5)


def errors_percent(predicted: Floats, measured: Floats) -> Floats:
    """Absolute errors in percent, [n]; nan where there is no prediction."""
    errors: Floats = 100 * np.abs(predicted / measured - 1)
    return errors


def interval(values: Floats) -> list[float] | None:
    """95 % percentiles of resampled figures."""
    finite = values[np.isfinite(values)]
    return [float(v) for v in np.percentile(finite, LEVELS)] if len(finite) else None


def resampled(count: int, draws: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Places of resampled networks, [draws, count]; the same for every predictor."""
    return np.random.default_rng(SEED).integers(0, count, size=(draws, count))


def figures(outcome: Outcome, ours: Outcome, case: Case, draws: int) -> dict[str, Any]:
    """Everything reported of one predictor, ready for JSON."""
    priced = np.isfinite(outcome.predicted)
    return {
        "name": outcome.name,
        "rule": outcome.rule,
        "points": {
            "rows": outcome.rows,
            "chains": outcome.chains,
            "networks": outcome.networks,
        },
        "line": list(outcome.line) if outcome.line else None,
        "pieces_without_answer_percent": outcome.missing_percent,
        "networks": int(priced.sum()),
        "networks_without_price": int((~priced).sum()),
        **_errors(outcome, ours, case, priced, draws),
        "aligned": _part(outcome, case, priced & case.aligned),
        "unaligned": _part(outcome, case, priced & ~case.aligned),
    }


def _errors(
    outcome: Outcome, ours: Outcome, case: Case, priced: Mask, draws: int
) -> dict[str, Any]:
    measured, predicted = case.measured[priced], outcome.predicted[priced]
    found = judge(predicted, measured, predicted)
    mine = errors_percent(predicted, measured)
    theirs = errors_percent(ours.predicted[priced], measured)
    if len(mine):
        places = resampled(len(mine), draws)
        means, base = (errors[places].mean(axis=1) for errors in (mine, theirs))
    else:
        means = base = np.empty(0)
    return {
        "mape_percent": found.mape_percent,
        "mape_interval": interval(means),
        "within_5_percent": found.within_5_percent,
        "within_10_percent": found.within_10_percent,
        "worst_percent": found.worst_percent,
        "rank_correlation": found.rank_correlation,
        "band_rank_correlation": found.band_rank_correlation,
        "ratio_to_ours": float(mine.mean() / theirs.mean()) if len(mine) else float("nan"),
        "ratio_interval": interval(means / base),
    }


def _part(outcome: Outcome, case: Case, chosen: Mask) -> dict[str, Any]:
    errors = errors_percent(outcome.predicted[chosen], case.measured[chosen])
    return {
        "networks": int(chosen.sum()),
        "mape_percent": float(errors.mean()) if len(errors) else float("nan"),
        "worst_percent": float(errors.max()) if len(errors) else float("nan"),
    }
