"""`Planner`: which shapes, chains and networks to measure next, given what was measured.

Coarse points first: the corners, a few widths along every axis, random interior points. Then
bisection where neighbours along an axis differ most, until the steps lie between two neighbouring
widths, and every width around the steepest one. Then random points where models fitted to parts of
the rows disagree, until left-out rows are predicted within the wanted error. Measures nothing; the
same rows and the same seed give the same answer, so an interrupted plan continues.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from latency_tables.table import Measurement, Role
from profiler.bisect import edges_wanted
from profiler.doubt import Doubt
from profiler.families import Family, families
from profiler.plan_networks import draw_chains, draw_networks
from profiler.sweep import moved
from supernet.config import ChannelConfig, ConfigError
from supernet.shapes import BlockShape, Shape
from supernet.space import SearchSpace

Rows = Mapping[Shape, Measurement]

COARSE = (7, 5)
"""Widths of a coarse sweep of the first axis, and of the others."""
FEWEST = 5
"""Of the first axis, however few points there are: fewer show no stairs."""
SWEEPS_SHARE = 0.5
"""Of a geometry's points, what coarse sweeps and bisection may take."""
INTERIOR_SHARE = 0.25
"""And what is drawn at random before any model is fitted."""
FILL = 12
"""Points of a geometry added at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goals:
    """How much to measure.

    Attributes:
        points_per_geometry: most shapes per distinct bottleneck; a third of it for stem and head.
        target_error_percent: mean error of left-out rows at which a geometry has enough points.
        chains: bottlenecks measured behind each other.
        networks_fit, networks_held_out: whole networks.
    """

    points_per_geometry: int = 150
    target_error_percent: float = 2.5
    chains: int = 60
    networks_fit: int = 100
    networks_held_out: int = 40

    def __post_init__(self) -> None:
        counts = (self.chains, self.networks_fit, self.networks_held_out)
        if self.points_per_geometry < 2 or min(counts) < 0 or self.target_error_percent <= 0:
            raise ConfigError(
                "points_per_geometry >= 2, chains and networks >= 0, and target_error_percent > 0 "
                f"must hold, but got {self}"
            )


class Planner:
    """Asks for shapes until none is wanted; chains and networks are known from the start.

    Attributes:
        chains: bottlenecks to measure behind each other.
        networks: whole networks with their roles.
    """

    def __init__(self, space: SearchSpace, goals: Goals | None = None, seed: int = 0) -> None:
        self.goals = goals or Goals()
        self.seed = seed
        self.families = families(space)
        rng = np.random.default_rng(seed)
        self._coarse = {f.dense.geometry: self._first(f, rng) for f in self.families}
        fit = draw_networks(space, self.goals.networks_fit, rng)
        held_out = draw_networks(space, self.goals.networks_held_out, rng, taken=fit)
        roles: list[tuple[ChannelConfig, Role]] = [(config, "fit") for config in fit]
        roles.extend((config, "held-out") for config in held_out)
        self.networks = tuple(roles)
        self.chains = tuple(draw_chains(space, self.goals.chains, rng))

    def most(self, family: Family) -> int:
        """Points that a geometry may take."""
        block = isinstance(family.dense, BlockShape)
        return max(2, self.goals.points_per_geometry // (1 if block else 3))

    @property
    def total(self) -> int:
        """Points at most, without chains and networks."""
        return sum(self.most(family) for family in self.families)

    def next(self, rows: Rows, lost: Container[object] = ()) -> list[Shape]:
        """Shapes to measure now; none when all goals are met.

        Args:
            lost: shapes that cannot be measured.
        """
        for ask in (self._missing, self._bisection, self._filling):
            if wanted := [shape for shape in ask(rows) if shape not in lost]:
                return wanted
        return []

    def _first(self, family: Family, rng: np.random.Generator) -> list[Shape]:
        most = self.most(family)
        found = dict.fromkeys(family.corners())
        share = int(SWEEPS_SHARE * most / len(family.sweeps))
        for axis in family.sweeps:
            first = axis == family.sweeps[0]
            wanted = max(FEWEST, min(COARSE[0], share)) if first else min(COARSE[1], share)
            widths = spread(family.widths(axis), wanted, rng)
            found.update(dict.fromkeys(moved(family.dense, axis, w) for w in widths))
        drawn = family.draw(round(INTERIOR_SHARE * most), rng)
        return list(dict.fromkeys([*found, *drawn]))[:most]

    def _missing(self, rows: Rows) -> Iterator[Shape]:
        for wanted in self._coarse.values():
            yield from (shape for shape in wanted if shape not in rows)

    def _bisection(self, rows: Rows) -> Iterator[Shape]:
        for family in self.families:
            known = _of(rows, family)
            left = int((SWEEPS_SHARE + INTERIOR_SHARE) * self.most(family)) - len(known)
            left = min(left, self.most(family) - len(known))
            wanted = list(dict.fromkeys(edges_wanted(family, known)))
            yield from wanted[: max(0, left)]

    def _filling(self, rows: Rows) -> Iterator[Shape]:
        doubt: Doubt | None = None
        for number, family in enumerate(self.families):
            known = _of(rows, family)
            left = self.most(family) - len(known)
            if left <= 0:
                continue
            doubt = doubt or Doubt(rows)
            if doubt.error_percent(family.dense.geometry) <= self.goals.target_error_percent:
                continue
            rng = np.random.default_rng([self.seed, number, len(known)])
            fresh = [s for s in dict.fromkeys(family.draw(20 * FILL, rng)) if s not in known]
            yield from doubt.most_doubtful(fresh, min(FILL, left))


def _of(rows: Rows, family: Family) -> dict[Shape, Measurement]:
    geometry = family.dense.geometry
    return {shape: row for shape, row in rows.items() if shape.geometry == geometry}


def spread(widths: Sequence[int], count: int, rng: np.random.Generator) -> list[int]:
    """Up to `count` of the widths: both ends, and a random one from each equal part between.

    Random, because equal steps would see stairs only at multiples of the step.
    """
    if len(widths) <= max(count, 2):
        return list(widths)
    bounds = np.linspace(1, len(widths) - 1, max(count, 2) - 1).round().astype(int)
    middle = [int(rng.integers(a, b)) for a, b in pairwise(bounds)]
    return [widths[0], *(widths[i] for i in middle), widths[-1]]
