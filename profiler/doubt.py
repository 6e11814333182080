"""How well measured rows predict others, and where models fitted to parts of them disagree.

Query by committee (Seung, Opper and Sompolinsky 1992). Measures nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from latency_tables.groups import Group, grain_of
from latency_tables.table import Measurement
from supernet.shapes import Shape


class Doubt:
    """About the shapes of a table in the making."""

    def __init__(self, rows: Mapping[Shape, Measurement]) -> None:
        by_geometry: dict[str, dict[Shape, Measurement]] = {}
        for shape in sorted(rows, key=lambda s: (s.geometry, s.widths)):
            by_geometry.setdefault(shape.geometry, {})[shape] = rows[shape]
        self.groups = {name: Group.of(found) for name, found in by_geometry.items()}
        self.grain = grain_of(self.groups.values())

    def error_percent(self, geometry: str) -> float:
        """Mean absolute error of rows left out of the fit, in percent; inf where unknown."""
        group = self.groups.get(geometry)
        errors = group.errors(self.grain) if group is not None else np.empty(0)
        return float(100 * np.abs(errors).mean()) if len(errors) else float("inf")

    def most_doubtful(self, shapes: Sequence[Shape], count: int) -> list[Shape]:
        """The `count` of the shapes, all of one geometry, on which the committee is least agreed.

        Every other one is taken at random (the order given): doubt alone would only ask for
        the rim of the space.
        """
        if not shapes:
            return []
        group = self.groups[shapes[0].geometry]
        spread = group.disagreement(np.array([s.widths for s in shapes], dtype=float), self.grain)
        ranked = [shapes[i] for i in np.argsort(-spread)]
        chosen = dict.fromkeys(ranked[: count - count // 2])
        chosen.update(dict.fromkeys([s for s in shapes if s not in chosen][: count // 2]))
        return list(chosen)
