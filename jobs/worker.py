"""The frame of a worker process: holds the lease, does the work, records what came of it.

Started with an attempt's id and fencing number; the environment names the store. What the work
is, is a function given by the caller. With a member's number as well it runs beside the worker of
the attempt, see `jobs.member`.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from jobs import attempts, member, process, variables
from jobs.artifacts import Artifacts
from jobs.attempts import Work
from jobs.database import Database
from jobs.errors import StaleLeaseError
from jobs.holder import INTERRUPTED, Holder, Interrupted
from jobs.lease import Lease
from jobs.member import Join
from jobs.patience import patiently

Report = Callable[[int, int, str], None]
Do = Callable[[Work, Artifacts, Report], Mapping[str, Path]]
"""Does the work and returns its files by name."""

Register = Callable[[Database, Work, Mapping[str, Path], Mapping[str, str]], None]
"""Lists stored files, given by name with path and hash, as assets. Called before the outcome is
recorded, so that no outcome lacks it; it may be called again, and must be idempotent."""


def _none(*_: object) -> None:
    """Lists nothing."""


def main(
    do: Do, arguments: Sequence[str], register: Register = _none, join: Join | None = None
) -> int:
    """Runs one attempt; returns the process's exit code, 0 where an outcome was recorded.

    Args:
        join: the work of a member, where there are stages for several hosts.
    """
    if len(arguments) == 3:
        assert join is not None
        return member.main(join, arguments)
    lease = Lease(attempt=arguments[0], fencing=int(arguments[1]))
    database = Database(os.environ[variables.URL])
    try:
        artifacts = Artifacts(database, os.environ[variables.FILES])
        return _attempt(do, register, database, artifacts, lease)
    except StaleLeaseError as error:
        print(error, flush=True)
        return 3
    finally:
        database.close()


def _attempt(
    do: Do, register: Register, database: Database, artifacts: Artifacts, lease: Lease
) -> int:
    holder = patiently(lambda: Holder(database, lease))
    try:
        with holder:
            found = do(holder.work, artifacts, holder.report)
            files = {name: _put(artifacts, path) for name, path in found.items()}
            patiently(lambda: register(database, holder.work, found, files))
    except Interrupted:
        # Whoever asked records it once this process is gone, and frees its devices then.
        process.kill(lease.attempt)
        return INTERRUPTED
    except StaleLeaseError:
        raise
    except Exception as error:
        traceback.print_exc()
        text = f"{type(error).__name__}: {error}"
        patiently(lambda: attempts.fail(database, lease, text))
    else:
        patiently(lambda: attempts.finish(database, lease, files, holder.progress))
    return 0


def _put(artifacts: Artifacts, path: Path) -> str:
    return patiently(lambda: artifacts.put(path))
