"""`LatencyTable`: measured blocks and networks of one target, as one safe, diffable JSON file.

Only what was measured is stored; what a table predicts is computed from it by
`latency_tables.predict`, so a prediction can never be older than its rows.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from latency_tables.checks import array, latency, mapping, text, whole
from latency_tables.files import replace_with
from supernet.config import ChannelConfig, ConfigError
from supernet.network import NetworkSpec
from supernet.shapes import MOST, Shape, parse_shape

SCHEMA = 1
PRECISIONS = ("fp32", "fp16", "int8")


class TableError(ValueError):
    """A table file that cannot be used; the message says where it is wrong."""


class MissingShapeError(LookupError):
    """A shape that a table does not hold and must not guess."""


class TargetMismatchError(ValueError):
    """A table for another target than asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What was measured on: two tables may be compared only where these agree.

    Attributes:
        details: what else is known (driver, governor, quota, versions); not part of the identity.
    """

    device: str
    runtime: str
    runtime_version: str
    precision: str
    batch: int
    threads: int
    details: Mapping[str, str] = field(default_factory=dict, compare=False, hash=False)

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise TableError(f"precision must be one of {PRECISIONS}, got {self.precision!r}")
        if self.batch < 1 or self.threads < 1:
            raise TableError(f"batch and threads must be >= 1, got {self.batch}, {self.threads}")

    def __str__(self) -> str:
        return (
            f"{self.device}, {self.runtime} {self.runtime_version}, {self.precision}, "
            f"batch {self.batch}, {self.threads} thread{'s' * (self.threads > 1)}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Latency in milliseconds.

    Attributes:
        median: median of the rounds' medians.
        lo, hi: its 95 % bootstrap interval over rounds.
        rounds: each round's median, in the order taken.
        flags: reasons not to trust it, such as `unstable`; empty if none.
    """

    median: float
    lo: float
    hi: float
    rounds: tuple[float, ...]
    flags: tuple[str, ...] = ()

    @property
    def ceiling(self) -> float:
        """What a budget is held against, in ms: `hi`, or the slowest round of a flagged one.

        A disturbed interval may be too narrow; its slowest round errs on the safe side, since
        disturbances only ever add time.
        """
        return max(self.rounds) if self.flags else self.hi

    def __post_init__(self) -> None:
        values = (self.lo, self.median, self.hi, *self.rounds)
        if not all(math.isfinite(v) and v > 0 for v in values) or not self.rounds:
            raise TableError(f"latencies must be finite and > 0 ms, got {values}")
        if not self.lo <= self.median <= self.hi:
            raise TableError(f"lo <= median <= hi must hold, got {values[:3]}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRow:
    """A whole network measured. `role` says whether it calibrates or judges predictions."""

    config: ChannelConfig
    measurement: Measurement
    role: Literal["fit", "held-out"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyTable:
    """Measured rows of one target.

    Attributes:
        network: the topology whose shapes the rows cover.
        protocol: how it was measured (rounds, warm-up, iterations), for the reader.
        sentinel: median latency of the sentinel model at each visit, in order, in ms.
    """

    target: Target
    network: NetworkSpec
    rows: Mapping[Shape, Measurement]
    networks: tuple[NetworkRow, ...] = ()
    protocol: Mapping[str, Any] = field(default_factory=dict)
    sentinel: tuple[float, ...] = ()

    def measured(self, shape: Shape) -> Measurement:
        """The row of exactly this shape.

        Raises:
            MissingShapeError: not measured; names the nearest measured widths.
        """
        if (row := self.rows.get(shape)) is not None:
            return row
        near = sorted(
            (other for other in self.rows if other.geometry == shape.geometry),
            key=lambda other: sum(
                abs(a - b) for a, b in zip(other.widths, shape.widths, strict=True)
            ),
        )
        hint = ", ".join(str(list(s.widths)) for s in near[:3]) or "none of this geometry"
        raise MissingShapeError(
            f"{shape.geometry} with widths {list(shape.widths)} is not in the table; "
            f"nearest: {hint}"
        )

    def by_geometry(self) -> dict[str, dict[Shape, Measurement]]:
        """Rows grouped by geometry, both in sorted order."""
        groups: dict[str, dict[Shape, Measurement]] = {}
        for shape in sorted(self.rows, key=lambda s: (s.geometry, s.widths)):
            groups.setdefault(shape.geometry, {})[shape] = self.rows[shape]
        return groups

    def require(self, wanted: Target) -> None:
        """Raises TargetMismatchError unless this table was measured on `wanted`."""
        for name in ("device", "runtime", "runtime_version", "precision", "batch", "threads"):
            have, want = getattr(self.target, name), getattr(wanted, name)
            if have != want:
                raise TargetMismatchError(
                    f"the table's {name} is {have!r}, but {want!r} is asked for"
                )

    def dumps(self) -> str:
        """The file's text: one row a line, sorted, so that two tables can be compared by diff."""
        head = {
            "schema": SCHEMA,
            "target": asdict(self.target),
            "network": asdict(self.network),
            "protocol": dict(self.protocol),
            "sentinel": list(self.sentinel),
        }
        parts = [f'"{key}": {json.dumps(value, sort_keys=True)}' for key, value in head.items()]
        parts.append(
            _lines(
                "networks",
                (
                    {"config": n.config.to_json(), "role": n.role, **asdict(n.measurement)}
                    for n in self.networks
                ),
            )
        )
        parts.append(
            _lines(
                "rows",
                (
                    {"geometry": s.geometry, "widths": list(s.widths), **asdict(m)}
                    for group in self.by_geometry().values()
                    for s, m in group.items()
                ),
            )
        )
        return "{" + ",\n".join(parts) + "}\n"

    def save(self, path: Path) -> None:
        """Writes the file whole or not at all."""
        replace_with(path, lambda file: file.write_text(self.dumps(), encoding="utf-8"))

    @classmethod
    def load(cls, path: Path) -> LatencyTable:
        """Reads a table file.

        Raises:
            TableError: unreadable or invalid; the message names the file and the place.
        """
        try:
            return cls.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, TableError) as error:
            raise TableError(f"{path}: {error}") from None

    @classmethod
    def loads(cls, document: str) -> LatencyTable:
        """Reads a table from its text; see `load`."""
        try:
            data = json.loads(document, parse_constant=_refused)
        except (ValueError, RecursionError) as error:
            raise TableError(f"not a JSON document: {error}") from None
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            raise TableError(f"not a latency table of schema {SCHEMA}")
        return _table(data)


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is no number a table may hold")


def _lines(name: str, items: Iterator[dict[str, Any]]) -> str:
    return f'"{name}": [\n' + ",\n".join(json.dumps(item) for item in items) + "\n]"


def _table(data: dict[str, Any]) -> LatencyTable:
    place = "file"
    try:
        place = "target"
        target = _target(mapping(place, data[place]))
        place = "network"
        network = _network(mapping(place, data[place]))
        networks, rows = [], {}
        for index, item in enumerate(array("networks", data["networks"])):
            place = f"networks[{index}]"
            networks.append(_network_row(mapping(place, item), network))
        place = "rows"
        for index, item in enumerate(array(place, data["rows"])):
            place = f"rows[{index}]"
            widths = tuple(array("widths", mapping(place, item)["widths"]))
            shape = parse_shape(text("geometry", item["geometry"]), widths)
            if shape in rows:
                raise TableError(f"{shape.geometry} {list(shape.widths)} appears twice")
            rows[shape] = _measurement(item)
        place = "sentinel"
        sentinel = tuple(latency("a visit", v) for v in array(place, data[place]))
        place = "protocol"
        protocol = mapping(place, data[place])
    except KeyError as error:
        raise TableError(f"{place}: key {error} is missing") from None
    except (TypeError, ValueError, AttributeError, OverflowError, ConfigError) as error:
        raise TableError(f"{place}: {error}") from None
    return LatencyTable(
        target=target,
        network=network,
        rows=rows,
        networks=tuple(networks),
        protocol=protocol,
        sentinel=sentinel,
    )


def _target(data: dict[str, Any]) -> Target:
    for name in ("device", "runtime", "runtime_version", "precision"):
        text(name, data[name])
    for name in ("batch", "threads"):
        whole(name, data[name], MOST)
    for name, value in mapping("details", data.get("details", {})).items():
        text(f"details.{name}", value)
    return Target(**data)


def _network(data: dict[str, Any]) -> NetworkSpec:
    depths = tuple(whole("a depth", depth, 1000) for depth in array("depths", data["depths"]))
    for name in ("resolution", "channels", "classes"):
        whole(name, data[name], MOST)
    latency("width", data["width"])
    return NetworkSpec(**{**data, "depths": depths})


def _network_row(item: dict[str, Any], network: NetworkSpec) -> NetworkRow:
    config, role = ChannelConfig.from_json(item["config"]), item["role"]
    network.check(config)
    for shape in network.shapes(config):
        for axis, width in zip(shape.axes, shape.widths, strict=True):
            whole(axis, width, MOST)
    if role not in ("fit", "held-out"):
        raise TableError(f"role must be fit or held-out, got {role!r}")
    return NetworkRow(config=config, measurement=_measurement(item), role=role)


def _measurement(item: dict[str, Any]) -> Measurement:
    return Measurement(
        **{name: latency(name, item[name]) for name in ("median", "lo", "hi")},
        rounds=tuple(latency("a round", value) for value in array("rounds", item["rounds"])),
        flags=tuple(text("a flag", flag) for flag in array("flags", item["flags"])),
    )
