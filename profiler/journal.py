"""`Journal`: what a table's measuring has found so far, as an append-only JSON-lines file.

The first line says what is measured and how; a journal of anything else is refused. A last line
that was torn by a kill is cut off. Knows nothing of runtimes and schedules.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from latency_tables.table import Measurement, NetworkRow, TableError, Target
from profiler.measure import Protocol
from supernet.config import ChannelConfig, ConfigError
from supernet.network import NetworkSpec
from supernet.shapes import Shape, parse_shape

SCHEMA = 1
IDENTITY = ("device", "runtime", "runtime_version", "precision", "batch", "threads")


class JournalError(ValueError):
    """A journal that cannot be continued; the message names the file and says why."""


class Journal:
    """Rows, networks and sentinel visits, each safe on the disk once its call returns.

    Attributes:
        target: with the details of the machine as they were when measuring began.
        rows, networks, sentinel: everything found so far, earlier runs included.
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
        self.rows: dict[Shape, Measurement] = {}
        self.networks: dict[ChannelConfig, NetworkRow] = {}
        self.sentinel: list[float] = []
        header = _header(target, network, protocol)
        path.parent.mkdir(parents=True, exist_ok=True)
        data = path.read_bytes() if path.exists() else b""
        whole = data[: data.rfind(b"\n") + 1]
        lines = whole.decode("utf-8", errors="replace").splitlines()
        if lines or not (json.dumps(header) + "\n").encode().startswith(data):
            self._check(lines[0] if lines else "", header)
        if len(whole) < len(data):
            os.truncate(path, len(whole))
        if not lines:
            self._append([header])
        for number, line in enumerate(lines[1:], start=2):
            try:
                self._take(json.loads(line))
            except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
                raise JournalError(f"{path}, line {number}: {error!r}") from None
        if not self._has_details:
            self._append([{"kind": "details", "values": dict(target.details)}])

    def add_rows(
        self,
        rows: Mapping[Shape, Measurement],
        minima: Mapping[Shape, tuple[float, ...]],
        sentinel: Iterable[float],
    ) -> None:
        """Writes one finished batch of shapes."""
        self._add(
            sentinel,
            [
                {
                    "kind": "row",
                    "geometry": shape.geometry,
                    "widths": list(shape.widths),
                    **asdict(found),
                    "minima": list(minima[shape]),
                }
                for shape, found in rows.items()
            ],
        )

    def add_networks(self, networks: Iterable[NetworkRow], sentinel: Iterable[float]) -> None:
        """Writes one finished batch of whole networks."""
        self._add(
            sentinel,
            [
                {
                    "kind": "network",
                    "config": row.config.to_json(),
                    "role": row.role,
                    **asdict(row.measurement),
                }
                for row in networks
            ],
        )

    def _add(self, sentinel: Iterable[float], entries: list[dict[str, Any]]) -> None:
        items = [{"kind": "sentinel", "values": list(sentinel)}, *entries]
        self._append(items)
        for item in items:
            self._take(item)

    def _append(self, items: Iterable[Mapping[str, Any]]) -> None:
        text = "".join(json.dumps(item) + "\n" for item in items)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    def _check(self, line: str, header: Mapping[str, Any]) -> None:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or found.get("journal") != SCHEMA:
            raise JournalError(f"{self.path} is not a measuring journal of schema {SCHEMA}")
        wanted = json.loads(json.dumps(header))
        for part in ("target", "network", "protocol"):
            have = found.get(part)
            for key, value in wanted[part].items():
                got = have.get(key) if isinstance(have, dict) else have
                if got != value:
                    raise JournalError(
                        f"{self.path} was measured with {part} {key} {got!r}, but {value!r} is "
                        "asked for; choose another journal file, or delete this one"
                    )

    def _take(self, item: dict[str, Any]) -> None:
        match item["kind"]:
            case "details":
                self.target = replace(self.target, details=dict(item["values"]))
                self._has_details = True
            case "sentinel":
                self.sentinel.extend(float(value) for value in item["values"])
            case "row":
                shape = parse_shape(item["geometry"], tuple(item["widths"]))
                self.rows[shape] = _measurement(item)
            case "network":
                config = ChannelConfig.from_json(item["config"])
                role = item["role"]
                if role not in ("fit", "held-out"):
                    raise TableError(f"role must be fit or held-out, got {role!r}")
                self.networks[config] = NetworkRow(
                    config=config, measurement=_measurement(item), role=role
                )
            case kind:
                raise ConfigError(f"unknown kind of line {kind!r}")


def _header(target: Target, network: NetworkSpec, protocol: Protocol) -> dict[str, Any]:
    return {
        "journal": SCHEMA,
        "target": {name: getattr(target, name) for name in IDENTITY},
        "network": asdict(network),
        "protocol": asdict(protocol),
    }


def _measurement(item: dict[str, Any]) -> Measurement:
    return Measurement(
        median=item["median"],
        lo=item["lo"],
        hi=item["hi"],
        rounds=tuple(item["rounds"]),
        flags=tuple(item["flags"]),
    )
