"""`Predictor`: latency of whole networks from a table, with its measured error and an upper bound.

Reads the table's fit (`latency_tables.fitting`); where the table holds none that belongs to its
rows, one is made. Knows nothing of search or of how rows were measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from latency_tables.features import Floats
from latency_tables.fitting import current_fit
from latency_tables.model import BlockModels
from latency_tables.pricing import Pricer
from latency_tables.table import (
    LatencyTable,
    MissingShapeError,
    NetworkRow,
    TargetMismatchError,
)
from supernet.arithmetic import Rows, encode
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
        fitted: its fit.
        blocks: the block models.
        line: from the sum of pieces to the network.
        held_out: errors on networks never fitted; to be shown beside every prediction.
        bound: the upper bound, with the coverage it guarantees.
    """

    def __init__(self, table: LatencyTable, network: NetworkSpec | None = None) -> None:
        """Reads the fit, or makes one.

        Args:
            table: rows and networks.
            network: where given, it must be the table's.

        Raises:
            TableError: the table has no rows.
            TargetMismatchError: `network` is not the one that the table covers.
        """
        self.table = table
        if network is not None:
            self.require(network)
        self.fitted = current_fit(table)
        self.blocks = BlockModels(table=table, models=self.fitted.models)
        self.pricer = Pricer(self.blocks)
        self.line, self.bound = self.fitted.line, self.fitted.bound
        self.held_out = self.fitted.held_out

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
        sums = self.fitted.launch_ms + self.pricer.price(rows)
        predicted = np.maximum(self.line(sums), FLOOR * sums)
        return predicted, predicted * self.bound.factor

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
        """Every measured network that can be predicted."""
        priced = [row for row in self.table.networks if self._has_price(row)]
        predicted = self.predict(_rows(priced))[0] if priced else np.empty(0)
        return [
            NetworkPoint(role=row.role, predicted=float(p), measured=row.measurement.median)
            for row, p in zip(priced, predicted, strict=True)
        ]

    def _has_price(self, row: NetworkRow) -> bool:
        try:
            self.pricer.price(encode([row.config]))
        except MissingShapeError:
            return False
        return True


def _rows(networks: Sequence[NetworkRow]) -> Rows:
    return encode([row.config for row in networks])
