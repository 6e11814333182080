"""Predictions of held-out networks by every predictor, ours included, from one case.

`Outcome` is what a predictor said and what it used to say it. A predictor that has no price for a
network answers nan; nothing is filled in silently. Knows nothing of tables' files and of printing.
Not run by itself; see `benchmarks.latency.rivals`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.latency.cases import Case, Floats, Prices, latencies
from benchmarks.latency.rules import Rival
from latency_tables.fit import fit
from latency_tables.predict import Predictor
from latency_tables.table import NetworkRow
from supernet.arithmetic import Rows, encode
from supernet.shapes import Shape

OURS = "ours"
OURS_PLAIN = "ours, rows + line only"
OURS_ISOLATED = "ours, isolated blocks summed"
OURS_RULES = {
    OURS: "Our predictor: rows, chains and fit networks in one fit.",
    OURS_PLAIN: "Our block models from rows alone, without chains; a + b * sum on the fit "
    "networks: exactly what the rivals are given.",
    OURS_ISOLATED: "Our block models' predictions of pieces measured alone, summed. Not calibrated "
    "and no row looked up.",
}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One predictor on one case.

    Attributes:
        predicted: of the held-out networks in ms, [n]; nan where there is no price.
        rows, chains, networks: how many measured points it used.
        missing_percent: share of the held-out networks' pieces without an answer.
        line: a and b of the calibration, if any.
        blocks: predictions of the shapes asked for in addition, in ms, [m].
    """

    name: str
    rule: str
    predicted: Floats
    rows: int
    chains: int = 0
    networks: int = 0
    missing_percent: float = 0.0
    line: tuple[float, float] | None = None
    blocks: Floats = field(default_factory=lambda: np.empty(0))


def ours(case: Case, blocks: Sequence[Shape] = ()) -> Outcome:
    """The whole predictor."""
    predictor = Predictor(case.table)
    return Outcome(
        name=OURS,
        rule=OURS_RULES[OURS],
        predicted=predictor.predict(_encoded(case.held_out))[0],
        rows=len(case.rows),
        chains=sum(not chain.measurement.flags for chain in case.table.chains),
        networks=len(case.fit),
        line=(predictor.line.a, predictor.line.b),
        blocks=_alone(predictor, blocks),
    )


def ours_plain(case: Case, blocks: Sequence[Shape] = ()) -> Outcome:
    """Without chains, and with networks for the line only."""
    bare = Predictor(replace(case.table, chains=(), networks=(), fitted=None))
    sums = bare.predict(_encoded(case.networks))[0]
    return _calibrated(OURS_PLAIN, OURS_RULES[OURS_PLAIN], sums, case, _alone(bare, blocks))


def ours_isolated(case: Case) -> Outcome:
    """Our models of pieces alone, summed."""
    asked = pieces(case)
    prices = dict(zip(asked, _alone(Predictor(case.table), asked), strict=True))
    return Outcome(
        name=OURS_ISOLATED,
        rule=OURS_RULES[OURS_ISOLATED],
        predicted=sums_of(case, prices)[len(case.fit) :],
        rows=len(case.rows),
        chains=len(case.table.chains),
        networks=len(case.fit),
    )


def by_rule(rival: Rival, case: Case, blocks: Sequence[Shape] = ()) -> Outcome:
    """A rival's rule, its sum and its line."""
    rows = {shape: ms for shape, ms in case.rows.items() if rival.uses(shape)}
    asked = [*pieces(case), *blocks]
    answers = rival.price(rows, asked)
    return from_answers(rival, case, rows, answers, len(blocks))


def from_answers(
    rival: Rival, case: Case, rows: Prices, answers: Floats, blocks: int = 0
) -> Outcome:
    """An outcome from prices of `pieces(case)`, followed by those of `blocks` more shapes."""
    known = pieces(case)
    prices = dict(zip(known, answers[: len(known)], strict=True))
    judged = [prices[shape] for row in case.held_out for shape in case.pieces(row)]
    filled = {s: rival.missing if np.isnan(ms) else ms for s, ms in prices.items()}
    sums = sums_of(case, filled)
    block_answers = answers[len(answers) - blocks :] if rival.milliseconds else np.empty(0)
    if rival.calibrated:
        found = _calibrated(rival.name, rival.rule, sums, case, block_answers)
    else:
        found = Outcome(
            name=rival.name,
            rule=rival.rule,
            predicted=sums[len(case.fit) :],
            rows=0,
            blocks=block_answers,
        )
    missing = float(100 * np.isnan(judged).mean())
    return replace(found, rows=len(rows), missing_percent=missing)


def pieces(case: Case) -> list[Shape]:
    """Every distinct piece of the case's networks."""
    return list(dict.fromkeys(s for row in case.networks for s in case.pieces(row)))


def sums_of(case: Case, prices: Prices) -> Floats:
    """Summed prices of fit networks, then held-out ones, [n]."""
    return np.array([sum(prices[s] for s in case.pieces(row)) for row in case.networks])


def line_through(sums: Floats, measured: Floats) -> tuple[float, float]:
    """a and b >= 0 of a + b * sum in relative error, robust; networks without a sum are left out.

    Nan with fewer than three networks.
    """
    known = np.isfinite(sums)
    if known.sum() < 3:
        return float("nan"), float("nan")
    one = np.ones(int(known.sum()))
    more, less, b = fit(np.column_stack([one, -one, sums[known]]), measured[known])
    return float(more - less), float(b)


def _calibrated(name: str, rule: str, sums: Floats, case: Case, blocks: Floats) -> Outcome:
    count = len(case.fit)
    a, b = line_through(sums[:count], latencies(case.fit))
    return Outcome(
        name=name,
        rule=rule,
        predicted=a + b * sums[count:],
        rows=len(case.rows),
        networks=int(np.isfinite(sums[:count]).sum()),
        line=(a, b),
        blocks=blocks,
    )


def _alone(predictor: Predictor, shapes: Sequence[Shape]) -> Floats:
    """Our models' answers for pieces measured alone; nan outside the measured range."""
    answers = np.full(len(shapes), np.nan)
    for geometry in {shape.geometry for shape in shapes}:
        model = predictor.blocks.models.get(geometry)
        if model is None:
            continue
        places = [i for i, shape in enumerate(shapes) if shape.geometry == geometry]
        widths = np.array([shapes[i].widths for i in places])
        inside = ((widths >= model.low) & (widths <= model.high)).all(axis=1)
        if inside.any():
            answers[np.array(places)[inside]] = model.predict(widths[inside])
    return answers


def _encoded(networks: Iterable[NetworkRow]) -> Rows:
    return encode([row.config for row in networks])
