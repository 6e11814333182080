"""`LatencyTable`: measured blocks, chains and networks of one target.

A table is what was measured. What it predicts is fitted to that by `latency_tables.fitting`; the
result may be kept in the table, with the fingerprint of what it was fitted to, so that a prediction
is never older than its rows. The file's form is `latency_tables.table_file`'s matter.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from latency_tables.files import replace_with
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.shapes import Shape

if TYPE_CHECKING:
    import pandas as pd

    from latency_tables.fitted import Fitted

PRECISIONS = ("fp32", "fp16", "int8")
MODELLED = "modelled"
"""Runtime of targets whose latencies were computed from public figures."""
STAMP = "modelled from public figures, not measured; certifies no budget"


Role = Literal["fit", "held-out"]


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

    @property
    def modelled(self) -> bool:
        """Whether its latencies were computed rather than measured. Decided here and only here."""
        return self.runtime == MODELLED

    @property
    def origin(self) -> Literal["measured", "modelled"]:
        """Where its latencies come from, in one word."""
        return "modelled" if self.modelled else "measured"

    @property
    def stamp(self) -> str:
        """What has to stand beside every figure of a modelled target; empty for a measured one."""
        return STAMP if self.modelled else ""

    def __str__(self) -> str:
        stamp = f" ({self.stamp})" if self.modelled else ""
        return (
            f"{self.device}, {self.runtime} {self.runtime_version}, {self.precision}, "
            f"batch {self.batch}, {self.threads} thread{'s' * (self.threads > 1)}{stamp}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Latency in milliseconds.

    Attributes:
        median: median of the rounds' medians.
        lo, hi: its 95 % bootstrap interval over rounds.
        rounds: each round's median as it was taken, by pass.
        levels: how slow the machine was during each round, 1 being its usual; the figures are
            those of `adjusted`. Empty where that was not estimated.
        flags: reasons not to trust it, such as `unstable`; empty if none.
        notes: how it was measured, where that says more than the table's protocol.
        isolated: of a piece measured inside chains, what it takes in an engine of its own, in ms:
            an upper bound, as that pays for its borders and its start too. None for the others.
    """

    median: float
    lo: float
    hi: float
    rounds: tuple[float, ...]
    flags: tuple[str, ...] = ()
    levels: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    isolated: float | None = None

    @property
    def adjusted(self) -> tuple[float, ...]:
        """The rounds as they would have been on the machine at its usual level, in ms."""
        if not self.levels:
            return self.rounds
        return tuple(r / level for r, level in zip(self.rounds, self.levels, strict=True))

    @property
    def ceiling(self) -> float:
        """What a budget is held against, in ms: `hi`; of a flagged one at least its slowest round.

        A disturbed interval may be too narrow; its slowest round errs on the safe side, since
        disturbances only ever add time.
        """
        return max(self.hi, *self.rounds) if self.flags else self.hi

    def __post_init__(self) -> None:
        values = (self.lo, self.median, self.hi, *self.rounds, *self.levels)
        if self.isolated is not None:
            values = (*values, self.isolated)
        if self.levels and len(self.levels) != len(self.rounds):
            raise TableError(
                f"there must be as many levels as rounds, got {len(self.levels)} and "
                f"{len(self.rounds)}"
            )
        if not all(math.isfinite(v) and v > 0 for v in values) or not self.rounds:
            raise TableError(f"latencies must be finite and > 0 ms, got {values}")
        if not self.lo <= self.median <= self.hi:
            raise TableError(f"lo <= median <= hi must hold, got {values[:3]}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRow:
    """A whole network measured. `role` says whether it calibrates or judges predictions."""

    config: ChannelConfig
    measurement: Measurement
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRow:
    """Pieces measured one after another, as they follow each other in a network."""

    pieces: tuple[Shape, ...]
    measurement: Measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class Roof:
    """What the target can do at most, measured: a large matrix product, and a copy.

    Attributes:
        gmacs: multiply-adds per second, in thousand millions.
        gbytes: bytes moved per second (read and written), in thousand millions.
    """

    gmacs: float
    gbytes: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) and v > 0 for v in (self.gmacs, self.gbytes)):
            raise TableError(f"a roof must be finite and > 0, got {self.gmacs} and {self.gbytes}")
        # A data sheet's 1555 is read back as 1555.0: another text, so another fingerprint.
        for name in ("gmacs", "gbytes"):
            object.__setattr__(self, name, float(getattr(self, name)))


@dataclass(frozen=True, kw_only=True)
class LatencyTable:
    """Measured rows of one target.

    Attributes:
        network: the topology whose shapes the rows cover.
        rows: stem, bottlenecks and head, each measured alone.
        chains: bottlenecks measured behind each other, which tell what isolation adds.
        networks: whole networks, which calibrate and judge the prediction.
        protocol: how it was measured (rounds, warm-up, iterations), for the reader.
        sentinel: median latency of the sentinel model at each visit, in order, in ms.
        roof: peak and bandwidth of the target, where measured.
        fitted: what `latency_tables.fitting` made of it, where kept.
    """

    target: Target
    network: NetworkSpec
    rows: Mapping[Shape, Measurement]
    chains: tuple[ChainRow, ...] = ()
    networks: tuple[NetworkRow, ...] = ()
    protocol: Mapping[str, Any] = field(default_factory=dict)
    sentinel: tuple[float, ...] = ()
    roof: Roof | None = None
    fitted: Fitted | None = None

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

    def by_geometry(self) -> Mapping[str, Mapping[Shape, Measurement]]:
        """Rows grouped by geometry, both in sorted order."""
        return self._groups

    @cached_property
    def _groups(self) -> dict[str, dict[Shape, Measurement]]:
        groups: dict[str, dict[Shape, Measurement]] = {}
        for shape in sorted(self.rows, key=lambda s: (s.geometry, s.widths)):
            groups.setdefault(shape.geometry, {})[shape] = self.rows[shape]
        return groups

    def require(self, wanted: Target) -> None:
        """Raises TargetMismatchError unless this table was measured, or modelled, for `wanted`."""
        if self.target.modelled != wanted.modelled:
            raise TargetMismatchError(
                f"the table is {self.target.origin}, but a {wanted.origin} one is asked for"
            )
        for name in ("device", "runtime", "runtime_version", "precision", "batch", "threads"):
            have, want = getattr(self.target, name), getattr(wanted, name)
            if have != want:
                raise TargetMismatchError(
                    f"the table's {name} is {have!r}, but {want!r} is asked for"
                )

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change with the target and with anything measured."""
        from latency_tables.table_file import measured_text

        return hashlib.sha256(measured_text(self).encode()).hexdigest()[:16]

    def dumps(self) -> str:
        """The file's text: one row a line, sorted, so that two tables can be compared by diff."""
        from latency_tables.table_file import dumps

        return dumps(self)

    def save(self, path: Path) -> None:
        """Writes the file whole or not at all."""
        replace_with(path, lambda file: file.write_text(self.dumps(), encoding="utf-8"))

    @classmethod
    def load(cls, path: Path) -> LatencyTable:
        """Reads a table file.

        Raises:
            TableError: unreadable or invalid; the message names the file and the place.
        """
        from latency_tables.table_file import read_text

        try:
            return cls.loads(read_text(path))
        except TableError as error:
            raise TableError(f"{path}: {error}") from None

    @classmethod
    def loads(cls, document: str) -> LatencyTable:
        """Reads a table from its text; see `load`."""
        from latency_tables.table_file import loads

        return loads(document)

    def to_pandas(self) -> pd.DataFrame:
        """Everything in it as one frame; see `latency_tables.frames.to_pandas`."""
        from latency_tables.frames import to_pandas

        return to_pandas(self)

    @classmethod
    def from_pandas(
        cls,
        frame: pd.DataFrame,
        *,
        target: Target | None = None,
        network: NetworkSpec | None = None,
    ) -> LatencyTable:
        """The table of a frame; see `latency_tables.frames.from_pandas`.

        Raises:
            TableError: a column is missing or a line is invalid; names the line.
        """
        from latency_tables.frames import from_pandas

        return from_pandas(frame, target=target, network=network)
