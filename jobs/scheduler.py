"""The scheduler: gives up the dead, stops what shall stop, starts what can run on its hosts.

All it knows is in the database, so it may be killed at any moment: its workers go on, record
their own results, and the next scheduler finds them by their leases.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from jobs import advance, attempts, claim, executors, leases, members
from jobs.claim import Claim, Member
from jobs.crew import Crew
from jobs.database import Database
from jobs.devices import Host
from jobs.errors import StaleLeaseError, StoreError
from jobs.holder import INTERRUPTED
from jobs.launcher import AwayError, Launcher, LauncherError
from jobs.lease import Lease
from jobs.leases import InForce
from jobs.logs import Logs
from jobs.settings import Settings

_MOST_LOST = 5  # members of an attempt that are replaced
_TAIL = 2000  # characters of the log kept with the error of a worker that broke


class Scheduler:
    """Runs stages on the hosts of a launcher."""

    def __init__(
        self, database: Database, launcher: Launcher, logs: Logs, settings: Settings
    ) -> None:
        self.database = database
        self.crew = Crew(launcher, logs, settings)
        self.logs = logs
        self.settings = settings
        self._hosts: list[Host] = []
        self._started: dict[str, Lease] = {}
        self._lost: Counter[str] = Counter()
        self._stopping: dict[str, float] = {}
        self._reap_after = 0.0
        self._announced = 0.0
        self._made_way = 0.0
        self._asked_to_go = ("", 0.0)

    @property
    def launcher(self) -> Launcher:
        """What its workers are started with."""
        return self.crew.launcher

    def run(self, stop: threading.Event, say: Callable[[str], None] = lambda text: None) -> None:
        """Works until `stop` is set, then ends what does not go on alone; it goes on another time.

        A database or a cluster that does not answer, and a full disk, is waited for. Once it does,
        workers get the time of one lease to be heard before any is given up for dead.

        Args:
            say: told when it fails, and when it is back.
        """
        failing = ""
        while not stop.is_set():
            try:
                self.tick()
                text = ""
            except (StoreError, LauncherError, OSError) as error:
                self._reap_after = time.monotonic() + self.settings.lasts_s
                text = str(error)
            if text != failing:
                failing = text
                with contextlib.suppress(OSError):  # the disk may be full that keeps what is said
                    say(text or "all answer again")
            stop.wait(self.settings.tick_s)
        self.close()

    def tick(self) -> None:
        """One look at the database."""
        self._look_around()
        self._collect()
        if time.monotonic() >= self._reap_after:
            self._reap()
        held = self._held()
        self._look_after_members(held)
        self._stop_unwanted(held)
        advance.reuse(self.database)
        while (found := self._claim()) is not None:
            self._start(found)
        self._extend(held)
        self._make_way(held)

    def close(self) -> None:
        """Ends all workers that would end with it, and says so if the database answers."""
        if not self.launcher.leaves:
            self._end_all()
        for host in self._hosts:
            with contextlib.suppress(StoreError):
                executors.leave(self.database, host.name)

    def _end_all(self) -> None:
        held = list(self._started.values())
        with contextlib.suppress(StoreError):
            held = [item.lease for item in self._held()]
        for lease in held:
            self.crew.ask_to_end(lease.attempt)
        deadline = time.monotonic() + self.settings.grace_s
        for lease in held:
            while self.crew.alive(lease.attempt) and time.monotonic() < deadline:
                time.sleep(0.05)
            with contextlib.suppress(StoreError):
                self._interrupt(lease, "the service stopped")
            self.crew.forget(lease.attempt)

    def _held(self) -> list[InForce]:
        held = leases.of_hosts(self.database, self._names())
        for item in held:
            self.crew.know(item.lease.attempt, item.others)
        return held

    def _names(self) -> list[str]:
        return [host.name for host in self._hosts]

    def _claim(self) -> Claim | None:
        settings = self.settings
        return claim.claim_any(self.database, self._hosts, settings.lasts_s, settings.start_s)

    def _look_around(self) -> None:
        """Which hosts there are; those that left are forgotten, the others announced in time."""
        before, self._hosts = self._names(), self.crew.look_around()
        for gone in set(before) - set(self._names()):
            executors.leave(self.database, gone)
        new = set(self._names()) - set(before)
        if new or time.monotonic() - self._announced >= self.settings.heartbeat_s:
            for host in self._hosts:
                executors.announce(self.database, host, self.settings.lasts_s)
            self._announced = time.monotonic()

    def _collect(self) -> None:
        """Looks after what was started: what ended, and the logs of the others."""
        for attempt, lease in list(self._started.items()):
            code = self.launcher.ended(attempt)
            self.logs.trim(attempt)
            if code is None:
                continue
            if attempt in self._stopping or code in (INTERRUPTED, -signal.SIGTERM):
                self._interrupt(lease, "stopped")
            else:
                self.crew.kill(attempt)
                self._record(lease, code)
            self.crew.forget(attempt)
            del self._started[attempt]
            self._lost.pop(attempt, None)

    def _record(self, lease: Lease, code: int) -> None:
        """A worker that ended without a word has failed; one that spoke is not in the way."""
        with contextlib.suppress(StaleLeaseError):
            attempts.fail(self.database, lease, self._how("the worker", lease.attempt, code))

    def _how(self, who: str, process: str, code: int) -> str:
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"{who} ended with {how}\n{self.logs.read(process, _TAIL).strip()}".strip()

    def _look_after_members(self, held: Sequence[InForce]) -> None:
        """Those that ended early: an elastic stage goes on without, any other begins again."""
        for item in held:
            for member, code in self.crew.ended(item.lease.attempt, item.others):
                if item.wanted == "run" and (item.elastic or code != 0):
                    with contextlib.suppress(StaleLeaseError):
                        self._lose(item, member, code)

    def _lose(self, item: InForce, member: Member, code: int) -> None:
        lease, name = item.lease, members.process_id(item.lease.attempt, member.number)
        why = self._how(f"member {member.number} on {member.host}", name, code)
        if item.elastic:
            self.launcher.kill(name)
            if code not in (INTERRUPTED, -signal.SIGTERM):
                # Where one has nothing left to do, no other has.
                self._lost[lease.attempt] += 1 if code else _MOST_LOST
            members.lose(self.database, lease, member, why)
        elif code in (INTERRUPTED, -signal.SIGTERM):
            self._interrupt(lease, "stopped")
        elif self.crew.kill(lease.attempt):
            attempts.fail(self.database, lease, why)

    def _extend(self, held: Sequence[InForce]) -> None:
        """Gives elastic stages the members that they lack, where nothing else waits."""
        given_up = {name for name, count in self._lost.items() if count >= _MOST_LOST}
        lacking = [item for item in held if item.elastic and len(item.others) < item.hosts - 1]
        while any(item.lease.attempt not in given_up for item in lacking):
            joined = members.extend(self.database, self._hosts, given_up)
            if joined is None:
                return
            try:
                self.crew.join(joined.lease, joined.member, joined.whole_cpu)
            except LauncherError as error:
                with contextlib.suppress(StaleLeaseError):
                    members.lose(self.database, joined.lease, joined.member, str(error))
                raise

    def _make_way(self, held: Sequence[InForce]) -> None:
        """Ends a member of an elastic stage that another stage waits for, one at a time."""
        going = time.monotonic() < self._made_way + self.settings.heartbeat_s
        if going or not any(item.elastic and item.others for item in held):
            return
        self._made_way = time.monotonic()
        found = members.in_the_way(self.database, self._hosts)
        if found is not None:
            lease, member = found
            name = members.process_id(lease.attempt, member.number)
            asked, since = self._asked_to_go
            if asked != name:
                self._asked_to_go = (name, self._made_way)
                self.launcher.ask_to_end(name)
            elif self._made_way >= since + self.settings.grace_s and self.launcher.kill(name):
                self.launcher.ended(name)  # not watched any more
                with contextlib.suppress(StaleLeaseError):
                    members.lose(self.database, lease, member, "another stage waits")

    def _reap(self) -> None:
        names = set(self._names())
        for dead in leases.expired(self.database):
            # It may only be stopped (SIGSTOP) and still hold the device.
            attempt, gone = dead.lease.attempt, dead.host not in names
            self.crew.know(attempt, dead.others)
            if (gone and not dead.others) or self.crew.kill(attempt) or gone:
                leases.give_up(self.database, dead.lease)
                # Not watched any more: a new head of a cluster would never know its end.
                self.crew.forget(attempt)
                self._started.pop(attempt, None)

    def _stop_unwanted(self, held: Sequence[InForce]) -> None:
        """Ends attempts of jobs that shall pause or be cancelled; frees devices once they did."""
        known = {item.lease.attempt for item in held} | self._started.keys()
        self._stopping = {a: until for a, until in self._stopping.items() if a in known}
        for item in held:
            attempt = item.lease.attempt
            if item.wanted == "run" and attempt not in self._stopping:
                continue
            if attempt not in self._stopping:
                self.crew.ask_to_end(attempt)
                self._stopping[attempt] = time.monotonic() + self.settings.grace_s
            if time.monotonic() >= self._stopping[attempt] or not self.crew.alive(attempt):
                self._interrupt(item.lease, f"stopped to {item.wanted}")

    def _interrupt(self, lease: Lease, reason: str) -> None:
        if self.crew.kill(lease.attempt):
            with contextlib.suppress(StaleLeaseError):
                attempts.interrupt(self.database, lease, reason)
            self._stopping.pop(lease.attempt, None)

    def _start(self, found: Claim) -> None:
        lease = found.lease
        try:
            self.crew.start(found)
        except LauncherError as error:
            with contextlib.suppress(LauncherError):  # nobody may answer
                self.crew.kill(lease.attempt)
            if isinstance(error, AwayError):
                # Not the stage's fault. Should it have started, it finds its lease over.
                attempts.interrupt(self.database, lease, str(error))
                raise
            attempts.fail(self.database, lease, str(error))
            return
        self._started[lease.attempt] = lease
