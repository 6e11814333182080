"""Fitting a table: block models, the line to the network, its held-out error and upper bound.

Rows, chains and the networks of role `fit` are fitted together (`latency_tables.joint`); networks
of role `held-out` take no part and judge. The upper bound is split-conformal over them, so it
holds for networks drawn as those were. Flagged measurements are left aside, unless too few are
free of flags. Knows nothing of search or of how rows were measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from latency_tables.calibrate import FEWEST, Line, calibrate
from latency_tables.conformal import Bound, Source, bound
from latency_tables.features import Floats
from latency_tables.fit import fit
from latency_tables.fitted import Fitted
from latency_tables.grain import Grain, aligned
from latency_tables.groups import Group, grain_of
from latency_tables.joint import ENDS, Layout
from latency_tables.judge import HeldOut, judge
from latency_tables.model import BlockModel
from latency_tables.table import LatencyTable, NetworkRow, TableError
from supernet.arithmetic import encode, macs
from supernet.shapes import Shape

CHAIN_WEIGHT, NETWORK_WEIGHT = 2.0, 16.0  # they hold many pieces, and are what is predicted
PLAINLY = 0.67  # networks overrule the rows on alignment where that leaves this share of the error
LEAST_RATIO = 0.1  # a block predicted at nothing must not make an infinite bound
PULL = 1.0  # towards the coefficients that rows and chains alone give


def fit_table(table: LatencyTable) -> LatencyTable:
    """The table with its fit; as it is, where it holds one that belongs to it."""
    return replace(table, fitted=current_fit(table))


def current_fit(table: LatencyTable) -> Fitted:
    """The table's fit: the one it holds if that belongs to its rows, else a new one."""
    if table.fitted is not None and table.fitted.fingerprint == table.fingerprint:
        return table.fitted
    return _Fit(table).result()


class _Fit:
    """One fit in the making."""

    def __init__(self, table: LatencyTable, grain: Grain | None = None) -> None:
        if not table.rows:
            raise TableError("a table without rows predicts nothing")
        self.table = table
        self._given = grain
        self.groups = {name: Group.of(rows) for name, rows in table.by_geometry().items()}
        self.disturbed = self._mostly_flagged()
        kept = [r for r in table.networks if self.disturbed or not r.measurement.flags]
        self.priced = [row for row in kept if self._inside(row)]
        self.unpriced = len(kept) - len(self.priced)

    def result(self) -> Fitted:
        fitted, judged = self._role("fit"), self._role("held-out")
        solved = self._solve(fitted)
        line = calibrate(self._sums(fitted, solved), _measured(fitted))
        expected = line(self._sums(judged, solved))
        return Fitted(
            fingerprint=self.table.fingerprint,
            grain=self.grain,
            models={name: self._model(name, solved) for name in self.groups},
            launch_ms=float(solved[-1]),
            line=line,
            held_out=self._judged(fitted, judged, expected),
            bound=self._bound(fitted, judged, solved, line),
            unpriced=self.unpriced,
            flagged=sum(bool(row.measurement.flags) for row in self.table.networks),
            disturbed=self.disturbed,
        )

    @cached_property
    def grain(self) -> Grain:
        return self._given or self._heard(grain_of(self.groups.values()))

    def _heard(self, grain: Grain) -> Grain:
        """The rows' grain, unless networks show plainly that widths have to be aligned.

        Blocks alone need not show it, since they are fed plain maps, and small ones pay for that
        whatever their widths are.
        """
        networks = self._role("fit")
        if grain.align > 1 or len(networks) < FEWEST:
            return grain
        errors = {g: _Fit(self.table, g)._off(networks) for g in (grain, *aligned(grain))}
        best = min(errors, key=lambda g: errors[g])
        return best if errors[best] < PLAINLY * errors[grain] else grain

    def _off(self, networks: Sequence[NetworkRow]) -> float:
        """Mean error of networks by rows, chains and a line."""
        sums, measured = self._sums(networks, self._solve([])), _measured(networks)
        return float(np.abs(calibrate(sums, measured)(sums) / measured - 1).mean())

    @cached_property
    def layout(self) -> Layout:
        return Layout({name: group.shapes[0] for name, group in self.groups.items()}, self.grain)

    def _solve(self, fitted: Sequence[NetworkRow]) -> Floats:
        """Coefficients: first by rows and chains, then with the networks, staying near those.

        A network is a sum of many pieces: alone it does not say which, and the steps that rows
        show must not be smeared over for its sake.
        """
        rows = [
            self.layout.alone(name, group.widths, group.inside)
            for name, group in self.groups.items()
        ]
        measured = [group.measured for group in self.groups.values()]
        weights = [np.ones(len(values)) for values in measured]
        chains = [
            c
            for c in self.table.chains
            if not c.measurement.flags and all(s.geometry in self.groups for s in c.pieces)
        ]
        if chains:
            rows.append(np.array([self.layout.chain(c.pieces) for c in chains]))
            measured.append(np.array([c.measurement.median for c in chains]))
            weights.append(np.full(len(chains), CHAIN_WEIGHT))
        found = fit(np.vstack(rows), np.concatenate(measured), np.concatenate(weights))
        if fitted:
            rows.append(np.array([self.layout.chain(self._pieces(row)) for row in fitted]))
            measured.append(_measured(fitted))
            weights.append(np.full(len(fitted), NETWORK_WEIGHT))
            x, y, trust = np.vstack(rows), np.concatenate(measured), np.concatenate(weights)
            found = fit(x, y, trust, near=found, pull=PULL)
        return found

    def _model(self, name: str, solved: Floats) -> BlockModel:
        group, place = self.groups[name], self.layout.places[name]
        # A flag doubts the latency of a shape, not that it was reached: the range keeps its widths.
        reached = np.array([s.widths for s in self.table.by_geometry()[name]])
        return BlockModel(
            sample=group.shapes[0],
            grain=self.grain,
            coefficients=solved[place],
            ends=solved[place.stop : place.stop + ENDS],
            launch_ms=float(solved[-1]),
            low=reached.min(axis=0),
            high=reached.max(axis=0),
            points=len(group.shapes),
            inside=group.mostly_inside,
            mape_percent=_mape(group.errors(self.grain)),
            flops_linear_mape_percent=_mape(group.flops_errors()),
        )

    def _pieces(self, row: NetworkRow) -> list[Shape]:
        return self.table.network.shapes(row.config)

    def _sums(self, networks: Sequence[NetworkRow], solved: Floats) -> Floats:
        if not networks:
            return np.empty(0)
        return np.array([self.layout.chain(self._pieces(row)) for row in networks]) @ solved

    def _role(self, role: str) -> list[NetworkRow]:
        return [row for row in self.priced if row.role == role]

    def _mostly_flagged(self) -> bool:
        """Whether a role has networks enough only if the flagged ones are counted."""
        for role in ("fit", "held-out"):
            flags = [bool(row.measurement.flags) for row in self.table.networks if row.role == role]
            if flags.count(False) < min(FEWEST, len(flags)):
                return True
        return False

    @cached_property
    def _ranges(self) -> dict[str, tuple[Floats, Floats]]:
        found = {}
        for name, rows in self.table.by_geometry().items():
            widths = np.array([shape.widths for shape in rows])
            found[name] = (widths.min(axis=0), widths.max(axis=0))
        return found

    def _inside(self, row: NetworkRow) -> bool:
        for shape in self._pieces(row):
            if shape.geometry not in self._ranges:
                return False
            low, high = self._ranges[shape.geometry]
            if ((np.array(shape.widths) < low) | (np.array(shape.widths) > high)).any():
                return False
        return True

    def _judged(
        self, fitted: Sequence[NetworkRow], judged: Sequence[NetworkRow], expected: Floats
    ) -> HeldOut:
        rival = np.full(len(judged), np.nan)
        if judged and len(fitted) >= FEWEST:
            rival = calibrate(self._macs(fitted), _measured(fitted))(self._macs(judged))
        return judge(expected, _measured(judged), rival)

    def _macs(self, networks: Sequence[NetworkRow]) -> Floats:
        rows = encode([row.config for row in networks])
        return macs(self.table.network, rows).astype(np.float64)

    def _bound(
        self,
        fitted: Sequence[NetworkRow],
        judged: Sequence[NetworkRow],
        solved: Floats,
        line: Line,
    ) -> Bound:
        candidates: tuple[tuple[Sequence[NetworkRow], Source], ...] = (
            (judged, "held-out networks"),
            (fitted, "fitted networks"),
        )
        for networks, source in candidates:
            if networks:
                ratios = _measured(networks) / line(self._sums(networks, solved))
                return bound(ratios, source)
        errors = [group.errors(self.grain) for group in self.groups.values()]
        # An error is prediction / measurement - 1; the bound needs the inverse ratio.
        ratios = 1 / np.maximum(1 + np.concatenate([*errors, np.empty(0)]), LEAST_RATIO)
        return bound(ratios, "left-out blocks")


def _measured(networks: Sequence[NetworkRow]) -> Floats:
    return np.array([row.measurement.median for row in networks])


def _mape(errors: Floats) -> float:
    return float(100 * np.abs(errors).mean()) if len(errors) else float("nan")
