"""The part of `latency_tables.validate` that looks at what a table predicts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from latency_tables.finding import Finding
from latency_tables.joint import Layout
from latency_tables.predict import Predictor
from latency_tables.table import LatencyTable

GOOD_MAPE, BAD_MAPE = 3.0, 10.0  # percent
CALIBRATING, JUDGING = 20, 30  # whole networks


def chains(table: LatencyTable, predictor: Predictor) -> Iterator[Finding]:
    """How well chains of blocks agree with the fit that they took part in."""
    if not table.chains:
        yield Finding(
            level="warning", text="no chains: what blocks cost less behind each other is a guess"
        )
        return
    models = predictor.blocks.models
    layout = Layout({name: m.sample for name, m in models.items()}, predictor.fitted.grain)
    solved = [np.concatenate([models[name].coefficients, models[name].ends]) for name in models]
    coefficients = np.concatenate([*solved, [predictor.fitted.launch_ms]])
    chains = [row for row in table.chains if not row.measurement.flags] or table.chains
    expected = [float(layout.chain(row.pieces) @ coefficients) for row in chains]
    measured = [row.measurement.median for row in chains]
    errors = [100 * abs(e / m - 1) for e, m in zip(expected, measured, strict=True)]
    mean = float(np.mean(errors))
    yield Finding(
        level="ok" if mean <= GOOD_MAPE else "warning",
        text=f"{len(errors)} chains agree with the fit within {mean:.1f} % on average, "
        f"{max(errors):.1f} % at worst",
    )


def fits(table: LatencyTable, predictor: Predictor) -> Iterator[Finding]:
    """Whose fit it is, its error per geometry, and its error on networks never fitted."""
    yield _belongs(table)
    for name, model in predictor.blocks.models.items():
        error = model.mape_percent
        yield Finding(
            level="ok" if error <= 2 * GOOD_MAPE else "warning",
            text=f"{name}: left-out points are predicted with {error:.1f} % mean error "
            f"(line in FLOPs {model.flops_linear_mape_percent:.1f} %)",
        )
    roles = [row.role for row in table.networks]
    if roles.count("fit") < CALIBRATING or roles.count("held-out") < JUDGING:
        yield Finding(
            level="warning",
            text=f"{roles.count('fit')} networks to fit and {roles.count('held-out')} held out; "
            f"{CALIBRATING} and {JUDGING} are wanted",
        )
    if predictor.fitted.unpriced:
        yield Finding(
            level="warning",
            text=f"{predictor.fitted.unpriced} networks reach beyond the measured rows, so were "
            "left out",
        )
    if predictor.fitted.disturbed:
        yield Finding(
            level="warning",
            text="flagged networks took part in the fit or judge it, since too few are without",
        )
    yield _held_out(predictor)


def _belongs(table: LatencyTable) -> Finding:
    if table.fitted is None:
        return Finding(level="ok", text="the table holds no fit; one is made whenever it is used")
    if table.fitted.fingerprint == table.fingerprint:
        return Finding(level="ok", text=f"the fit belongs to the rows ({table.fingerprint})")
    return Finding(
        level="warning",
        text=f"the fit belongs to other rows ({table.fitted.fingerprint}, these are "
        f"{table.fingerprint}), so is made anew whenever the table is used",
    )


def _held_out(predictor: Predictor) -> Finding:
    held, bound = predictor.held_out, predictor.bound
    if not held.points:
        return Finding(level="warning", text="no held-out network: the prediction error is unknown")
    mape = held.mape_percent
    return Finding(
        level="ok" if mape <= GOOD_MAPE else "warning" if mape <= BAD_MAPE else "error",
        text=f"{held.points} held-out networks: {mape:.1f} % mean error "
        f"(line in FLOPs {held.flops_linear_mape_percent:.1f} %), "
        f"{held.within_10_percent:.0f} % within 10 %, worst {held.worst_percent:.1f} %; "
        f"upper bound = prediction x {bound.factor:.3f} covers {100 * bound.coverage:.0f} %",
    )
