"""One measurement at a time per device, across processes of this user.

The lock belongs to the operating system: it is free again when its holder ends, however it ends.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


class DeviceBusyError(TimeoutError):
    """Another measurement runs on the device; the message names the lock file."""


def cache_dir() -> Path:
    """This user's directory for locks: $XDG_CACHE_HOME/stairprune, created if need be.

    Falls back to the temporary directory where the home cannot be written.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    wanted = (Path(base) if base else Path.home() / ".cache") / "stairprune"
    try:
        wanted.mkdir(parents=True, exist_ok=True)
        if os.access(wanted, os.W_OK):
            return wanted
    except OSError:
        pass
    user = os.getuid() if hasattr(os, "getuid") else "user"
    fallback = Path(tempfile.gettempdir()) / f"stairprune-{user}"
    fallback.mkdir(mode=0o700, exist_ok=True)
    return fallback


def lock_file(device: str) -> Path:
    """Where the lock of `device` lies."""
    slug = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")
    return cache_dir() / f"measuring-{slug}.lock"


@contextmanager
def measuring(
    device: str, wait_s: float = 0.0, waiting: Callable[[str], None] = lambda note: None
) -> Iterator[Path]:
    """Holds the device's lock, after waiting up to `wait_s` seconds for it.

    Args:
        waiting: told once what is waited for, if it is not free at once.

    Raises:
        DeviceBusyError: someone else still measures there.
    """
    path = lock_file(device)
    lock = FileLock(path)
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if wait_s <= 0:
                raise
            waiting(f"waiting for another measurement on {device} to end (it holds {path})")
            lock.acquire(timeout=wait_s)
    except Timeout:
        raise DeviceBusyError(
            f"one measurement at a time may run on {device}, but another one holds {path} "
            f"(waited {wait_s:g} s); try again when it has ended"
        ) from None
    try:
        yield path
    finally:
        lock.release()
