"""`Predictor`: latency of whole networks from a table, with its measured error and an upper bound.

T(net) = a + b * (sum of blocks + stem + head) + c * borders (see `latency_tables.calibrate`), fitted
to the table's networks of role `fit`, judged on those of role `held-out`; the upper bound is
split-conformal over the latter.
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
        flagged: measured networks left aside because of their flags.
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
        priced = self._priced()
        self.unpriced = len(table.networks) - self.flagged - len(priced)
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
        return np.maximum(self.line(sums), FLOOR * sums)

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

    def _priced(self) -> list[NetworkRow]:
        result = []
        for row in self.table.networks:
            if row.measurement.flags:
                continue
            try:
                self.pricer.price(encode([row.config]))
            except MissingShapeError:
                continue
            result.append(row)
        return result

    def _line(self, fitted: Sequence[NetworkRow]) -> Line:
        rows = _rows(fitted)
        if not len(rows):
            return calibrate(np.empty(0), np.empty(0), np.empty(0))
        return calibrate(self.pricer.price(rows), self.pricer.borders(rows), _measured(fitted))

    def _judged(self, fitted: Sequence[NetworkRow], judged: Sequence[NetworkRow]) -> HeldOut:
        rival = np.full(len(judged), np.nan)
        if judged and len(fitted) >= FEWEST:
            line = calibrate(self._macs(fitted), np.zeros(len(fitted)), _measured(fitted))
            rival = line(self._macs(judged))
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
