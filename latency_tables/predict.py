"""`Predictor`: latency of whole networks from a table, with its measured error and an upper bound.

The sum of blocks, stem and head is carried to the network by `latency_tables.calibrate`, fitted to
the table's networks of role `fit` and judged on those of role `held-out`; the upper bound is
split-conformal over the latter, so it holds for networks drawn as those were.
Knows nothing of search or of how rows were measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from latency_tables.calibrate import FEWEST, Line, calibrate
from latency_tables.conformal import Bound, Source, bound
from latency_tables.features import Floats
from latency_tables.judge import HeldOut, judge
from latency_tables.model import BlockModels
from latency_tables.pricing import Pricer
from latency_tables.table import (
    LatencyTable,
    MissingShapeError,
    NetworkRow,
    TargetMismatchError,
)
from supernet.arithmetic import Rows, encode, macs
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec

# A line with a negative intercept would price the smallest networks at less than nothing.
FLOOR = 0.1  # of the plain sum


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Latency of one config in ms: expected, and not exceeded by `Predictor.bound`'s share."""

    predicted: float
    upper: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPoint:
    """A measured network beside its prediction, in ms."""

    role: str
    predicted: float
    measured: float


class Predictor:
    """Prices configs of a table's network.

    Attributes:
        table: where everything comes from.
        blocks: the block models.
        line: from the sum of blocks to the network.
        held_out: errors on networks never fitted; to be shown beside every prediction.
        bound: the upper bound, with the coverage it guarantees.
        unpriced: measured networks left aside because a shape lies outside the measured rows.
        flagged: measured networks with flags; they are left aside unless `disturbed`.
        disturbed: of one role fewer than five networks are free of flags, so the flagged ones take
            part too; errors and bound then tell of the disturbance as well.
    """

    def __init__(self, table: LatencyTable, network: NetworkSpec | None = None) -> None:
        """Fits everything.

        Args:
            table: rows and networks.
            network: where given, it must be the table's.

        Raises:
            TargetMismatchError: `network` is not the one that the table covers.
        """
        self.table = table
        if network is not None:
            self.require(network)
        self.blocks = BlockModels.of(table)
        self.pricer = Pricer(self.blocks)
        self.flagged = sum(bool(row.measurement.flags) for row in table.networks)
        self.disturbed = self._mostly_flagged()
        priced = self._priced()
        counted = len(table.networks) if self.disturbed else len(table.networks) - self.flagged
        self.unpriced = counted - len(priced)
        fitted = [row for row in priced if row.role == "fit"]
        judged = [row for row in priced if row.role == "held-out"]
        self.line = self._line(fitted)
        self.pricer = Pricer(self.blocks, self.line.c / self.line.b)
        self.held_out = self._judged(fitted, judged)
        self.bound = self._bound(fitted, judged)

    def require(self, network: NetworkSpec) -> None:
        """Raises TargetMismatchError unless the table covers `network`."""
        if network != self.table.network:
            raise TargetMismatchError(
                f"the table covers the network {self.table.network}, but {network} is asked for"
            )

    def predict(self, rows: Rows) -> tuple[Floats, Floats]:
        """Latency of a population.

        Args:
            rows: as `supernet.arithmetic.encode` writes them, [n, columns].

        Returns:
            Expected latency and upper bound in ms, each [n].

        Raises:
            MissingShapeError: a shape outside what was measured.
            TargetMismatchError: rows of another network.
        """
        predicted = self._expected(rows)
        return predicted, predicted * self.bound.factor

    def _expected(self, rows: Rows) -> Floats:
        sums = self.pricer.price(rows)
        return np.maximum(self.line(sums, self.pricer.shares(rows)), FLOOR * sums)

    def config(self, config: ChannelConfig) -> Prediction:
        """Latency of one config.

        Raises:
            ConfigError: not a config of the table's network.
            MissingShapeError: a shape outside what was measured.
        """
        self.table.network.check(config)
        predicted, upper = self.predict(encode([config]))
        return Prediction(predicted=float(predicted[0]), upper=float(upper[0]))

    def networks(self) -> list[NetworkPoint]:
        """Every network that took part in fitting or judging."""
        priced = self._priced()
        predicted = self._expected(_rows(priced)) if priced else np.empty(0)
        return [
            NetworkPoint(role=row.role, predicted=float(p), measured=row.measurement.median)
            for row, p in zip(priced, predicted, strict=True)
        ]

    def _mostly_flagged(self) -> bool:
        """Whether a role has networks enough only if the flagged ones are counted."""
        for role in ("fit", "held-out"):
            flags = [bool(row.measurement.flags) for row in self.table.networks if row.role == role]
            if flags.count(False) < min(FEWEST, len(flags)):
                return True
        return False

    def _priced(self) -> list[NetworkRow]:
        rows = [r for r in self.table.networks if self.disturbed or not r.measurement.flags]
        if not rows:
            return []
        try:
            self.pricer.price(_rows(rows))
        except MissingShapeError:  # some lie outside: find out which
            return [row for row in rows if self._has_price(row)]
        return rows

    def _has_price(self, row: NetworkRow) -> bool:
        try:
            self.pricer.price(encode([row.config]))
        except MissingShapeError:
            return False
        return True

    def _line(self, fitted: Sequence[NetworkRow]) -> Line:
        if not fitted:
            none = np.empty(0)
            return calibrate(none, none, none, none)
        rows, pricer = _rows(fitted), self.pricer
        return calibrate(
            pricer.price(rows), pricer.shares(rows), pricer.borders(rows), _measured(fitted)
        )

    def _judged(self, fitted: Sequence[NetworkRow], judged: Sequence[NetworkRow]) -> HeldOut:
        rival = np.full(len(judged), np.nan)
        if judged and len(fitted) >= FEWEST:
            none = np.zeros(len(fitted))
            line = calibrate(self._macs(fitted), none + 1, none, _measured(fitted))
            rival = line(self._macs(judged), np.ones(len(judged)))
        predicted = self._expected(_rows(judged)) if judged else np.empty(0)
        return judge(predicted, _measured(judged), rival)

    def _macs(self, networks: Sequence[NetworkRow]) -> Floats:
        return macs(self.table.network, _rows(networks)).astype(np.float64)

    def _bound(self, fitted: Sequence[NetworkRow], judged: Sequence[NetworkRow]) -> Bound:
        candidates: tuple[tuple[Sequence[NetworkRow], Source], ...] = (
            (judged, "held-out networks"),
            (fitted, "fitted networks"),
        )
        for networks, source in candidates:
            if networks:
                return bound(_measured(networks) / self._expected(_rows(networks)), source)
        errors = [model.errors for model in self.blocks.models.values()]
        # An error is prediction / measurement - 1; the bound needs the inverse ratio.
        left_out = 1 / (1 + np.concatenate([*errors, np.empty(0)]))
        return bound(left_out, "left-out blocks")


def _rows(networks: Sequence[NetworkRow]) -> Rows:
    return encode([row.config for row in networks])


def _measured(networks: Sequence[NetworkRow]) -> Floats:
    return np.array([row.measurement.median for row in networks])
