"""`LatencyTable`: measured blocks and networks of one target, as one safe, diffable JSON file.

Only what was measured is stored; what a table predicts is computed from it by
`latency_tables.predict`, so a prediction can never be older than its rows.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from supernet.config import ChannelConfig, ConfigError
from supernet.network import NetworkSpec
from supernet.shapes import Shape, parse_shape

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
        temporary = path.with_name(path.name + ".tmp")
        with temporary.open("w", encoding="utf-8") as file:
            file.write(self.dumps())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)

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
    def loads(cls, text: str) -> LatencyTable:
        """Reads a table from its text; see `load`."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise TableError(f"not a JSON document: {error}") from None
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            raise TableError(f"not a latency table of schema {SCHEMA}")
        return _table(data)


def _lines(name: str, items: Iterator[dict[str, Any]]) -> str:
    return f'"{name}": [\n' + ",\n".join(json.dumps(item) for item in items) + "\n]"


def _table(data: dict[str, Any]) -> LatencyTable:
    place = "file"
    try:
        place = "target"
        target = Target(**data["target"])
        place = "network"
        network = NetworkSpec(**{**data["network"], "depths": tuple(data["network"]["depths"])})
        networks, rows = [], {}
        for index, item in enumerate(data["networks"]):
            place = f"networks[{index}]"
            config = ChannelConfig.from_json(item["config"])
            network.check(config)
            if item["role"] not in ("fit", "held-out"):
                raise TableError(f"role must be fit or held-out, got {item['role']!r}")
            networks.append(
                NetworkRow(config=config, measurement=_measurement(item), role=item["role"])
            )
        for index, item in enumerate(data["rows"]):
            place = f"rows[{index}]"
            shape = parse_shape(item["geometry"], tuple(item["widths"]))
            if shape in rows:
                raise TableError(f"{shape.geometry} {list(shape.widths)} appears twice")
            rows[shape] = _measurement(item)
        place = "sentinel"
        sentinel = tuple(float(v) for v in data["sentinel"])
        place = "protocol"
        protocol = dict(data["protocol"])
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


def _measurement(item: dict[str, Any]) -> Measurement:
    values = {f.name: item[f.name] for f in fields(Measurement)}
    return Measurement(
        **{**values, "rounds": tuple(values["rounds"]), "flags": tuple(values["flags"])}
    )
