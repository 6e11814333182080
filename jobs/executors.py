"""Which executors answer, what they have to give, and who holds it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True, kw_only=True)
class HostView:
    """A host as people see it.

    Attributes:
        cpu_held: CPU slots that stages hold.
        gpus_held: GPUs that stages hold.
        jobs: ids of those whose stages run there.
    """

    name: str
    classes: list[str]
    cpu_slots: int
    cpu_held: int
    gpus: int
    gpus_held: int
    jobs: list[str]


def capacity(database: Database) -> list[HostView]:
    """Hosts that answer, by name, with what is held on them."""
    table, slots, attempts, jobs = schema.executors, schema.slots, schema.attempts, schema.jobs
    alive = select(table).where(table.c.expires_at >= now()).order_by(table.c.host)
    query = (
        select(slots.c.host, slots.c.device, jobs.c.id)
        .join(attempts, attempts.c.number == slots.c.attempt)
        .join(jobs, jobs.c.number == attempts.c.job)
    )
    held = defaultdict[str, list[tuple[bool, str]]](list)
    with database.read() as tx:
        rows = tx.execute(alive).all()
        for row in tx.execute(query):
            held[row.host].append((row.device == "cpu", row.id))
    return [
        HostView(
            name=row.host,
            classes=list(row.classes),
            cpu_slots=row.cpu_slots,
            cpu_held=sum(cpu for cpu, _ in held[row.host]),
            gpus=len(row.gpus),
            gpus_held=sum(not cpu for cpu, _ in held[row.host]),
            jobs=sorted({job for _, job in held[row.host]}),
        )
        for row in rows
    ]
