"""Nonnegative, outlier-proof least squares in relative error, and its cross-validation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
FOLDS = 5
HUBER = 1.345  # 95 % efficiency under normal errors (Huber 1981)
ROUNDS = 3
MOST = 30_000  # steps of the active set; its default ends short of large tables


def fit(
    x: Floats,
    y: Floats,
    trust: Floats | None = None,
    near: Floats | None = None,
    pull: float = 0.0,
) -> Floats:
    """Coefficients >= 0 that minimise Huber's loss of x @ c / y - 1.

    Args:
        x: features, [n, f].
        y: what they shall sum to, [n], all > 0.
        trust: weight of each point's error, [n]; 1 by default.
        near: coefficients that the result shall stay near where the points do not decide, [f].
        pull: how strongly; 1 weighs a coefficient that is off by all of a typical y like one point.

    Returns:
        Coefficients, [f].
    """
    # Here, since tables that are shown were fitted before: 0.4 s and 40 MB.
    from scipy.optimize import nnls

    scale = np.maximum(np.abs(x).max(axis=0), np.finfo(np.float64).tiny)
    relative = x / scale / y[:, None]
    trusted = np.ones(len(y)) if trust is None else trust
    weights = trusted
    for _ in range(ROUNDS):
        rows, goal = relative * weights[:, None], weights
        if near is not None:
            held = pull / np.median(y)
            rows = np.vstack([rows, held * np.eye(len(scale))])
            goal = np.concatenate([goal, held * scale * near])
        solved: Floats = nnls(rows, goal, maxiter=MOST)[0]
        residuals = np.abs(relative @ solved - 1)
        sigma = np.median(residuals) / 0.6745
        if sigma < 1e-9:
            break
        weights = trusted * np.sqrt(np.minimum(1, HUBER * sigma / np.maximum(residuals, 1e-12)))
    coefficients: Floats = solved / scale
    return coefficients


def cross_validated(x: Floats, y: Floats, seed: int = 0) -> Floats:
    """Relative errors (prediction / y - 1) of points left out of the fit, [n]; needs n >= 2."""
    order = np.random.default_rng(seed).permutation(len(y))
    errors = np.empty(len(y))
    for fold in range(min(FOLDS, len(y))):
        left_out = order[fold::FOLDS]
        kept = np.setdiff1d(order, left_out)
        errors[left_out] = x[left_out] @ fit(x[kept], y[kept]) / y[left_out] - 1
    return errors
