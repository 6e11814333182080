"""`Group`: the rows of one geometry that a fit uses, and how well they predict each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from latency_tables.features import Floats, Mask
from latency_tables.fit import FOLDS, cross_validated, fit
from latency_tables.grain import Grain, search
from latency_tables.joint import Layout
from latency_tables.table import Measurement
from supernet.shapes import BlockShape, Shape

ENOUGH = 8  # rows without flags; with fewer, flagged ones are fitted too
CLIP = 0.5  # a point missed by more says no more about the grain


@dataclass(frozen=True)
class Group:
    """Rows of one geometry, measured alone or inside chains.

    Attributes:
        shapes: those that take part.
        measured: their latency in ms.
        inside: those measured inside chains, [n].
    """

    shapes: list[Shape]
    measured: Floats
    inside: Mask

    @classmethod
    def of(cls, rows: Mapping[Shape, Measurement]) -> Group:
        """The rows without flags, or all where those are too few."""
        used = [shape for shape, row in rows.items() if not row.flags]
        if len(used) < ENOUGH:
            used = list(rows)
        inside = np.array([rows[shape].isolated is not None for shape in used], dtype=np.bool_)
        return cls(used, np.array([rows[shape].median for shape in used]), inside)

    @property
    def widths(self) -> Floats:
        """[n, axes]."""
        return np.array([shape.widths for shape in self.shapes], dtype=np.float64)

    @property
    def mostly_inside(self) -> bool:
        """How its shapes are measured as a rule: inside chains, or alone."""
        return bool(self.inside.mean() > 0.5)

    def features(self, widths: Floats, grain: Grain, inside: Mask) -> Floats:
        """Features of shapes of this geometry, [n, f]; `inside` as of the group."""
        name = self.shapes[0].geometry
        return Layout({name: self.shapes[0]}, grain).alone(name, widths, inside)

    def errors(self, grain: Grain) -> Floats:
        """Relative errors of rows left out of the fit; empty with one row."""
        if len(self.shapes) < 2:
            return np.empty(0)
        return cross_validated(self.features(self.widths, grain, self.inside), self.measured)

    def flops_errors(self) -> Floats:
        """The same of a straight line in MACs."""
        if len(self.shapes) < 2:
            return np.empty(0)
        line = np.array([[1.0, shape.macs] for shape in self.shapes])
        return cross_validated(line, self.measured)

    def disagreement(self, widths: Floats, grain: Grain) -> Floats:
        """How far models fitted to parts of the rows lie apart, relative, [n]."""
        x = self.features(self.widths, grain, self.inside)
        order = np.arange(len(self.shapes))
        asked = self.features(widths, grain, np.full(len(widths), self.mostly_inside))
        answers = np.array(
            [
                asked @ fit(x[order % FOLDS != fold], self.measured[order % FOLDS != fold])
                for fold in range(FOLDS if len(order) > FOLDS else 1)
            ]
        )
        spread: Floats = answers.std(axis=0) / np.maximum(answers.mean(axis=0), 1e-9)
        return spread


def grain_of(groups: Iterable[Group]) -> Grain:
    """The grain that predicts left-out bottlenecks best, all geometries together."""
    blocks = [
        group
        for group in groups
        if isinstance(group.shapes[0], BlockShape) and len(group.shapes) >= ENOUGH
    ]
    if not blocks:
        return Grain()

    def error(grain: Grain) -> float:
        errors = [np.minimum(np.abs(group.errors(grain)), CLIP).mean() for group in blocks]
        return float(np.mean(errors))

    return search(error)
