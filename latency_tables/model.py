"""The step-aware block model: what a shape of a measured geometry costs.

A nonnegative combination of `latency_tables.features`, one per geometry, all of them found together
by `latency_tables.fitting`. It answers inside the measured range of every axis and nowhere else.
Knows nothing of whole networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from latency_tables.features import STREAM, Floats, Mask, design, features, links, stream
from latency_tables.grain import Grain
from latency_tables.joint import borders
from latency_tables.table import LatencyTable, MissingShapeError
from supernet.arithmetic import Rows
from supernet.shapes import Shape


@dataclass(frozen=True, kw_only=True)
class BlockModel:
    """Fitted latency of one geometry.

    Attributes:
        sample: any measured shape, for the geometry's strides and sizes.
        grain: how the runtime rounds widths.
        coefficients: of `design`: what its layers cost.
        ends: of `joint.ends`: what the residual stream costs, and leaving it, [7].
        launch_ms: start of a run, which pieces measured alone pay once each.
        inside: its rows were measured inside chains, where nobody pays for that.
        low, high: measured range of every axis, [axes].
        points: rows fitted.
        mape_percent: mean absolute error of rows left out of the fit; nan with one row.
        flops_linear_mape_percent: the same of a straight line in MACs.
    """

    sample: Shape
    grain: Grain
    coefficients: Floats
    ends: Floats
    launch_ms: float
    low: Rows
    high: Rows
    points: int
    mape_percent: float
    flops_linear_mape_percent: float
    inside: bool = False

    def predict(self, widths: Rows) -> Floats:
        """Latency in ms of shapes with these widths measured as its rows were, [n, axes] to [n].

        Raises:
            MissingShapeError: outside the measured range; names the nearest width inside it.
        """
        self.check(widths)
        w, inside = widths.astype(np.float64), np.full(len(widths), self.inside)
        around: Floats = borders(self.sample, w, self.grain, inside) @ self.ends
        around += 0.0 if self.inside else self.launch_ms
        return around + design(self.sample, w, self.grain) @ self.coefficients

    def stream(self, widths: Rows, into: Mask) -> tuple[Floats, Mask]:
        """What the residual stream costs in a network, in ms, and whether it leaves grouped.

        Args:
            widths: [n, axes], unchecked.
            into: whether it enters grouped, [n].
        """
        found, out = stream(self.sample, widths.astype(np.float64), self.grain, into)
        cost: Floats = found @ self.ends[:STREAM]
        return cost, out

    def link(self, index: int, source: Floats, target: Floats) -> Floats:
        """What layer `index` costs in a network, elementwise for input and output widths, [n].

        Unchecked, so that a caller may tabulate pairs. The layers' shares, the first coefficient
        and `stream` add up to the piece's cost in a network.
        """
        link, part = links(self.sample)[index], self._parts[index]
        return features(link, source, target, self.grain) @ part

    @cached_property
    def _parts(self) -> list[Floats]:
        """The coefficients of each layer."""
        one = np.ones(1)
        sizes = [features(link, one, one, self.grain).shape[1] for link in links(self.sample)]
        return np.split(self.coefficients[1:], np.cumsum(sizes)[:-1])

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
    models: Mapping[str, BlockModel] = field(default_factory=dict)

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
