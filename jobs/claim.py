"""Who runs next on a host: by priority, then age, within users' caps and free devices.

Claims are made one at a time in the whole database, so two executors never see the same free
slot. A stage that runs on several hosts gets all of them at once, or, if it is elastic, one now and
the others by `jobs.members`.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from jobs import devices, events, lease
from jobs.database import AnyRow, Database
from jobs.devices import Host
from jobs.look import Look, Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One of those who run a stage together.

    Attributes:
        number: 0 for the worker that holds the lease.
        host: its name.
        gpus: uuids of the GPUs it holds.
    """

    number: int
    host: str
    gpus: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A stage to be run here and now.

    Attributes:
        members: the first is the worker; others are there where a stage takes several hosts.
        whole_cpu: no other stage runs on the hosts meanwhile.
    """

    job: str
    stage: str
    lease: lease.Lease
    members: tuple[Member, ...]
    whole_cpu: bool

    @property
    def host(self) -> str:
        """The worker's."""
        return self.members[0].host

    @property
    def gpus(self) -> tuple[str, ...]:
        """The worker's."""
        return self.members[0].gpus


def claim(database: Database, host: Host, lasts_s: float, start_s: float) -> Claim | None:
    """Takes the next stage that can run on `host`; see `claim_any`."""
    return claim_any(database, [host], lasts_s, start_s)


def claim_any(
    database: Database, hosts: Sequence[Host], lasts_s: float, start_s: float
) -> Claim | None:
    """Takes the next stage that can run on the first of these hosts that can run any; or None.

    What hosts have in common is read once: a hundred that are full cost what one does.

    Args:
        lasts_s: seconds without a heartbeat after which the claim is void.
        start_s: seconds until the first one.
    """
    with database.write(serial="claim") as tx:
        look = Look(tx, hosts)
        for host in hosts:
            if (found := look.turn(host)) is not None:
                return _grant(tx, *found, (lasts_s, start_s))
    return None


def _grant(
    tx: Connection, row: AnyRow, places: Sequence[Place], terms: tuple[float, float]
) -> Claim | None:
    attempt_id, first = secrets.token_hex(8), places[0][0]
    given = lease.grant(tx, row.number, row.stage, attempt_id, first.name, terms)
    if given is None:
        return None
    number, granted = given
    members = tuple(
        Member(number=n, host=host.name, gpus=devices.take(tx, host.name, number, chosen, n))
        for n, (host, chosen) in enumerate(places)
    )
    told = {"hosts": [m.host for m in members]} if len(members) > 1 else {"host": first.name}
    events.append(tx, row.number, "claimed", stage=row.name, attempt=attempt_id, **told)
    return Claim(
        job=row.id, stage=row.name, lease=granted, members=members, whole_cpu=row.cpu == "all"
    )
