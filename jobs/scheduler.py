"""The scheduler of one host: gives up the dead, stops what shall stop, starts what can run.

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
from subprocess import Popen

from jobs import advance, attempts, claim, executors, leases, process
from jobs.claim import Claim
from jobs.database import Database
from jobs.devices import Host
from jobs.errors import StaleLeaseError, StoreError
from jobs.holder import INTERRUPTED
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
    """Runs stages on one host."""

    def __init__(self, database: Database, host: Host, logs: Logs, settings: Settings) -> None:
        self.database = database
        self.host = host
        self.logs = logs
        self.settings = settings
        self._children: dict[str, tuple[Lease, Popen[bytes]]] = {}
        self._stopping: dict[str, float] = {}
        self._reap_after = 0.0
        self._announced = 0.0

    def run(self, stop: threading.Event, say: Callable[[str], None] = lambda text: None) -> None:
        """Works until `stop` is set, then ends all workers; their stages go on another time.

        A database that does not answer is waited for. Once it does, workers get the time of one
        lease to be heard before any is given up for dead.

        Args:
            say: told when the database fails, and when it is back.
        """
        failing = ""
        while not stop.is_set():
            try:
                self.tick()
                text = ""
            except StoreError as error:
                self._reap_after = time.monotonic() + self.settings.lasts_s
                text = str(error)
            if text != failing:
                failing = text
                say(text or "the store answers again")
            stop.wait(self.settings.tick_s)
        self.close()

    def tick(self) -> None:
        """One look at the database."""
        self._announce()
        self._collect()
        if time.monotonic() >= self._reap_after:
            self._reap()
        self._stop_unwanted()
        advance.reuse(self.database)
        while (found := self._claim()) is not None:
            self._start(found)

    def close(self) -> None:
        """Ends all workers of this host, within the grace, and says so if the database answers."""
        held = [lease for lease, _ in self._children.values()]
        with contextlib.suppress(StoreError):
            held = [item.lease for item in leases.of_host(self.database, self.host.name)]
        for lease in held:
            process.ask_to_end(lease.attempt)
        deadline = time.monotonic() + self.settings.grace_s
        for lease in held:
            while process.alive(lease.attempt) and time.monotonic() < deadline:
                self._poll()
                time.sleep(0.05)
            with contextlib.suppress(StoreError):
                self._interrupt(lease, "the service stopped")
        self._poll()
        with contextlib.suppress(StoreError):
            executors.leave(self.database, self.host.name)

    def _claim(self) -> Claim | None:
        settings = self.settings
        return claim.claim(self.database, self.host, settings.lasts_s, settings.start_s)

    def _announce(self) -> None:
        if time.monotonic() - self._announced >= self.settings.heartbeat_s:
            executors.announce(self.database, self.host, self.settings.lasts_s)
            self._announced = time.monotonic()

    def _collect(self) -> None:
        """Looks after children: those that ended, and the logs of the others."""
        for attempt, (lease, child) in list(self._children.items()):
            code = child.poll()
            self.logs.trim(attempt)
            if code is None:
                continue
            if attempt in self._stopping or code in (INTERRUPTED, -signal.SIGTERM):
                self._interrupt(lease, "stopped")
            else:
                process.kill(attempt)
                self._record(lease, code)
            del self._children[attempt]

    def _record(self, lease: Lease, code: int) -> None:
        """A worker that ended without a word has failed; one that spoke is not in the way."""
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        tail = self.logs.read(lease.attempt, _TAIL).strip()
        with contextlib.suppress(StaleLeaseError):
            attempts.fail(self.database, lease, f"the worker ended with {how}\n{tail}".strip())

    def _reap(self) -> None:
        for dead in leases.expired(self.database):
            # It may only be stopped (SIGSTOP) and still hold the device.
            if dead.host != self.host.name or process.kill(dead.lease.attempt):
                leases.give_up(self.database, dead.lease)

    def _stop_unwanted(self) -> None:
        """Ends attempts of jobs that shall pause or be cancelled; frees devices once they did."""
        held = leases.of_host(self.database, self.host.name)
        known = {item.lease.attempt for item in held} | self._children.keys()
        self._stopping = {a: until for a, until in self._stopping.items() if a in known}
        for item in held:
            attempt = item.lease.attempt
            if item.wanted == "run" and attempt not in self._stopping:
                continue
            if attempt not in self._stopping:
                process.ask_to_end(attempt)
                self._stopping[attempt] = time.monotonic() + self.settings.grace_s
            self._poll()
            if time.monotonic() >= self._stopping[attempt] or not process.alive(attempt):
                self._interrupt(item.lease, f"stopped to {item.wanted}")

    def _interrupt(self, lease: Lease, reason: str) -> None:
        if process.kill(lease.attempt):
            with contextlib.suppress(StaleLeaseError):
                attempts.interrupt(self.database, lease, reason)
            self._stopping.pop(lease.attempt, None)

    def _poll(self) -> None:
        for _, child in self._children.values():
            child.poll()

    def _start(self, found: Claim) -> None:
        lease = found.lease
        environment = {
            **self.settings.environment,
            "CUDA_VISIBLE_DEVICES": ",".join(found.gpus),
        }
        command = [*self.settings.command, lease.attempt, str(lease.fencing)]
        log = self.logs.path(lease.attempt)
        try:
            child = process.start(command, lease.attempt, environment, log)
        except OSError as error:
            attempts.fail(self.database, lease, f"the worker cannot start: {error}")
            return
        self._children[lease.attempt] = (lease, child)
