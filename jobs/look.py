"""`Look`: what a transaction sees of queue and devices, and whose turn it is on a host.

A stage that does not fit yet keeps the devices it waits for from those behind it, on the one host
that lacks least for it, or on as many as it runs on at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from sqlalchemy import Connection, Select, func, select

from jobs import devices, schema
from jobs.clock import now
from jobs.database import AnyRow, AnySelect
from jobs.devices import Host, Slot

Place = tuple[Host, list[Slot]]
"""A host, and what is to be held there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Most:
    """The largest needs that are still looked at."""

    gpus: int
    hosts: int | None = None
    whole_cpu: bool = True

    def allows(self, row: AnyRow) -> bool:
        """Whether a stage needs no more."""
        if row.gpus > self.gpus or (row.cpu == "all" and not self.whole_cpu):
            return False
        return self.hosts is None or _hosts(row) <= self.hosts


class Look:
    """What a transaction read, as it stays until something is granted.

    Attributes:
        taken: slots that someone holds, by host.
    """

    def __init__(self, tx: Connection, hosts: Sequence[Host]) -> None:
        self.hosts = hosts
        self.taken = devices.taken(tx)
        self._held = Counter(
            (host, device == "cpu") for host, held in self.taken.items() for device, _ in held
        )
        self._tx = tx
        self._next: dict[tuple[object, ...], AnyRow | None] = {}
        self._near: dict[int, tuple[frozenset[str], frozenset[str]]] = {}
        self._alone: dict[str, tuple[AnyRow, list[Slot]] | None] = {}

    def turn(self, host: Host) -> tuple[AnyRow, list[Place]] | None:
        """The next stage for a host, with all places where it runs: this one first."""
        found, _ = self._walk(host, lambda row: self._starts(row, host))
        if found is None:
            return None
        row, chosen = found
        return row, [(host, chosen), *self._others(row, host)]

    def kept(self, host: Host) -> set[Slot]:
        """Slots of a host that are held, or kept for a stage that waits for them."""
        return self._walk(host, lambda row: self._starts(row, host))[1]

    def wanted(self, host: Host, slots: Collection[Slot]) -> bool:
        """Whether some stage waits that would fit on a host if these slots were free.

        It may wait for other hosts, too.
        """
        self.taken[host.name] -= set(slots)
        try:
            return self._walk(host, self._possible)[0] is not None
        finally:
            self.taken[host.name] |= set(slots)

    def _walk(
        self, host: Host, starts: Callable[[AnyRow], bool]
    ) -> tuple[tuple[AnyRow, list[Slot]] | None, set[Slot]]:
        """The first stage that fits here and `starts`, and what is taken or kept before it."""
        taken, most = set(self.taken[host.name]), _Most(gpus=len(host.gpus))
        # The first that does not fit keeps what it waits for, on the host that is nearest to it.
        # There that is the whole CPU, and nothing is left to decide, or all free GPUs, and what
        # needs one is not looked at any more. Other hosts pass by whatever needs as much.
        while host.cpu_free(taken):
            row = self._first(host, taken, most)
            if row is None:
                break
            chosen = host.fit(row.cpu, row.gpus, taken)
            if chosen is not None and starts(row):
                return (row, chosen), taken
            if keeps := self._nearest(host, row):
                taken |= set(chosen or host.reserve(row.cpu, row.gpus, taken))
            if chosen is not None:
                # It waits for other hosts; so would whatever needs as many.
                most = replace(most, hosts=_hosts(row) - 1)
            elif row.cpu == "all" and not keeps:
                most = replace(most, whole_cpu=False)
            elif not keeps:
                most = replace(most, gpus=row.gpus - 1)
        return None, taken

    def _starts(self, row: AnyRow, host: Host) -> bool:
        return len(self._others(row, host)) >= _hosts(row) - 1

    def _others(self, row: AnyRow, host: Host) -> list[Place]:
        """Further hosts where it is this stage's turn too, as many as it needs if there are."""
        found: list[Place] = []
        for other in self.hosts if _hosts(row) > 1 else ():
            if len(found) == _hosts(row) - 1:
                break
            if other.name != host.name:
                if other.name not in self._alone:
                    self._alone[other.name] = self._walk(other, self._possible)[0]
                first = self._alone[other.name]
                if first is not None and first[0].stage == row.stage:
                    found.append((other, first[1]))
        return found

    def _first(self, host: Host, taken: set[Slot], most: _Most) -> AnyRow | None:
        """The first stage that a host may look at; the same for all that are alike in it."""
        key = (host.classes, free := host.gpus_free(taken), most)
        if key not in self._next:
            # Those for the whole CPU are looked at: one that does not fit keeps it.
            allowed = (
                row
                for row in self._heads
                if most.allows(row)
                and row.device in (None, *host.classes)
                and (free or row.gpus == 0 or row.cpu == "all")
            )
            self._next[key] = next(allowed, None)
        return self._next[key]

    @cached_property
    def _heads(self) -> Sequence[AnyRow]:
        return self._tx.execute(_heads(_at_cap(self._tx))).all()

    @cached_property
    def _alive(self) -> list[tuple[AnyRow, int, int]]:
        """Hosts that answer, with their free CPU slots and GPUs."""
        executors = schema.executors
        query = select(*executors.c["host", "cpu_slots", "gpus", "classes"]).where(
            executors.c.expires_at >= now()
        )
        found = []
        for row in self._tx.execute(query):
            cpus = self._held[row.host, True]
            found.append((row, row.cpu_slots - cpus, len(row.gpus) - self._held[row.host, False]))
        return found

    def _nearest(self, host: Host, stage: AnyRow) -> bool:
        """Whether devices are kept for a stage here: too few other hosts lack less for it.

        If all kept some, a cluster would run half empty for one stage. The nearest gives nothing
        away and so gets nearer, until it fits or another is nearer still.
        """
        able, nearest = self._able(stage)
        return self._possible(stage) and (host.name not in able or host.name in nearest)

    def _possible(self, stage: AnyRow) -> bool:
        """Whether as many hosts as it runs on would do for it if they were free."""
        return _hosts(stage) == 1 or len(self._able(stage)[0]) >= _hosts(stage)

    def _able(self, stage: AnyRow) -> tuple[frozenset[str], frozenset[str]]:
        """Hosts that could run it if they were free, and those of them that lack least."""
        if stage.number not in self._near:
            lacks = self._lacking(stage)
            nearest = sorted(lacks, key=lacks.__getitem__)[: _hosts(stage)]
            self._near[stage.number] = frozenset(lacks), frozenset(nearest)
        return self._near[stage.number]

    def _lacking(self, stage: AnyRow) -> dict[str, tuple[int, str]]:
        """What hosts that answer lack for a stage that could run there: slots, and their names."""
        lacks = {}
        for row, cpus, cards in self._alive:
            wanted = row.cpu_slots if stage.cpu == "all" else 1
            if len(row.gpus) >= stage.gpus and stage.device in (None, *row.classes):
                lacks[row.host] = (max(0, wanted - cpus) + max(0, stage.gpus - cards), row.host)
        return lacks


def _hosts(stage: AnyRow) -> int:
    """How many hosts a stage needs to start."""
    return 1 if stage.elastic else int(stage.hosts)


def _heads(at_cap: list[int]) -> AnySelect:
    """The first queued job of each kind of needs and priority, in the order of the queue.

    All that decides where a stage fits is its needs, so no other can be the next one on any host.
    Not of users at their cap, nor one whose stage another job runs now or has finished: that
    result will be its own.
    """
    jobs, stages, results = schema.jobs, schema.stages, schema.results
    # A subquery is asked once; the clock itself, by PostgreSQL, for every row.
    time = select(now()).scalar_subquery()
    kind = (jobs.c.priority, *stages.c["cpu", "gpus", "device", "hosts", "elastic"])
    first = (
        select(func.min(jobs.c.number))
        .join(stages, (stages.c.job == jobs.c.number) & (stages.c.position == jobs.c.position))
        .outerjoin(results, results.c.key == stages.c.key)
        .where(jobs.c.state == "queued", jobs.c.wanted == "run", jobs.c.not_before <= time)
        .where(stages.c.key.not_in(_running()), results.c.key.is_(None))
        .where(jobs.c.user.not_in(at_cap))
        .group_by(*kind)
    )
    return (
        select(
            *jobs.c["number", "id"],
            stages.c.number.label("stage"),
            *stages.c["name", "cpu", "gpus", "device", "hosts", "elastic"],
        )
        .join(stages, (stages.c.job == jobs.c.number) & (stages.c.position == jobs.c.position))
        .where(jobs.c.number.in_(first))
        .order_by(jobs.c.priority.desc(), jobs.c.number)
    )


def _running() -> Select[str]:
    """Keys of the stages that run."""
    stages, attempts, leases = schema.stages.alias(), schema.attempts, schema.leases
    return (
        select(stages.c.key)
        .join(attempts, attempts.c.stage == stages.c.number)
        .join(leases, leases.c.attempt == attempts.c.number)
        .where(stages.c.key.is_not(None))
    )


def _at_cap(tx: Connection) -> list[int]:
    """Users who have as many running jobs as they may."""
    jobs, leases, users = schema.jobs, schema.leases, schema.users
    query = (
        select(users.c.number)
        .join(jobs, jobs.c.user == users.c.number)
        .join(leases, leases.c.job == jobs.c.number)
        .group_by(users.c.number)
        .having(func.count() >= users.c.most_running)
    )
    return list(tx.execute(query).scalars())
