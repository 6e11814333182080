"""The scheduler: gives up the dead, stops what shall stop, starts what can run on its hosts.

All it knows is in the database, so it may be killed at any moment: its workers go on, record
their own results, and the next scheduler finds them by their leases.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from jobs import advance, attempts, claim, executors, leases
from jobs.claim import Claim
from jobs.database import Database
from jobs.devices import Host
from jobs.errors import StaleLeaseError, StoreError
from jobs.holder import INTERRUPTED
from jobs.launcher import AwayError, Launch, Launcher, LauncherError
from jobs.lease import Lease
from jobs.logs import Logs

_BEATS = 2.5
_TAIL = 2000  # characters of the log kept with the error of a worker that broke


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a scheduler runs.

    Attributes:
        command: what starts a worker; the attempt's id and fencing number are appended.
        environment: variables that workers get beside those of this process.
        heartbeat_s: seconds between a worker's heartbeats. A lease lasts two and a half, so with
            the reaper's turn a dead worker's job is queued again within three.
        tick_s: seconds between two looks at the database.
        start_s: seconds that a worker may take to come up.
        grace_s: seconds between asking a worker to end and killing it.
    """

    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    heartbeat_s: float = 4.0
    start_s: float = 30.0
    tick_s: float = 0.25
    grace_s: float = 8.0

    @property
    def lasts_s(self) -> float:
        """Seconds that a lease lasts without a heartbeat."""
        return _BEATS * self.heartbeat_s


class Scheduler:
    """Runs stages on the hosts of a launcher."""

    def __init__(
        self, database: Database, launcher: Launcher, logs: Logs, settings: Settings
    ) -> None:
        self.database = database
        self.launcher = launcher
        self.logs = logs
        self.settings = settings
        self._hosts: list[Host] = []
        self._started: dict[str, Lease] = {}
        self._stopping: dict[str, float] = {}
        self._reap_after = 0.0
        self._announced = 0.0

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
        self._stop_unwanted()
        advance.reuse(self.database)
        while (found := self._claim()) is not None:
            self._start(found)

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
            held = [item.lease for item in leases.of_hosts(self.database, self._names())]
        for lease in held:
            self.launcher.ask_to_end(lease.attempt)
        deadline = time.monotonic() + self.settings.grace_s
        for lease in held:
            while self.launcher.alive(lease.attempt) and time.monotonic() < deadline:
                time.sleep(0.05)
            with contextlib.suppress(StoreError):
                self._interrupt(lease, "the service stopped")
            self.launcher.ended(lease.attempt)

    def _names(self) -> list[str]:
        return [host.name for host in self._hosts]

    def _claim(self) -> Claim | None:
        settings = self.settings
        return claim.claim_any(self.database, self._hosts, settings.lasts_s, settings.start_s)

    def _look_around(self) -> None:
        """Which hosts there are; those that left are forgotten, the others announced in time."""
        before, self._hosts = self._names(), self.launcher.hosts()
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
                self.launcher.kill(attempt)
                self._record(lease, code)
            del self._started[attempt]

    def _record(self, lease: Lease, code: int) -> None:
        """A worker that ended without a word has failed; one that spoke is not in the way."""
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        tail = self.logs.read(lease.attempt, _TAIL).strip()
        with contextlib.suppress(StaleLeaseError):
            attempts.fail(self.database, lease, f"the worker ended with {how}\n{tail}".strip())

    def _reap(self) -> None:
        names = set(self._names())
        for dead in leases.expired(self.database):
            # It may only be stopped (SIGSTOP) and still hold the device.
            attempt = dead.lease.attempt
            if dead.host not in names or self.launcher.kill(attempt):
                leases.give_up(self.database, dead.lease)
                # Not watched any more: a new head of a cluster would never know its end.
                self.launcher.ended(attempt)
                self._started.pop(attempt, None)

    def _stop_unwanted(self) -> None:
        """Ends attempts of jobs that shall pause or be cancelled; frees devices once they did."""
        held = leases.of_hosts(self.database, self._names())
        known = {item.lease.attempt for item in held} | self._started.keys()
        self._stopping = {a: until for a, until in self._stopping.items() if a in known}
        for item in held:
            attempt = item.lease.attempt
            if item.wanted == "run" and attempt not in self._stopping:
                continue
            if attempt not in self._stopping:
                self.launcher.ask_to_end(attempt)
                self._stopping[attempt] = time.monotonic() + self.settings.grace_s
            if time.monotonic() >= self._stopping[attempt] or not self.launcher.alive(attempt):
                self._interrupt(item.lease, f"stopped to {item.wanted}")

    def _interrupt(self, lease: Lease, reason: str) -> None:
        if self.launcher.kill(lease.attempt):
            with contextlib.suppress(StaleLeaseError):
                attempts.interrupt(self.database, lease, reason)
            self._stopping.pop(lease.attempt, None)

    def _start(self, found: Claim) -> None:
        lease, settings = found.lease, self.settings
        launch = Launch(
            attempt=lease.attempt,
            host=found.host,
            command=[*settings.command, lease.attempt, str(lease.fencing)],
            environment=settings.environment,
            whole_cpu=found.whole_cpu,
            gpus=found.gpus,
            log=self.logs.path(lease.attempt),
            grace_s=settings.grace_s,
        )
        launch.log.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.launcher.start(launch)
        except AwayError as error:
            # Not the stage's fault. Should it have started, it finds its lease over.
            attempts.interrupt(self.database, lease, str(error))
            raise
        except LauncherError as error:
            attempts.fail(self.database, lease, str(error))
            return
        self._started[lease.attempt] = lease
