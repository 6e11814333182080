"""The worker's side of a lease: heartbeats from a thread, and an end when it is lost.

The thread stops the process when the job is to stop, and kills it at once when the lease is no
longer in force, since then another worker may be in the same place.
"""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace
from types import FrameType, TracebackType

from jobs import attempts, members, process
from jobs.attempts import Progress, Work
from jobs.database import Database
from jobs.errors import StaleLeaseError, StoreError
from jobs.lease import Lease
from jobs.patience import patiently

BEATS = 2.5  # heartbeats in the life of a lease; see `Scheduler`
INTERRUPTED = 143  # exit code of a worker that stopped because it was asked to
GRACE_S = 8.0
"""Seconds between the wish to stop and the kill."""


class Interrupted(BaseException):
    """The attempt is to stop; raised in the main thread by SIGTERM."""


class Holder:
    """Keeps a lease in force inside `with`.

    Attributes:
        progress: the last that was reported.

    Raises (inside the block):
        Interrupted: cancelled, paused, or the service stops.
    """

    def __init__(self, database: Database, lease: Lease) -> None:
        self.database = database
        self.lease = lease
        begun = attempts.begin(database, lease, os.getpid())
        self.work: Work = replace(begun, meet=self._meet)
        self.progress = Progress()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def report(self, done: int, total: int, note: str) -> None:
        """Progress, sent with the next heartbeat."""
        self.progress = Progress(done=done, total=total, note=note)

    def _meet(self, place: str) -> None:
        patiently(lambda: members.meet(self.database, self.lease, place))

    def __enter__(self) -> Holder:
        signal.signal(signal.SIGTERM, _interrupt)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        wait = self.work.lasts_s / BEATS
        while not self._over.wait(wait):
            try:
                wanted = attempts.beat(self.database, self.lease, self.progress)
            except StaleLeaseError:
                end_now(self.lease)
            except StoreError:
                continue  # The database is away; work goes on until it says otherwise.
            if wanted != "run":
                os.kill(os.getpid(), signal.SIGTERM)
                if not self._over.wait(GRACE_S):
                    end_now(self.lease)
                return


def end_now(lease: Lease) -> None:
    """Kills the attempt's processes, last this one."""
    process.kill(lease.attempt)
    os.kill(os.getpid(), signal.SIGKILL)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted
