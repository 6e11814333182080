"""`Journal`: what a table's measuring has found so far, as an append-only JSON-lines file.

The first line says what is measured and how; a journal of anything else is refused. A last line
that was torn by a kill is cut off. Knows nothing of runtimes and schedules.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from latency_tables.checks import (
    array,
    document,
    latency,
    mapping,
    one_line,
    positive,
    text,
    whole,
)
from latency_tables.table import Measurement, NetworkRow, Role, Roof, TableError, Target
from latency_tables.table_file import (
    HEAVIEST,
    LONGEST_CHAIN,
    figures_json,
    measurement_from_json,
    shape_from_json,
    weight,
)
from profiler.cuda_device import CLOCKS, UUID
from profiler.protocol import Protocol
from supernet.config import ChannelConfig, ConfigError, brief
from supernet.network import NetworkSpec
from supernet.shapes import Shape

SCHEMA = 2
DEFAULTS = {"rows": Protocol().rows}
"""Of what journals have said only since it can be chosen."""
IDENTITY = ("device", "runtime", "runtime_version", "precision", "batch", "threads")
MOST_SESSIONS = 10**6
LONGEST_LINE = 1 << 20  # bytes


Lost = Shape | tuple[Shape, ...] | ChannelConfig
"""What may break the measuring process: a row, a chain, a network."""


DECISIVE = (UUID, CLOCKS)
"""Details of a target that sessions of one table must have in common, where there are any."""


class JournalError(ValueError):
    """A journal that cannot be continued; the message names the file and says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A measurement and the session it was taken in."""

    measurement: Measurement
    session: int


class Journal:
    """Rows, chains, networks and sessions, each safe on the disk once its call returns.

    Attributes:
        target: with the details of the machine as they were when measuring began.
        rows, chains, networks: everything found so far, earlier runs included.
        levels: of each session, the sentinel's latency in ms.
        sentinel: every visit of the sentinel, in ms.
        roof: peak and bandwidth, once measured.
        lost: what breaks the measuring process and is left out, with the reason.
    """

    def __init__(
        self, path: Path, target: Target, network: NetworkSpec, protocol: Protocol
    ) -> None:
        """Opens or starts the journal.

        Raises:
            JournalError: it is of another target, network or protocol, or damaged.
        """
        self.path = path
        self.target = target
        self._has_details = False
        self.rows: dict[Shape, Found] = {}
        self.chains: dict[tuple[Shape, ...], Found] = {}
        self.networks: dict[ChannelConfig, tuple[Role, Found]] = {}
        self.levels: list[float] = []
        self.sentinel: list[float] = []
        self.roof: Roof | None = None
        self.lost: dict[Lost, str] = {}
        self._network = network
        header = _header(target, network, protocol)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            kept = self._resume(header)
            os.truncate(path, kept)  # a torn last line
        except OSError as error:
            raise JournalError(f"{path} cannot be continued: {one_line(error)}") from None
        if not kept:
            self._append([header])
        if not self._has_details:
            self._append([{"kind": "details", "values": dict(target.details)}])

    def add(
        self,
        *,
        level: float,
        sentinel: Iterable[float],
        rows: Mapping[Shape, Measurement] | None = None,
        chains: Mapping[tuple[Shape, ...], Measurement] | None = None,
        networks: Sequence[NetworkRow] = (),
    ) -> None:
        """Writes one finished session."""
        session = len(self.levels)
        items: list[dict[str, Any]] = [
            {"kind": "session", "level": level, "values": list(sentinel)},
            *({"kind": "row", **_shape(s), **figures_json(m)} for s, m in (rows or {}).items()),
            *(
                {"kind": "chain", "pieces": [_shape(s) for s in c], **figures_json(m)}
                for c, m in (chains or {}).items()
            ),
            *(
                {
                    "kind": "network",
                    "config": row.config.to_json(),
                    "role": row.role,
                    **figures_json(row.measurement),
                }
                for row in networks
            ),
        ]
        for item in items[1:]:
            item["session"] = session
        self._append(items)
        for item in items:
            self._take(item)

    def lose(self, lost: Lost, reason: str) -> None:
        """Writes what cannot be measured; it is not tried again."""
        reason = one_line(reason)
        self._append([{"kind": "lost", **named(lost), "reason": reason}])
        self.lost[lost] = reason

    def set_roof(self, roof: Roof) -> None:
        """Writes peak and bandwidth."""
        self._append([{"kind": "roof", **asdict(roof)}])
        self.roof = roof

    def _append(self, items: Iterable[Mapping[str, Any]]) -> None:
        text = "".join(json.dumps(item) + "\n" for item in items)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    def _resume(self, header: Mapping[str, Any]) -> int:
        """Takes every whole line; returns how many bytes they are."""
        kept, number = 0, 1
        try:
            with self.path.open("rb") as file:
                for line in _lines(file):
                    torn = not line.endswith(b"\n")
                    if number == 1 and not (torn and json.dumps(header).encode().startswith(line)):
                        self._check(line, header)
                    if torn:
                        break
                    if number > 1:
                        self._take(mapping("a line", document(line.decode("utf-8"))))
                    kept, number = kept + len(line), number + 1
        except JournalError:
            raise
        except KeyError as error:
            raise JournalError(f"{self.path}, line {number}: key {error} is missing") from None
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            raise JournalError(f"{self.path}, line {number}: {one_line(error)}") from None
        return kept

    def _check(self, line: bytes, header: Mapping[str, Any]) -> None:
        try:
            found = document(line.decode("utf-8"))
        except ValueError:
            found = None
        if not isinstance(found, dict) or found.get("journal") != SCHEMA:
            raise JournalError(f"{self.path} is not a measuring journal of schema {SCHEMA}")
        wanted = json.loads(json.dumps(header))
        for part in ("target", "network", "protocol"):
            have = found.get(part)
            for key, value in wanted[part].items():
                got = have.get(key, DEFAULTS.get(key)) if isinstance(have, dict) else have
                if got != value:
                    raise JournalError(
                        f"{self.path} was measured with {part} {key} {brief(got)}, but {value!r} "
                        "is asked for; choose another journal file, or delete this one"
                    )

    def _take(self, item: dict[str, Any]) -> None:
        match item["kind"]:
            case "details":
                values = mapping("values", item["values"])
                details = {text("a key", k): text("a detail", v) for k, v in values.items()}
                self._same_device(details)
                self.target = replace(self.target, details=details)
                self._has_details = True
            case "session":
                visits = [latency("a visit", value) for value in array("values", item["values"])]
                self.levels.append(latency("level", item["level"]))
                self.sentinel.extend(visits)
            case "roof":
                self.roof = Roof(
                    gmacs=positive("gmacs", item["gmacs"]),
                    gbytes=positive("gbytes", item["gbytes"]),
                )
            case "row":
                self.rows[shape_from_json(item)] = self._found(item)
            case "chain":
                self.chains[_pieces(item)] = self._found(item)
            case "lost":
                self.lost[self._lost(item)] = text("reason", item["reason"])
            case "network":
                config, role = self._config(item), item["role"]
                if role not in ("fit", "held-out"):
                    raise TableError(f"role must be fit or held-out, got {brief(role)}")
                self.networks[config] = (role, self._found(item))
            case kind:
                raise ConfigError(f"unknown kind of line {brief(kind)}")

    def _same_device(self, details: Mapping[str, str]) -> None:
        """Raises JournalError where sessions of another GPU, or other clocks, would be mixed in."""
        for key in DECISIVE:
            had, has = details.get(key, ""), self.target.details.get(key, "")
            if had != has and (key == UUID or "locked at" in f"{had[:9]} {has[:9]}"):
                raise JournalError(
                    f"{self.path} was measured with {key} {brief(had)}, but it is {has!r} now; "
                    "choose another journal file, or delete this one"
                )

    def _config(self, item: dict[str, Any]) -> ChannelConfig:
        config = ChannelConfig.from_json(item["config"])
        self._network.check(config)
        return config

    def _lost(self, item: dict[str, Any]) -> Lost:
        if "config" in item:
            return self._config(item)
        return _pieces(item) if "pieces" in item else shape_from_json(item)

    def _found(self, item: dict[str, Any]) -> Found:
        session = item["session"]
        if type(session) is not int or session != 0:
            whole("session", session, MOST_SESSIONS)
        if session >= len(self.levels):
            raise TableError(f"session {session} was not opened")
        return Found(measurement=measurement_from_json(item), session=session)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file that is no larger, once read, than a table may be."""
    heavy = 0
    while line := file.readline(LONGEST_LINE + 1):
        heavy += weight(line.decode("latin-1"))
        if len(line) > LONGEST_LINE or heavy > HEAVIEST:
            raise ValueError(
                f"too large: a line has at most {LONGEST_LINE} bytes, and a journal takes at most "
                f"{HEAVIEST >> 20} MB to read"
            )
        yield line


def _header(target: Target, network: NetworkSpec, protocol: Protocol) -> dict[str, Any]:
    return {
        "journal": SCHEMA,
        "target": {name: getattr(target, name) for name in IDENTITY},
        "network": asdict(network),
        "protocol": asdict(protocol),
    }


def _pieces(item: dict[str, Any]) -> tuple[Shape, ...]:
    listed = array("pieces", item["pieces"], LONGEST_CHAIN)
    if not listed:
        raise TableError("a chain has at least one piece, got none")
    return tuple(shape_from_json(mapping("a piece", piece)) for piece in listed)


def named(lost: Lost) -> dict[str, Any]:
    """What was lost, as the journal and a table's protocol have it."""
    match lost:
        case ChannelConfig():
            return {"config": lost.to_json()}
        case tuple():
            return {"pieces": [_shape(shape) for shape in lost]}
        case _:
            return _shape(lost)


def _shape(shape: Shape) -> dict[str, Any]:
    return {"geometry": shape.geometry, "widths": list(shape.widths)}
