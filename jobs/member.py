"""The frame of a member: a process that runs beside the worker of an attempt, on another host.

It is told where the worker is by the store, does its part there, and records nothing. It ends
itself once the attempt is over, as the worker's lease is its own.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from types import FrameType

from jobs import members, process, variables
from jobs.database import Database
from jobs.errors import StaleLeaseError, StoreError
from jobs.holder import BEATS, INTERRUPTED, Interrupted
from jobs.lease import Lease
from jobs.members import Meeting
from jobs.patience import patiently

Join = Callable[[Meeting, int], None]
"""Does the part of the member with this number."""

_LOOK_S = 0.3  # between two looks whether the worker is ready


def main(join: Join, arguments: Sequence[str]) -> int:
    """Runs a member; its exit code is 0 where its part is done."""
    attempt, fencing, number = arguments[0], int(arguments[1]), int(arguments[2])
    name = members.process_id(attempt, number)
    database = Database(os.environ[variables.URL])
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        found = _found(database, Lease(attempt=attempt, fencing=fencing))
        watch = (database, Lease(attempt=attempt, fencing=fencing), name, found.lasts_s / BEATS)
        threading.Thread(target=_watch, args=watch, daemon=True).start()
        join(found, number)
    except Interrupted:
        process.kill(name)
        return INTERRUPTED
    except StaleLeaseError as error:
        print(error, flush=True)
        return 3
    except Exception:
        traceback.print_exc()
        process.kill(name)
        return 1
    return 0


def _found(database: Database, theirs: Lease) -> Meeting:
    """The meeting, once the worker is there."""
    while True:
        found = patiently(lambda: members.meeting(database, theirs))
        if found.place is not None:
            return found
        time.sleep(_LOOK_S)


def _watch(database: Database, theirs: Lease, name: str, every_s: float) -> None:
    while True:
        time.sleep(every_s)
        try:
            members.meeting(database, theirs)
        except StaleLeaseError:
            process.kill(name)
            os.kill(os.getpid(), signal.SIGKILL)
        except StoreError:
            continue  # The database is away; work goes on until it says otherwise.


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted
