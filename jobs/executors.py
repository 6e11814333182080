"""Which executors answer, and what they have to give."""

from __future__ import annotations

from sqlalchemy import delete, insert, select, update

from jobs import schema
from jobs.clock import now
from jobs.database import Database
from jobs.devices import Host


def announce(database: Database, host: Host, lasts_s: float) -> None:
    """The executor of `host` answers, and will again within `lasts_s` seconds."""
    table = schema.executors
    values = {"cpu_slots": host.cpu_slots, "gpus": list(host.gpus), "lasts_s": lasts_s}
    values["classes"] = list(host.classes)
    with database.write(serial="claim", durable=False) as tx:
        changed = tx.execute(
            update(table)
            .where(table.c.host == host.name)
            .values(**values, expires_at=now() + lasts_s)
        )
        if not changed.rowcount:
            tx.execute(insert(table).values(host=host.name, **values, expires_at=now() + lasts_s))


def leave(database: Database, host: str) -> None:
    """The executor of `host` stops."""
    with database.write() as tx:
        tx.execute(delete(schema.executors).where(schema.executors.c.host == host))


def hosts(database: Database) -> list[Host]:
    """Those that answer."""
    table = schema.executors
    query = select(table).where(table.c.expires_at >= now()).order_by(table.c.host)
    with database.read() as tx:
        return [
            Host(
                name=row.host,
                cpu_slots=row.cpu_slots,
                gpus=tuple(row.gpus),
                classes=tuple(row.classes),
            )
            for row in tx.execute(query)
        ]
