"""Clearing away what nobody needs any more: old logs, working folders, half-made files.

Results stay: what a finished stage made lies in the store, and a working folder that is gone is
made anew from there if its job is retried.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jobs import retention
from jobs.errors import StoreError
from service.instance import Instance

_DAY_S = 86_400.0
_EVERY_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long what ended jobs leave behind is kept, in days."""

    logs: float = 90.0
    runs: float = 7.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """What was removed, or would be."""

    logs: list[Path]
    runs: list[Path]
    orphans: int

    def __str__(self) -> str:
        return (
            f"{len(self.logs)} logs, {len(self.runs)} working folders, "
            f"{self.orphans} files that nothing refers to"
        )


def tidy(instance: Instance, keep: Retention, *, dry: bool = False) -> Cleared:
    """Removes what is older than it is to be kept; safe while jobs run.

    Args:
        dry: only say what would be removed.
    """
    logs = _by_id(instance.logs.root, lambda path: path.name.split(".")[0])
    runs = _by_id(instance.folder / "runs", lambda path: path.name)
    database = instance.database
    old_logs = retention.ended_attempts(database, list(logs), keep.logs * _DAY_S)
    old_runs = retention.ended_jobs(database, list(runs), keep.runs * _DAY_S)
    found = Cleared(
        logs=[path for attempt in sorted(old_logs) for path in logs[attempt]],
        runs=[path for job in sorted(old_runs) for path in runs[job]],
        orphans=0 if dry else instance.artifacts.sweep(),
    )
    if not dry:
        for path in found.logs:
            path.unlink(missing_ok=True)
        for path in found.runs:
            shutil.rmtree(path, ignore_errors=True)
    return found


def keep_tidy(
    instance: Instance,
    keep: Retention,
    stop: threading.Event,
    say: Callable[[str], None],
    every_s: float = _EVERY_S,
) -> None:
    """Tidies now and then until `stop` is set; a store that does not answer is left for later."""
    while True:
        try:
            cleared = tidy(instance, keep)
            if cleared.logs or cleared.runs or cleared.orphans:
                say(f"cleared away: {cleared}")
        except (StoreError, OSError) as error:
            say(f"could not clear away: {error}")
        if stop.wait(every_s):
            return


def _by_id(folder: Path, named: Callable[[Path], str]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        found.setdefault(named(path), []).append(path)
    return found
