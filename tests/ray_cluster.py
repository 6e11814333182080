"""A real Ray cluster of nodes on this machine, with GPUs that are only numbers."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import psutil

_MARK = "STAIRPRUNE_TEST_NODE"
_PATIENCE_S = 90.0


class RayCluster:
    """A head without CPUs, and nodes that come and go.

    Attributes:
        address: of the dashboard.
        environment: what a client needs beside the address: token mode, and the token.
    """

    def __init__(self) -> None:
        # Short, since sockets lie there and their paths are limited.
        self.folder = Path(tempfile.mkdtemp(prefix="sp-ray-", dir="/tmp"))
        self._port, dashboard = _free(), _free()
        self.address = f"http://127.0.0.1:{dashboard}"
        self.environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)}
        # A dead node is noticed in some 3 s instead of 15.
        self._quick = {
            "RAY_health_check_initial_delay_ms": "1000",
            "RAY_health_check_period_ms": "500",
            "RAY_health_check_failure_threshold": "3",
        }
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}
        self._head = ("--head", f"--port={self._port}", f"--dashboard-port={dashboard}",
                      "--dashboard-host=127.0.0.1", "--num-cpus=0", "--num-gpus=0",
                      f"--temp-dir={self.folder / 'ray'}")  # fmt: skip

    def start_head(self) -> None:
        """Starts the head and waits until it answers."""
        self._start("head", *self._head)
        self._until(lambda: self.alive() == ["head"])

    def add(self, name: str, cpus: int = 4, gpus: int = 0, kind: str = "plain") -> None:
        """Adds a node and waits until the head knows it."""
        where = f"--address=127.0.0.1:{self._port}"
        self._start(name, where, f"--num-cpus={cpus}", f"--num-gpus={gpus}",
                    f'--resources={{"device:{kind}": 1}}')  # fmt: skip
        self._until(lambda: name in self.alive())

    def kill(self, name: str) -> None:
        """Ends a node, as a power cut would: all its processes at once."""
        node = self._nodes.pop(name)
        found = _marked(f"{self.folder}:{name}")
        # Some of Ray's processes overwrite their environment with their title.
        with contextlib.suppress(psutil.Error):
            found += psutil.Process(node.pid).children(recursive=True)
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        node.wait(30)

    def close(self) -> None:
        """Ends everything."""
        for name in [*self._nodes][::-1]:
            self.kill(name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def names(self) -> list[str]:
        """Nodes that were started and not killed, in that order."""
        return [*self._nodes]

    def alive(self) -> list[str]:
        """Names of the nodes that the head believes alive; none while it does not answer."""
        token = {"Authorization": f"Bearer {self.environment['RAY_AUTH_TOKEN']}"}
        try:
            answer = httpx2.get(f"{self.address}/api/v0/nodes", headers=token, timeout=10)
        except httpx2.HTTPError:
            return []
        if answer.status_code != 200:
            return []
        rows = answer.json()["data"]["result"]["result"]
        return sorted(row["node_name"] for row in rows if row["state"] == "ALIVE")

    def _start(self, name: str, *words: str) -> None:
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block",
                   f"--node-name={name}", f"--dashboard-agent-listen-port={_free()}",
                   "--disable-usage-stats", *words]  # fmt: skip
        environment = {
            **os.environ,
            **self.environment,
            **self._quick,
            _MARK: f"{self.folder}:{name}",
        }
        with (self.folder / f"{name}.log").open("ab") as log:
            self._nodes[name] = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def _until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while not holds():
            if time.monotonic() > deadline:
                logs = [f"{p.name}: {p.read_text()[-1500:]}" for p in self.folder.glob("*.log")]
                raise AssertionError("\n".join(logs))
            time.sleep(0.2)


def _marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(_MARK) == mark:
                found.append(process)
    return found


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
