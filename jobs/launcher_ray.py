"""Workers as jobs of a Ray cluster, asked for over HTTP (the REST API of Ray Jobs, Ray >= 2.52).

Ray only places and ends processes: order, priority, caps and devices are decided in the store, so
nothing is lost with Ray's own list of jobs, which a new head does not have. Each of its nodes is a
host. A worker is pinned to its node and takes the CPUs and GPUs it holds from Ray too, so what
others run there does not disturb what is measured; which GPUs those are Ray tells the worker.
Nodes see the store's URL in a file that only its owner can read, not in Ray's list.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2

from jobs.devices import Host
from jobs.holder import INTERRUPTED
from jobs.launcher import AwayError, Launch, LauncherError
from jobs.process import MARK

_OVER = {"STOPPED", "SUCCEEDED", "FAILED"}
_NEVER_RAN = {
    "RUNTIME_ENV_SETUP_FAILURE",
    "JOB_SUPERVISOR_ACTOR_START_FAILURE",
    "JOB_SUPERVISOR_ACTOR_START_TIMEOUT",
    "JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE",
}
_AVOIDED_S = 30.0  # for which a node gets nothing after it lost a worker
_AWAY_S = 5.0  # for which nothing is started after that failed
_KNOWN_S = 2.0  # for which the list of nodes is taken for true
_CLASS = "device:"  # begins the custom resources of a node that name what it is
_TIMEOUT_S = 15.0
_MOST_NODES = 10_000
_TOKEN, _TOKEN_FILE = "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    """What Ray knows a host by."""

    host: Host
    id: str
    cpus: float


class RayLauncher:
    """See `Launcher`; the hosts are the cluster's nodes that have CPUs.

    Args:
        address: of the head's dashboard, as http://head:8265. The token is the one Ray itself
            would take: RAY_AUTH_TOKEN, or the file RAY_AUTH_TOKEN_PATH names.
        folder: of the server, which all nodes see under the same path.
    """

    leaves = True

    def __init__(self, address: str, folder: Path) -> None:
        self.address = address.rstrip("/")
        self.folder = folder
        headers = {"Authorization": f"Bearer {token}"} if (token := _token()) else {}
        self._http = httpx2.Client(base_url=self.address, headers=headers, timeout=_TIMEOUT_S)
        self._nodes: dict[str, _Node] = {}
        self._asked = float("-inf")
        self._away = (float("-inf"), "")
        self._placed: dict[str, str] = {}
        self._avoided: dict[str | None, float] = {}

    def hosts(self) -> list[Host]:
        """Nodes that are alive; asked for again after two seconds."""
        if time.monotonic() < self._away[0]:
            raise AwayError(self._away[1])
        if time.monotonic() - self._asked > _KNOWN_S:
            data = self._ask("GET", f"/api/v0/nodes?limit={_MOST_NODES}")
            nodes = [_node(row) for row in data["data"]["result"]["result"]]
            self._nodes = {node.host.name: node for node in nodes if node is not None}
            self._asked = time.monotonic()
        good = (node for node in self._nodes.values() if not self._avoids(node.id))
        return sorted((node.host for node in good), key=lambda host: host.name)

    def start(self, launch: Launch) -> None:
        """Submits a job under the attempt's id."""
        if (node := self._nodes.get(launch.host)) is None:
            raise LauncherError(f"Ray at {self.address} has no node {launch.host} any more")
        share = node.cpus if launch.whole_cpu else node.cpus // node.host.cpu_slots or node.cpus
        body = {
            "submission_id": launch.attempt,
            "entrypoint": self._entrypoint(launch),
            "entrypoint_num_cpus": share,
            "entrypoint_num_gpus": len(launch.gpus),
            "entrypoint_label_selector": {"ray.io/node-id": node.id},
            "runtime_env": {
                "env_vars": {
                    MARK: launch.attempt,
                    "RAY_JOB_STOP_WAIT_TIME_S": f"{launch.grace_s:.0f}",
                }
            },
        }
        self._placed[launch.attempt] = node.id
        try:
            self._ask("POST", "/api/jobs/", body)
        except LauncherError as error:
            # An answer that was lost, or the second of two schedulers: one is enough.
            if self._job(launch.attempt) is None:
                if isinstance(error, AwayError):
                    self._away = (time.monotonic() + _AWAY_S, str(error))
                raise

    def ended(self, attempt: str) -> int | None:
        """From Ray's list; one that was told to end, or never came up, counts as interrupted."""
        job = self._job(attempt)
        if job is None or job["status"] not in _OVER:
            return None
        node, code = self._placed.pop(attempt, None), job["driver_exit_code"]
        if code is not None or job["status"] == "SUCCEEDED":
            return int(code or 0)
        if job["status"] == "STOPPED":
            return INTERRUPTED
        # Its node is gone most likely, which the list of nodes tells only later.
        self._avoided[node] = time.monotonic() + _AVOIDED_S
        return INTERRUPTED if job["error_type"] in _NEVER_RAN else -signal.SIGKILL

    def alive(self, attempt: str) -> bool:
        """Whether Ray knows it and has not seen its end."""
        job = self._job(attempt)
        return job is not None and job["status"] not in _OVER

    def ask_to_end(self, attempt: str) -> None:
        """Tells Ray to stop the job: SIGTERM, and SIGKILL after the grace."""
        if self.alive(attempt):
            self._ask("POST", f"/api/jobs/{quote(attempt, safe='')}/stop")

    def kill(self, attempt: str) -> bool:
        """Tells Ray to stop the job; True once it has, or knows nothing of it."""
        # Refused where its node is gone; then Ray sees its end by itself.
        with contextlib.suppress(LauncherError):
            self.ask_to_end(attempt)
        return not self.alive(attempt)

    def _avoids(self, node: str) -> bool:
        return self._avoided.get(node, 0.0) > time.monotonic()

    def _entrypoint(self, launch: Launch) -> str:
        words = " ".join(map(shlex.quote, launch.command))
        file, log = (
            shlex.quote(str(path)) for path in (self._shared(launch.environment), launch.log)
        )
        # Ray sets OMP_NUM_THREADS to the CPUs it gives; how many threads a stage takes is its own
        # matter. The job's shell gives way to the worker, who is to get the signals.
        return f"set -a; . {file}; set +a; unset OMP_NUM_THREADS; exec {words} >>{log} 2>&1"

    def _shared(self, environment: Mapping[str, str]) -> Path:
        """A file with the variables, for its owner's eyes: the store's URL may hold a password."""
        text = "".join(f"{k}={shlex.quote(v)}\n" for k, v in sorted(environment.items()))
        name = hashlib.sha256(text.encode()).hexdigest()[:16]
        path = self.folder / "workers" / f"{name}.env"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            new = path.with_suffix(f".{os.getpid()}")
            new.touch(mode=0o600)
            new.write_text(text, encoding="utf-8")
            new.replace(path)
        return path

    def _job(self, attempt: str) -> dict[str, Any] | None:
        path = f"/api/jobs/{quote(attempt, safe='')}"
        found: dict[str, Any] | None = self._ask("GET", path, missing=True)
        return found

    def _ask(self, method: str, path: str, body: object = None, *, missing: bool = False) -> Any:
        """The answer's JSON; with `missing`, None for what Ray does not know."""
        try:
            answer = self._http.request(method, path, json=body)
        except httpx2.HTTPError as error:
            raise AwayError(f"Ray at {self.address} does not answer: {error}") from error
        if missing and answer.status_code == 404:
            return None
        if answer.status_code in (401, 403):
            raise LauncherError(
                f"Ray at {self.address} wants another token: set {_TOKEN} or {_TOKEN_FILE} to that "
                "of the cluster"
            )
        if answer.status_code != 200:
            # 500 is said of a head that has just started, too: it has no agent yet.
            kind = AwayError if answer.status_code >= 500 else LauncherError
            line = answer.text.strip(" .\n").rsplit("\n", 1)[-1][:300]
            raise kind(f"Ray at {self.address}: {answer.status_code} {line}")
        return answer.json()


def _token() -> str:
    if _TOKEN in os.environ:
        return os.environ[_TOKEN].strip()
    path = os.environ.get(_TOKEN_FILE)
    try:
        return Path(path).read_text(encoding="utf-8").strip() if path else ""
    except OSError as error:
        raise LauncherError(f"{_TOKEN_FILE}={path}: cannot be read: {error}") from None


def _node(row: dict[str, Any]) -> _Node | None:
    """A host with half of the node's CPUs as slots, as `devices.this_host` has it."""
    total = row["resources_total"]
    cpus, gpus = float(total.get("CPU", 0)), int(total.get("GPU", 0))
    if row["state"] != "ALIVE" or cpus < 1:
        return None
    short = row["node_id"][:8]
    host = Host(
        name=f"{row['node_name'][:100]}/{short}",
        cpu_slots=max(1, int(cpus) // 2),
        gpus=tuple(f"{short}-gpu-{number}" for number in range(gpus)),
        classes=tuple(sorted(key[len(_CLASS) :] for key in total if key.startswith(_CLASS))),
        address=row["node_ip"],
    )
    return _Node(host=host, id=row["node_id"], cpus=cpus)
