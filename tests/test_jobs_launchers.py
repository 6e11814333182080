"""Workers on this machine and on a Ray cluster of two nodes: one contract, then what clusters lose.

The cluster is real, in token mode; its GPUs are only numbers. Tests after the contract take it
apart, in the order of this file.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from jobs_service import Service, until
from jobs_stores import new_url, server
from ray_cluster import RayCluster
from service_server import instance_in, mini, scheduling, workers_find_us

from jobs import control, events, executors, process, views
from jobs.devices import Host
from jobs.holder import INTERRUPTED
from jobs.launcher import AwayError, Launch, Launcher, LauncherError
from jobs.launcher_local import LocalLauncher
from jobs.launcher_ray import RayLauncher
from jobs.submit import submit
from service.spec import JobSpec
from service.submission import submission

HEARTBEAT_S = 1.5
KILLS = int(os.environ.get("STAIRPRUNE_KILLS", "3"))
MOST_S = 3600.0  # after which nothing more is killed


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    pytest.importorskip("ray")
    made = RayCluster()
    made.start_head()
    made.add("one", cpus=4, gpus=2, kind="a100")
    made.add("two", cpus=4, gpus=1)
    yield made
    made.close()


@pytest.fixture
def token(cluster: RayCluster, monkeypatch: pytest.MonkeyPatch) -> RayCluster:
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    return cluster


@pytest.fixture(params=["local", "ray"])
def launcher(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Launcher:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if request.param == "local":
        return LocalLauncher(Host(name="here", cpu_slots=2, gpus=("a", "b")))
    return RayLauncher(request.getfixturevalue("token").address, tmp_path)


def launch(launcher: Launcher, attempt: str, folder: Path, script: str, **more: Any) -> Path:
    """Starts a shell script on the first host; returns its log."""
    host = launcher.hosts()[0]
    given = Launch(
        attempt=attempt, host=host.name, command=["sh", "-c", script], log=folder / "log",
        environment={"SAID": "a 'quoted' $word"}, whole_cpu=more.pop("whole_cpu", False),
        gpus=host.gpus[: more.pop("gpus", 0)], grace_s=4.0,
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while True:  # A head that has just started may not take jobs yet.
        try:
            launcher.start(given)
            break
        except AwayError:
            assert time.monotonic() < deadline
            time.sleep(0.5)
    return given.log


def code_of(launcher: Launcher, attempt: str) -> int:
    """The exit code, once there is one."""
    deadline = time.monotonic() + 30
    while (code := launcher.ended(attempt)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return code


def name(folder: Path, text: str) -> str:
    """An attempt's id that no other test has."""
    return f"{folder.name[-16:]}-{text}"


def test_a_worker_runs_with_what_it_is_given_and_its_exit_code_is_told(
    launcher: Launcher, tmp_path: Path
) -> None:
    attempt = name(tmp_path, "runs")
    script = f'echo "$SAID|${process.MARK}|$CUDA_VISIBLE_DEVICES|$OMP_NUM_THREADS"; exit 7'
    log = launch(launcher, attempt, tmp_path, script, gpus=1)
    assert code_of(launcher, attempt) == 7
    said, mark, card, threads = log.read_text().strip().split("|")
    assert (said, mark, threads) == ("a 'quoted' $word", attempt, "")
    assert card in ("a", "0", "1")
    assert not launcher.alive(attempt)
    assert launcher.kill(attempt)


def test_a_worker_told_to_end_saves_its_state(launcher: Launcher, tmp_path: Path) -> None:
    attempt = name(tmp_path, "ends")
    script = "trap 'sleep 1; echo saved; exit 143' TERM; echo up; sleep 99 & wait"
    log = launch(launcher, attempt, tmp_path, script, whole_cpu=True)
    until(lambda: log.exists() and "up" in log.read_text(), 30)
    assert launcher.alive(attempt)
    assert launcher.ended(attempt) is None
    launcher.ask_to_end(attempt)
    assert code_of(launcher, attempt) == INTERRUPTED
    assert "saved" in log.read_text()
    assert launcher.kill(attempt)


def test_a_stubborn_worker_is_killed_with_all_it_started(
    launcher: Launcher, tmp_path: Path
) -> None:
    attempt = name(tmp_path, "kill")
    log = launch(launcher, attempt, tmp_path, "trap '' TERM; sleep 98 & sleep 98; echo up; wait")
    until(lambda: len(process.alive(attempt)) >= 3, 30, lambda: log.read_text())
    until(lambda: launcher.kill(attempt), 15)
    until(lambda: not process.alive(attempt), 5)
    if isinstance(launcher, LocalLauncher):
        # Waiting for it to be gone has not taken the exit status from whoever asks for it.
        assert code_of(launcher, attempt) == -9


def test_nobody_knows_an_attempt_that_was_never_started(launcher: Launcher) -> None:
    assert launcher.ended("never") is None
    assert not launcher.alive("never")
    launcher.ask_to_end("never")
    assert launcher.kill("never")


def test_nodes_are_hosts_and_the_head_is_none(token: RayCluster, tmp_path: Path) -> None:
    hosts = RayLauncher(token.address, tmp_path).hosts()
    assert [(h.name.split("/")[0], h.cpu_slots, len(h.gpus), h.classes) for h in hosts] == [
        ("one", 2, 2, ("a100",)),
        ("two", 2, 1, ("plain",)),
    ]


def test_an_attempt_is_submitted_once(token: RayCluster, tmp_path: Path) -> None:
    launcher, attempt = RayLauncher(token.address, tmp_path), name(tmp_path, "once")
    for _ in range(2):
        launch(launcher, attempt, tmp_path, "echo here; sleep 2")
    until(lambda: launcher.ended(attempt) == 0, 30)
    assert (tmp_path / "log").read_text() == "here\n"
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "workers").iterdir()] == [0o600]


def test_strangers_and_wrong_addresses_are_told_so(
    token: RayCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "x" * 32)
    with pytest.raises(LauncherError, match="wants another token: set RAY_AUTH_TOKEN"):
        RayLauncher(token.address, tmp_path).hosts()
    with pytest.raises(AwayError, match=r"Ray at http://127\.0\.0\.1:9 does not answer"):
        RayLauncher("http://127.0.0.1:9", tmp_path).hosts()
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(LauncherError, match="cannot be read"):
        RayLauncher(token.address, tmp_path)


@pytest.fixture
def service(token: RayCluster, tmp_path: Path) -> Iterator[Service]:
    made = Service("postgresql", tmp_path, heartbeat=HEARTBEAT_S, ray=token.address)
    made.start()
    # The head gives nothing.
    until(lambda: len(executors.hosts(made.database)) == len(token.alive()) - 1, 30)
    yield made
    made.close()
    shutil.rmtree(tmp_path / "workers", ignore_errors=True)


def test_jobs_run_on_both_nodes_and_outlive_the_server(service: Service) -> None:
    jobs = {f"j{n}": service.submit(f"j{n}", 2, all={"steps": 20}) for n in range(4)}
    alone = service.submit("alone", 1, cpu="all", device="a100")
    long = service.submit("long", 1, all={"steps": 200})
    until(lambda: len(service.workers()) >= 4, 60, lambda: service.story(long))
    service.kill(signal.SIGTERM)
    assert executors.hosts(service.database) == []
    assert service.workers()
    service.start()
    for key, job in jobs.items():
        service.wait(job, "succeeded", seconds=60)
        service.expect_right(job, key, 2)
    service.wait(alone, "succeeded", seconds=60)
    service.wait(long, "succeeded", seconds=60)
    assert service.show(alone).attempts[0].host.startswith("one/")
    hosts = {a.host.split("/")[0] for job in jobs.values() for a in service.show(job).attempts}
    assert hosts == {"one", "two"}


def test_stages_run_on_both_nodes_at_once(service: Service) -> None:
    gang = service.submit("gang", 1, all={"steps": 20}, hosts=2)
    service.wait(gang, "succeeded", seconds=60)
    service.expect_right(gang, "gang", 1)
    [claimed] = [e for e in events.after(service.database, gang) if e.kind == "claimed"]
    assert {host.split("/")[0] for host in claimed.data["hosts"]} == {"one", "two"}
    plan = {"steps": 400, "members": 1}
    grows = service.submit("grows", 1, all=plan, hosts=2, elastic=True)
    until(lambda: any(a.done for a in service.show(grows).attempts), 60)
    [place] = (service.home / "runs" / grows).glob("members-*")
    [member] = place.iterdir()
    psutil.Process(int(member.name.split("-")[1])).kill()
    until(lambda: len(list(place.iterdir())) == 2, 60, lambda: service.story(grows))
    service.wait(grows, "succeeded", seconds=60)
    service.expect_right(grows, "grows", 1)
    assert len(service.show(grows).attempts) == 1
    until(lambda: service.workers() == [], 15)


def test_a_supernet_is_trained_by_both_nodes(
    token: RayCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By torchrun and gloo: what `tests/test_service_hosts.py` has on one machine."""
    workers_find_us(monkeypatch)
    instance, _ = instance_in(tmp_path, new_url("postgresql", tmp_path))
    spec = JobSpec.model_validate_json(json.dumps(mini(supernet={"hosts": 2})))
    job, _ = submit(instance.database, "ann", submission(spec, until="supernet"))
    with scheduling(instance.scheduler(ray=token.address)):
        until(
            lambda: views.show(instance.database, job).job.finished_at is not None,
            120,
            lambda: str(views.show(instance.database, job)),
        )
    detail = views.show(instance.database, job)
    assert detail.job.state == "succeeded", detail
    last = detail.attempts[-1].id
    assert instance.logs.path(f"{last}.1").exists()  # of the other node
    instance.database.close()


def test_a_killed_worker_and_a_dead_node_cost_one_attempt(
    service: Service, cluster: RayCluster
) -> None:
    jobs = {f"k{n}": service.submit(f"k{n}", 1, all={"steps": 400}) for n in range(4)}
    for job in jobs.values():
        service.wait_running(job)
    where = {job: service.show(job).attempts[0].host.split("/")[0] for job in jobs.values()}
    assert sorted(where.values()) == ["one", "one", "two", "two"]
    killed = next(job for job, node in where.items() if node == "one")
    psutil.Process(service.show(killed).attempts[0].pid).kill()
    cluster.kill("two")
    for key, job in jobs.items():
        detail = service.wait(job, "succeeded", seconds=90)
        service.expect_right(job, key, 1)
        lost = job == killed or where[job] == "two"
        assert detail.stages[0].failures == lost
        assert len(detail.attempts) == 1 or lost
        assert detail.attempts[-1].host.startswith("one/")


class Harm:
    """What chance does to a cluster; each leaves it able to go on."""

    def __init__(self, service: Service, cluster: RayCluster, chance: random.Random) -> None:
        self.service, self.cluster, self.chance = service, cluster, chance
        self.nodes = [name for name in cluster.alive() if name != "head"]
        self.done: list[str] = []
        while len(self.nodes) < 2:  # as many as some stages need; tests before took one away
            self._add()

    def one(self) -> None:
        """One harm of some kind."""
        kinds = {self.worker: 8, self.frozen: 2, self.server: 4, self.node: 3, self.database: 2,
                 self.head: 1}  # fmt: skip
        [kind] = self.chance.choices([*kinds], [*kinds.values()])
        self.done.append(kind.__name__)
        kind()

    def worker(self) -> None:
        self._signal(signal.SIGKILL)

    def frozen(self) -> None:
        """A holder of a lease that stops and goes on once it is lost."""
        victim = self._signal(signal.SIGSTOP)
        time.sleep(4 * HEARTBEAT_S)
        if victim is not None:
            with contextlib.suppress(psutil.Error):
                victim.resume()

    def server(self) -> None:
        self.service.kill()
        self.service.start()

    def node(self) -> None:
        """A whole node at once, and a new one."""
        gone = self.chance.choice(self.nodes)
        self.cluster.kill(gone)
        self.nodes.remove(gone)
        self._add()

    def head(self) -> None:
        """The head, and so in the end its nodes; a new cluster in its place."""
        for name in ["head", *self.nodes]:
            self.cluster.kill(name)
        self.nodes.clear()
        self.cluster.start_head()
        for _ in range(2):
            self._add()

    def database(self) -> None:
        server().stop(signal.SIGQUIT)
        time.sleep(self.chance.uniform(0, 2))
        server().start()

    def _add(self) -> None:
        self.nodes.append(f"node-{len(self.done)}-{len(self.nodes)}")
        self.cluster.add(self.nodes[-1])

    def _signal(self, number: signal.Signals) -> psutil.Process | None:
        victims = self.service.workers()
        if not victims:
            return None
        victim = self.chance.choice(victims)
        with contextlib.suppress(psutil.Error):
            victim.send_signal(number)
        return victim


def test_random_harm_to_a_cluster_loses_and_doubles_nothing(
    service: Service, cluster: RayCluster
) -> None:
    chance = random.Random(KILLS)
    ledger: dict[str, str] = {}
    harm = Harm(service, cluster, chance)
    over = time.monotonic() + MOST_S
    while len(harm.done) < KILLS and time.monotonic() < over:
        for _ in range(2):
            name = f"job-{len(ledger)}"
            plan = {"steps": 20, "sleep": 0.05}
            # Some run on two nodes at once, some on one or two as they come.
            kind = {0: {"hosts": 2}, 1: {"hosts": 2, "elastic": True}}.get(len(ledger) % 5, {})
            more = {"members": 0} if kind.get("elastic") else {}
            ledger[name] = service.submit(name, 2, all={**plan, **more}, most_attempts=100, **kind)
        time.sleep(chance.uniform(0.0, 3.0))
        harm.one()
    assert len(harm.done) == KILLS, f"time was over after {len(harm.done)}"
    for name, job in ledger.items():
        service.wait(job, "succeeded", seconds=180)
        service.expect_right(job, name, 2)
    until(lambda: service.workers() == [], 30)
    print(Counter(harm.done), len(ledger), "jobs")


def test_orphans_of_a_dead_head_end_once_their_lease_is_lost(
    service: Service, cluster: RayCluster
) -> None:
    job = service.submit("orphan", 1, all={"steps": 4000})
    service.wait_running(job)
    cluster.kill("head")
    done = service.show(job).attempts[0].done
    until(lambda: service.show(job).attempts[0].done > done + 20, 30)
    control.cancel(service.database, job)
    assert until(lambda: not service.workers(), 15) <= 3 * HEARTBEAT_S
    later = service.submit("later", 2)
    for name in cluster.names():
        cluster.kill(name)
    cluster.start_head()
    cluster.add("last")
    service.wait(job, "cancelled", seconds=60)
    service.wait(later, "succeeded", seconds=60)
    service.expect_right(later, "later", 2)
    assert service.show(later).attempts[0].host.startswith("last/")
