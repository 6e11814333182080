"""The step-aware block model: what a shape of a measured geometry costs, fitted to its rows.

One model per geometry, a nonnegative combination of `latency_tables.features`; the edge to which
channels are rounded is chosen by cross-validation, never assumed. It answers inside the measured
range of every axis and nowhere else. Knows nothing of whole networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from latency_tables.features import EDGES, Floats, design, features, links
from latency_tables.fit import cross_validated, fit
from latency_tables.table import LatencyTable, Measurement, MissingShapeError, TableError
from supernet.arithmetic import Rows
from supernet.shapes import Shape

ENOUGH = 8  # rows without flags; with fewer, flagged ones are fitted too


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockModel:
    """Fitted latency of one geometry.

    Attributes:
        sample: any measured shape, for the geometry's strides and sizes.
        edge: channels are rounded to this, as far as cross-validation can tell.
        coefficients: of `design`, [1 + links * f].
        low, high: measured range of every axis, [axes].
        points: rows fitted.
        errors: relative cross-validation error of each, [points]; empty with one row.
        flops_errors: the same of a straight line in MACs.
    """

    sample: Shape
    edge: int
    coefficients: Floats
    low: Rows
    high: Rows
    points: int
    errors: Floats
    flops_errors: Floats

    @property
    def mape_percent(self) -> float:
        """Mean absolute cross-validation error in percent; nan with one row."""
        return float(100 * np.abs(self.errors).mean()) if len(self.errors) else float("nan")

    @property
    def flops_linear_mape_percent(self) -> float:
        """The same of a straight line in MACs."""
        errors = self.flops_errors
        return float(100 * np.abs(errors).mean()) if len(errors) else float("nan")

    def predict(self, widths: Rows) -> Floats:
        """Latency in ms of shapes with these widths, [n, axes] to [n].

        Raises:
            MissingShapeError: outside the measured range; names the nearest width inside it.
        """
        self.check(widths)
        return design(self.sample, widths.astype(np.float64), self.edge) @ self.coefficients

    def link(self, index: int, source: Floats, target: Floats) -> Floats:
        """The share of layer `index` in `predict`, elementwise for input and output widths, [n].

        Unchecked, so that a caller may tabulate pairs. The layers'
        shares and the first coefficient add up to `predict`.
        """
        chain = links(self.sample)
        part = np.split(self.coefficients[1:], len(chain))[index]
        return features(chain[index], source, target, self.edge) @ part

    def check(self, widths: Rows) -> None:
        """Raises MissingShapeError unless all `widths` [n, axes] lie in the measured range."""
        inside = np.clip(widths, self.low, self.high)
        if (wrong := (inside != widths).any(axis=1)).any():
            first = int(wrong.argmax())
            ranges = zip(self.sample.axes, self.low, self.high, strict=True)
            measured = ", ".join(f"{axis} {low}..{high}" for axis, low, high in ranges)
            raise MissingShapeError(
                f"{self.sample.geometry} with widths {widths[first].tolist()} lies outside what "
                f"was measured ({measured}); nearest inside: {inside[first].tolist()}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockModels:
    """The models of a table, by geometry."""

    table: LatencyTable
    models: Mapping[str, BlockModel]

    @classmethod
    def of(cls, table: LatencyTable) -> BlockModels:
        """Fits a model to every geometry of `table`."""
        groups = table.by_geometry()
        return cls(table=table, models={name: fit_rows(rows) for name, rows in groups.items()})

    def model(self, geometry: str) -> BlockModel:
        """The model of a geometry.

        Raises:
            MissingShapeError: the table has no row of it; names the geometries it has.
        """
        if geometry not in self.models:
            known = ", ".join(self.models) or "none"
            raise MissingShapeError(f"{geometry} is not in the table; measured: {known}")
        return self.models[geometry]

    def shape(self, shape: Shape) -> float:
        """Latency of one shape in ms: its own row if it has no flag, else the model's answer.

        Raises:
            MissingShapeError: the geometry or these widths are outside what was measured.
        """
        row = self.table.rows.get(shape)
        if row is not None and not row.flags:
            return row.median
        return float(self.model(shape.geometry).predict(np.array([shape.widths]))[0])


def fit_rows(rows: Mapping[Shape, Measurement]) -> BlockModel:
    """Fits the model of one geometry.

    Raises:
        TableError: no rows, or rows of several geometries.
    """
    if len({shape.geometry for shape in rows}) != 1:
        raise TableError(f"a block model needs rows of one geometry, got {len(rows)} rows")
    used = [shape for shape, row in rows.items() if not row.flags]
    if len(used) < ENOUGH:
        used = list(rows)
    sample, widths = used[0], np.array([shape.widths for shape in used])
    y = np.array([rows[shape].median for shape in used])
    # A flag doubts the latency of a shape, not that it was reached: the range keeps its widths.
    measured = np.array([shape.widths for shape in rows])
    macs = np.array([[1.0, shape.macs] for shape in used])
    edges = EDGES if len(used) >= ENOUGH else EDGES[:1]
    trials = {edge: design(sample, widths.astype(np.float64), edge) for edge in edges}
    several = len(used) > 1
    errors = {e: cross_validated(x, y) if several else np.empty(0) for e, x in trials.items()}
    edge = min(edges, key=lambda e: float(np.abs(errors[e]).mean()) if several else 0.0)
    return BlockModel(
        sample=sample,
        edge=edge,
        coefficients=fit(trials[edge], y),
        low=measured.min(axis=0),
        high=measured.max(axis=0),
        points=len(used),
        errors=errors[edge],
        flops_errors=cross_validated(macs, y) if several else np.empty(0),
    )
