"""Parts of a table's rows: in random order, and in the order in which they were measured.

Every part begins with the same few rows that span the measured range of every axis, so that all
networks can be priced by all. Not run by itself; see `benchmarks.latency.points`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from benchmarks.latency.cases import Case
from latency_tables.table_file import shape_from_json
from supernet.shapes import Shape


def anchors(case: Case) -> list[Shape]:
    """A few rows of each geometry that together reach all of its smallest and largest widths.

    Flagged rows count only where no other reaches as far: a flag doubts a latency, not a width.
    """
    good, found = case.rows, []
    for rows in case.table.by_geometry().values():
        shapes = sorted(rows, key=lambda shape: (shape not in good, -sum(shape.widths)))
        ends = [(axis, end) for axis in range(len(shapes[0].widths)) for end in (min, max)]
        wanted = {(axis, end(s.widths[axis] for s in shapes)) for axis, end in ends}
        while wanted:
            best = max(shapes, key=lambda shape: len(wanted & _reached(shape)))
            found.append(best)
            wanted -= _reached(best)
    return found


def shuffled(case: Case, seed: int) -> list[Shape]:
    """All usable rows: the anchors, then the others in random order."""
    first = anchors(case)
    rest = sorted(set(case.rows) - set(first), key=lambda s: (s.geometry, s.widths))
    order = np.random.default_rng(seed).permutation(len(rest))
    return [*first, *(rest[place] for place in order)]


def journalled(case: Case, journal: Path) -> list[Shape]:
    """All usable rows: the anchors, then the others as the journal has them.

    Raises:
        ValueError: the journal is of other rows.
    """
    order: list[Shape] = []
    for line in journal.read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        if item.get("kind") == "row":
            order.append(shape_from_json(item))
    usable = set(case.rows)
    if missing := usable - set(order):
        raise ValueError(f"{journal.name} lacks {len(missing)} of the table's rows")
    first = anchors(case)
    return list(dict.fromkeys([*first, *(shape for shape in order if shape in usable)]))


def folds(shapes: Iterable[Shape], always: Iterable[Shape], count: int) -> list[list[Shape]]:
    """Disjoint random parts of the shapes, without those that every fit needs."""
    kept = set(always)
    free = sorted({s for s in shapes if s not in kept}, key=lambda s: (s.geometry, s.widths))
    order = np.random.default_rng(0).permutation(len(free))
    return [[free[place] for place in order[fold::count]] for fold in range(count)]


def _reached(shape: Shape) -> set[tuple[int, int]]:
    return set(enumerate(shape.widths))
