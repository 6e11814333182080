"""Processes of an attempt: started in a group of their own, found by a mark, and ended.

The mark is an environment variable that every descendant inherits, so one that left the group,
or whose parent is gone, is found as well. Knows nothing of the store.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

MARK = "STAIRPRUNE_ATTEMPT"


def start(
    command: Sequence[str], attempt: str, environment: Mapping[str, str], log: Path
) -> subprocess.Popen[bytes]:
    """Starts an attempt; both of its outputs are appended to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment, MARK: attempt},
            start_new_session=True,
        )


def alive(attempt: str) -> list[psutil.Process]:
    """Processes of an attempt that still run, without the calling one."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if process.environ().get(MARK) == attempt:
                found.append(process)
    return found


def ask_to_end(attempt: str) -> None:
    """Sends SIGTERM to an attempt's worker, who ends what it started."""
    found = alive(attempt)
    pids = {process.pid for process in found}
    for process in found:
        with contextlib.suppress(psutil.Error):
            if process.ppid() not in pids:
                process.terminate()


def kill(attempt: str) -> bool:
    """Sends SIGKILL to all processes of an attempt, and again to those that came since.

    Returns:
        Whether none is left.
    """
    for _ in range(5):
        victims = alive(attempt)
        if not victims:
            return True
        for victim in victims:
            with contextlib.suppress(psutil.Error):
                victim.kill()
        deadline = time.monotonic() + 1.0
        while any(map(_runs, victims)) and time.monotonic() < deadline:
            time.sleep(0.01)
    return not alive(attempt)


def _runs(process: psutil.Process) -> bool:
    """Whether it has not ended; what has is left to its parent, who reads how it ended."""
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
