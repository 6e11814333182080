"""Two tables of one network compared: target, right edges, rows, predictions.

Says what differs and by how much. Why (another runtime, another day, noise) the reader judges:
the differences of the target come first for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from latency_tables.diff_edges import EdgeChange, edge_changes
from latency_tables.features import Floats
from latency_tables.predict import Predictor
from latency_tables.reach import reach
from latency_tables.table import LatencyTable, MissingShapeError, TableError, Target
from supernet.arithmetic import Rows

NETWORKS = 200  # predicted by both tables
IDENTITY = ("device", "runtime", "runtime_version", "precision", "batch", "threads")


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetChange:
    """One fact about the target that differs; None where a table does not tell it."""

    name: str
    identity: bool
    first: str | None
    second: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratios:
    """Latency of the second table over that of the first; nan where `count` is 0."""

    count: int
    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChange:
    """A row whose intervals in the two tables do not overlap.

    Attributes:
        first_ms, second_ms: medians.
        flagged: in either table, so the difference may be a disturbance.
    """

    geometry: str
    widths: tuple[int, ...]
    first_ms: float
    second_ms: float
    flagged: bool

    @property
    def ratio(self) -> float:
        """Second over first."""
        return self.second_ms / self.first_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDiff:
    """What differs between two tables.

    Attributes:
        origins: whether the first and the second table were measured or modelled.
        target: facts that differ, identity first.
        edges: per geometry and axis swept in both.
        rows: over the rows that both hold; `low` and `high` are their 5 % and 95 % quantiles.
        apart: rows whose intervals do not overlap, the largest difference first.
        only_first, only_second: number of rows that only one table holds.
        predictions: the same ratios over a fixed sample of networks that both can price.
    """

    origins: tuple[str, str]
    target: tuple[TargetChange, ...]
    edges: tuple[EdgeChange, ...]
    rows: Ratios
    apart: tuple[RowChange, ...]
    only_first: int
    only_second: int
    predictions: Ratios

    def to_json(self) -> dict[str, Any]:
        """The dict form, ready for `json.dumps`: what is unknown (nan) is None."""
        data: dict[str, Any] = _plain(asdict(self))
        for item, row in zip(data["apart"], self.apart, strict=True):
            item["ratio"] = row.ratio
        return data


def diff(first: LatencyTable, second: LatencyTable) -> TableDiff:
    """Compares two tables; targets may differ, networks may not.

    Raises:
        TableError: the tables are of different networks.
    """
    if first.network != second.network:
        raise TableError(
            f"only tables of one network can be compared, but the first is of {first.network} "
            f"and the second of {second.network}"
        )
    common = [shape for rows in first.by_geometry().values() for shape in rows]
    common = [shape for shape in common if shape in second.rows]
    ratios = [second.rows[s].median / first.rows[s].median for s in common]
    predicted = _predictions(first, second)
    return TableDiff(
        origins=(first.target.origin, second.target.origin),
        target=_target(first.target, second.target),
        edges=tuple(edge_changes(first, second)),
        rows=_ratios(np.array(ratios)),
        apart=_apart(first, second),
        only_first=len(first.rows) - len(common),
        only_second=len(second.rows) - len(common),
        predictions=_ratios(predicted[1] / predicted[0]),
    )


def _target(first: Target, second: Target) -> tuple[TargetChange, ...]:
    facts: list[tuple[str, bool, str | None, str | None]] = [
        (name, True, str(getattr(first, name)), str(getattr(second, name))) for name in IDENTITY
    ]
    facts += [
        (name, False, first.details.get(name), second.details.get(name))
        for name in sorted({*first.details, *second.details})
    ]
    return tuple(
        TargetChange(name=name, identity=identity, first=a, second=b)
        for name, identity, a, b in facts
        if a != b
    )


def _apart(first: LatencyTable, second: LatencyTable) -> tuple[RowChange, ...]:
    found = []
    for shape, one in first.rows.items():
        other = second.rows.get(shape)
        if other is not None and (one.hi < other.lo or other.hi < one.lo):
            found.append(
                RowChange(
                    geometry=shape.geometry,
                    widths=shape.widths,
                    first_ms=one.median,
                    second_ms=other.median,
                    flagged=bool(one.flags or other.flags),
                )
            )
    return tuple(sorted(found, key=lambda row: -abs(np.log(row.ratio))))


def _ratios(values: Floats) -> Ratios:
    if not len(values):
        nan = float("nan")
        return Ratios(count=0, median=nan, low=nan, high=nan)
    low, median, high = (float(q) for q in np.quantile(values, (0.05, 0.5, 0.95)))
    return Ratios(count=len(values), median=median, low=low, high=high)


def _predictions(first: LatencyTable, second: LatencyTable) -> Floats:
    """Latencies of a fixed sample of networks by both tables, [2, n]; n is 0 if none is shared."""
    try:
        predictors = [Predictor(table) for table in (first, second)]
        sample = _sample(predictors)
        return np.stack([predictor.predict(sample)[0] for predictor in predictors])
    except (MissingShapeError, TableError):
        return np.empty((2, 0))


def _sample(predictors: list[Predictor]) -> Rows:
    """Networks that all can price: every width drawn alone, evenly over what was measured.

    Raises:
        MissingShapeError: there is none.
    """
    ends = [reach(predictor.pricer) for predictor in predictors]
    low = np.max([low for low, _ in ends], axis=0)
    high = np.min([high for _, high in ends], axis=0)
    if (low > high).any():
        raise MissingShapeError("the tables' measured ranges do not meet")
    sample: Rows = np.random.default_rng(0).integers(low, high + 1, (NETWORKS, len(low)))
    return sample


def _plain(value: Any) -> Any:
    """JSON has neither nan nor numpy's numbers."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and value != value else value
