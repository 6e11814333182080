"""`Case`: what every predictor is given, and the networks it is judged on.

All predictors get the same unflagged rows and the same fit networks, and are judged on the same
held-out networks: those without flags whose pieces lie inside the measured ranges. Knows nothing of
how anything was measured. Not run by itself; see `benchmarks.latency.rivals`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from latency_tables.fitting import fit_table
from latency_tables.predict import Predictor
from latency_tables.table import LatencyTable, MissingShapeError, NetworkRow, TableError
from supernet.arithmetic import encode
from supernet.shapes import Shape

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Prices = Mapping[Shape, float]

GRID = 8
"""A network is aligned if all its widths are multiples of this."""
FEWEST = 8
"""Unflagged rows of a geometry; with fewer, its flagged rows are used too, as our own fit does."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One table, its usable rows and networks.

    Attributes:
        table: where everything comes from, with our fit.
        fit: networks that predictors may be fitted to.
        held_out: networks that judge them.
        left_aside: networks that are flagged, or reach beyond the measured rows.
    """

    table: LatencyTable
    fit: tuple[NetworkRow, ...]
    held_out: tuple[NetworkRow, ...]
    left_aside: int

    @classmethod
    def of(cls, table: LatencyTable) -> Case:
        """Chooses the networks.

        Raises:
            TableError: too few networks to fit a line to, or none to judge on.
        """
        table = fit_table(table)
        predictor = Predictor(table)
        kept = [row for row in table.networks if _usable(row, predictor)]
        fit = tuple(row for row in kept if row.role == "fit")
        held_out = tuple(row for row in kept if row.role == "held-out")
        if len(fit) < 3 or len(held_out) < 2:
            raise TableError(
                "a comparison needs at least 3 usable fit networks and 2 held-out ones, but the "
                f"table has {len(fit)} and {len(held_out)}"
            )
        aside = len(table.networks) - len(kept)
        return cls(table=table, fit=fit, held_out=held_out, left_aside=aside)

    @property
    def rows(self) -> dict[Shape, float]:
        """Medians in ms of the rows that predictors are built from."""
        found: dict[Shape, float] = {}
        for rows in self.table.by_geometry().values():
            good = {shape: row.median for shape, row in rows.items() if not row.flags}
            every = {shape: row.median for shape, row in rows.items()}
            found.update(good if len(good) >= FEWEST else every)
        return found

    @property
    def networks(self) -> tuple[NetworkRow, ...]:
        """Fit networks, then held-out ones."""
        return self.fit + self.held_out

    @property
    def measured(self) -> Floats:
        """Latencies of the held-out networks in ms, [n]."""
        return latencies(self.held_out)

    @property
    def aligned(self) -> Mask:
        """Which held-out networks have only widths on the grid, [n]."""
        widths = encode([row.config for row in self.held_out])
        on_grid: Mask = (widths % GRID == 0).all(axis=1)
        return on_grid

    def pieces(self, row: NetworkRow) -> list[Shape]:
        """Stem, bottlenecks and head of a network."""
        return self.table.network.shapes(row.config)

    def thinned(self, rows: Iterable[Shape]) -> Case:
        """The same case with only these rows; chains and networks stay."""
        kept = {shape: self.table.rows[shape] for shape in rows}
        return replace(self, table=replace(self.table, rows=kept, fitted=None))


def latencies(networks: Iterable[NetworkRow]) -> Floats:
    """Measured medians in ms, [n]."""
    return np.array([row.measurement.median for row in networks])


def _usable(row: NetworkRow, predictor: Predictor) -> bool:
    if row.measurement.flags and not predictor.fitted.disturbed:
        return False
    try:
        predictor.config(row.config)
    except MissingShapeError:
        return False
    return True
