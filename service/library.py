"""The latency tables of an instance: those that jobs made, those uploaded, and the shipped ones."""

from __future__ import annotations

import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from jobs import assets
from latency_tables import shipped
from latency_tables.table import LatencyTable, TableError
from service.instance import Instance

SHIPPED = "shipped"
_KEPT = 16  # parsed tables, and what was made of them
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A table or supernet in a list.

    Attributes:
        id: of the asset, or the name of a shipped table.
        job: that made it; None for an upload, "shipped" for one that came with the program.
        artifact: id of its file; None for a shipped one.
        details: of a table: target, number of rows and networks.
    """

    id: str
    name: str
    job: str | None
    artifact: str | None
    created_at: float | None
    details: dict[str, Any]


def facts(table: LatencyTable) -> dict[str, Any]:
    """What a list says of a table."""
    target = asdict(table.target)
    target.pop("details")
    return {
        **target,
        "summary": str(table.target),
        "origin": table.target.origin,
        "depths": list(table.network.depths),
        "resolution": table.network.resolution,
        "rows": len(table.rows),
        "chains": len(table.chains),
        "networks": len(table.networks),
        "fingerprint": table.fingerprint,
    }


class Library:
    """Tables by id. What was parsed or computed lately is kept; safe to share between threads."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._kept: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self._lock = threading.Lock()
        self._making: dict[tuple[str, str], threading.Lock] = {}

    def entries(self) -> list[Entry]:
        """All tables: the newest first, shipped ones last."""
        own = self._listed(assets.assets(self._instance.database, "tables"))
        return own + [self._shipped(name) for name in shipped.names()]

    def supernets(self) -> list[Entry]:
        """All trained supernets, the newest first."""
        return self._listed(assets.assets(self._instance.database, "supernets"))

    def _listed(self, found: list[assets.Asset]) -> list[Entry]:
        ids = self._instance.artifacts.ids([asset.hash for asset in found])
        return [
            Entry(
                id=asset.id,
                name=asset.name,
                job=asset.job,
                artifact=ids.get(asset.hash),
                created_at=asset.created_at,
                details=asset.details,
            )
            for asset in found
        ]

    def entry(self, table: str) -> Entry:
        """One table.

        Raises:
            UnknownError: no such table.
        """
        if table in shipped.names():
            return self._shipped(table)
        return self._listed([assets.asset(self._instance.database, "tables", table)])[0]

    def table(self, table: str) -> LatencyTable:
        """A table, parsed.

        Raises:
            UnknownError: no such table.
            TableError: its file is none any more.
        """
        return self.made(table, "table", lambda: self._parsed(table))

    def made(self, table: str, what: str, make: Callable[[], T]) -> T:
        """What `make` gives for a table, kept for the next time; tables never change."""
        key = (table, what)
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        # One thread makes it; the others that want it wait and then find it.
        with making:
            with self._lock:
                if key in self._kept:
                    self._kept.move_to_end(key)
                    found: T = self._kept[key]
                    return found
            try:
                value = make()
            finally:
                with self._lock:
                    self._making.pop(key, None)
            with self._lock:
                self._kept[key] = value
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
        return value

    def add(self, data: bytes, name: str) -> Entry:
        """Takes a table in that was measured elsewhere.

        Raises:
            TableError: not a table; the message names the place.
        """
        try:
            table = LatencyTable.loads(data.decode("utf-8"))
        except UnicodeDecodeError:
            raise TableError("a table is a JSON text in UTF-8, but this is no text") from None
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "table.json"
            file.write_bytes(data)
            digest = self._instance.artifacts.put(file)
        table_id = assets.register(self._instance.database, "tables", digest, name, facts(table))
        self.made(table_id, "table", lambda: table)
        return self.entry(table_id)

    def data(self, table: str) -> bytes:
        """A table's file."""
        if table in shipped.names():
            return shipped.find(table).read_bytes()
        digest = assets.asset(self._instance.database, "tables", table).hash
        with self._instance.artifacts.open(digest) as file:
            return file.read()

    def _parsed(self, table: str) -> LatencyTable:
        return LatencyTable.loads(self.data(table).decode("utf-8"))

    def _shipped(self, name: str) -> Entry:
        return Entry(
            id=name,
            name=name,
            job=SHIPPED,
            artifact=None,
            created_at=None,
            details=_shipped_facts(name),
        )


@cache
def _shipped_facts(name: str) -> dict[str, Any]:
    return facts(shipped.load(name))
