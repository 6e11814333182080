"""`stairprune serve` as a process of its own, as users start it, and what it takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import psutil

from jobs import users
from service.instance import Instance, open_instance

ROOT = Path(__file__).parent.parent.parent
USER = "bench"
_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server that answers.

    Attributes:
        start_s: seconds from its start to its first answer, on a store that has its tables.
        instance: the same store and folders, opened here.
    """

    address: str
    token: str
    start_s: float
    process: psutil.Process
    instance: Instance

    def megabytes(self) -> float:
        """Resident memory."""
        return float(self.process.memory_info().rss) / 1e6

    def cpu_s(self) -> float:
        """CPU seconds of the server until now, with those of its processes."""
        found = [self.process, *self.process.children(recursive=True)]
        return float(sum(sum(p.cpu_times()[:2]) for p in found))


@contextmanager
def running(folder: Path, url: str | None, *words: str, work: bool = False) -> Iterator[Running]:
    """Serves from `folder`, and stops at the end.

    Args:
        url: of the database; an SQLite file in the folder if None.
        work: run stages too.
        words: further arguments of `stairprune serve`.
    """
    instance = open_instance(folder / "home", url)
    users.ensure(instance.database, USER, most_running=100, most_open=100_000)
    told = folder / "stairprune" / "client.json"
    command = [sys.executable, "-m", "service.cli", "serve", "--folder", str(folder / "home")]
    command += ["--port", "0", "--user", USER, "--work" if work else "--no-work", *words]
    command += [] if url is None else ["--url", url]
    environment = {**os.environ, "XDG_CONFIG_HOME": str(folder), "PYTHONPATH": str(ROOT)}
    start = time.monotonic()
    with (folder / "serve.log").open("ab") as log:
        server = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)
    try:
        while not (told.exists() and _answers(json.loads(told.read_text())["server"])):
            if server.poll() is not None or time.monotonic() - start > _PATIENCE_S:
                raise RuntimeError((folder / "serve.log").read_text())
            time.sleep(0.02)
        known = json.loads(told.read_text())
        yield Running(
            address=known["server"],
            token=known["token"],
            start_s=time.monotonic() - start,
            process=psutil.Process(server.pid),
            instance=instance,
        )
    finally:
        server.terminate()
        server.wait(_PATIENCE_S)
        instance.database.close()


def _answers(address: str) -> bool:
    try:
        with urlopen(f"{address}/api/v1/health", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
