"""Where the service keeps things, and what its scheduler starts: one folder, one store.

`scheduler` is what the server runs in a thread; `stairprune serve` and every test build it here.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs import devices, variables
from jobs.artifacts import Artifacts
from jobs.database import Database
from jobs.launcher import Launcher
from jobs.launcher_local import LocalLauncher
from jobs.logs import Logs
from jobs.migrate import upgrade
from jobs.scheduler import Scheduler
from jobs.settings import Settings

_WORKER = (sys.executable, "-m", "service.worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """The opened store with its folders."""

    database: Database
    artifacts: Artifacts
    logs: Logs
    folder: Path

    def scheduler(
        self,
        cpu_slots: int | None = None,
        ray: str | None = None,
        classes: Sequence[str] = (),
    ) -> Scheduler:
        """The scheduler of this machine, or of a Ray cluster.

        Args:
            cpu_slots: of this machine; see `devices.this_host`.
            ray: address of the cluster; see `RayLauncher`.
            classes: of this machine; a cluster's nodes have their own.

        Raises:
            LauncherError: the cluster's token cannot be read.
        """
        environment = {
            variables.URL: self.database.url,
            variables.FILES: self.artifacts.files.address,
            "STAIRPRUNE_RUNS": str(self.folder / "runs"),
        }
        settings = Settings(command=_WORKER, environment=environment)
        if ray is None:
            launcher: Launcher = LocalLauncher(devices.this_host(cpu_slots, classes))
        else:
            from jobs.launcher_ray import RayLauncher

            launcher = RayLauncher(ray, self.folder)
        return Scheduler(self.database, launcher, self.logs, settings)


def open_instance(folder: Path, url: str | None = None, artifacts: str | None = None) -> Instance:
    """Opens the store, creating or upgrading it, and the folders of files and logs in `folder`.

    Args:
        url: the database; an SQLite file in `folder` if not given.
        artifacts: where files are stored, as s3://bucket/stairprune; in `folder` if not given.

    Raises:
        StoreError: the database or the address of files cannot be used.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    database = Database(url or f"sqlite:///{folder / 'stairprune.db'}")
    upgrade(database)
    return Instance(
        database=database,
        artifacts=Artifacts(database, artifacts or folder / "artifacts"),
        logs=Logs(folder / "logs"),
        folder=folder,
    )
