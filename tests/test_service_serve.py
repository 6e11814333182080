"""`stairprune serve` as a process: how it starts, what it refuses, and how it ends or is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from jobs_stores import new_url
from service_server import MINI, mini, modelled

from jobs import process, users, views
from jobs.database import Database
from service.client.client import Client
from service.client.errors import ClientError
from service.instance import open_instance
from service.serve import ServeError, Serving, _bind, serve

KILLS = int(os.environ.get("STAIRPRUNE_SERVER_KILLS", "10"))


class Process:
    """A server process over a folder; its client file lies there too."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder = folder
        (folder / "stairprune").mkdir(parents=True, exist_ok=True)
        self.started = time.monotonic()
        self.log = (folder / "serve.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "service.cli", "serve", "--folder", str(folder / "home"),
             "--port", "0", "--user", "ann", *words],
            env={
                **os.environ,
                "XDG_CONFIG_HOME": str(folder),
                "PYTHONPATH": str(MINI.parent.parent),
            },
            stdout=self.log, stderr=self.log, start_new_session=True,
        )  # fmt: skip

    def client(self) -> Client:
        """A client of the running server, once it answers."""
        file = self.folder / "stairprune" / "client.json"
        while True:
            assert self.process.poll() is None, (self.folder / "serve.log").read_text()
            assert time.monotonic() < self.started + 30
            if file.exists() and file.stat().st_mtime_ns > 0:
                known = json.loads(file.read_text())
                client = Client(known["server"], known["token"])
                try:
                    client.health()
                except ClientError:
                    client.close()
                else:
                    return client
            time.sleep(0.02)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ends it; returns its exit code."""
        self.process.send_signal(number)
        try:
            return self.process.wait(30)
        finally:
            self.log.close()

    def workers(self) -> list[psutil.Process]:
        """Processes of its attempts."""
        found = []
        for candidate in psutil.process_iter():
            try:
                environment = candidate.environ()
            except (psutil.Error, OSError):
                continue
            runs = environment.get("STAIRPRUNE_RUNS", "")
            if process.MARK in environment and runs.startswith(str(self.folder)):
                found.append(candidate)
        return [w for w in found if w.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Process]:
    found = Process(tmp_path)
    yield found
    if found.process.poll() is None:
        found.end(signal.SIGKILL)
    for worker in found.workers():
        worker.kill()


def test_it_is_small_never_loads_torch_and_ends_with_its_workers(server: Process) -> None:
    with server.client() as client:
        client.jobs()
        maps = Path(f"/proc/{server.process.pid}/maps")
        assert "libtorch" not in maps.read_text()
        assert psutil.Process(server.process.pid).memory_info().rss < 150 << 20
        job = client.submit(spec=mini()).id
        deadline = time.monotonic() + 30
        while client.show(job).job.state != "running" or not server.workers():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        stream = client.events(job)
        next(stream)
        start = time.monotonic()
        assert server.end() == 0
        assert time.monotonic() - start < 15
    assert server.workers() == []
    database = open_instance(server.folder / "home").database
    assert views.view(database, job).state == "queued"
    database.close()


def test_the_client_file_is_the_users_own(server: Process) -> None:
    server.client().close()
    file = server.folder / "stairprune" / "client.json"
    assert file.stat().st_mode & 0o077 == 0
    told = (server.folder / "serve.log").read_text()
    assert "/login?code=" in told
    assert json.loads(file.read_text())["token"] not in told


def test_a_killed_server_is_followed_by_one_that_ends_the_job(server: Process) -> None:
    with server.client() as client:
        job = client.submit(spec=modelled(), until="search").id
        time.sleep(0.3)
    server.end(signal.SIGKILL)
    again = Process(server.folder)
    try:
        with again.client() as client:
            *_, last = client.events(job)
            assert last.kind == "succeeded"
        assert again.end() == 0
    finally:
        if again.process.poll() is None:
            again.end(signal.SIGKILL)


def test_no_acknowledged_submission_is_lost_in_kills(tmp_path: Path) -> None:
    rng = random.Random(7)
    acknowledged: set[str] = set()
    keys = 0
    for _ in range(KILLS):
        (tmp_path / "stairprune" / "client.json").unlink(missing_ok=True)
        server = Process(tmp_path, "--no-work")
        client = server.client()
        stop = threading.Event()

        def submit(
            client: Client = client, stop: threading.Event = stop, number: int = keys
        ) -> None:
            while not stop.is_set():
                try:
                    made = client._to.object(
                        "POST", "/jobs", json={"spec": mini()},
                        headers={"Idempotency-Key": f"k{number}"},
                    )  # fmt: skip
                except ClientError:
                    return
                acknowledged.add(made["id"])
                number += 1

        thread = threading.Thread(target=submit)
        thread.start()
        time.sleep(rng.uniform(0.02, 0.25))
        server.end(signal.SIGKILL)
        stop.set()
        thread.join()
        client.close()
        keys += 1000
    database = open_instance(tmp_path / "home").database
    kept, cursor = set(), None
    while True:
        page = views.page(database, limit=200, cursor=cursor)
        kept |= {job.id for job in page.jobs}
        if (cursor := page.cursor) is None:
            break
    database.close()
    assert len(acknowledged) >= KILLS
    assert acknowledged <= kept


def started(*words: str, folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", "serve", "--folder", str(folder), *words],
        capture_output=True, text=True, check=False, timeout=30,
        env={**os.environ, "XDG_CONFIG_HOME": str(folder), "PYTHONPATH": str(MINI.parent.parent)},
    )  # fmt: skip
    return done.returncode, " ".join(done.stderr.split())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_a_public_bind_without_a_token_is_refused(tmp_path: Path, host: str) -> None:
    code, told = started("--host", host, "--port", "0", folder=tmp_path)
    assert code == 2
    assert "--token-file" in told


def test_a_taken_port_and_a_bad_token_file_are_one_line(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, told = started("--port", str(taken.getsockname()[1]), folder=tmp_path)
    assert code == 2
    assert "cannot listen" in told
    short = tmp_path / "token"
    short.write_text("short")
    code, told = started("--token-file", str(short), folder=tmp_path)
    assert code == 2
    assert "32 to 200" in told


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_answers_do_not_wait_for_the_network_to_fill(tmp_path: Path, host: str) -> None:
    """asyncio turns Nagle's delay, 40 ms an answer, off only for sockets that name TCP."""
    try:
        listener = _bind(Serving(folder=tmp_path, host=host, port=0))
    except ServeError:
        pytest.skip("this machine has no IPv6")
    with listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_hosts_follow_the_options() -> None:
    plain = Serving(folder=Path(), host="0.0.0.0", user="ann").settings()
    assert set(plain.hosts) == {"localhost", "127.0.0.1", "::1"}
    behind = Serving(
        folder=Path(), user="ann", public_url="https://prune.example.com/", allowed_hosts=("a:1",)
    ).settings()
    assert {"prune.example.com", "a"} <= set(behind.hosts)
    assert behind.secure
    with pytest.raises(ServeError, match="--public-url"):
        Serving(folder=Path(), user="ann", public_url="prune.example.com").settings()


def test_a_token_of_a_file_lets_in_and_stays(tmp_path: Path) -> None:
    database = open_instance(tmp_path / "home").database
    users.ensure_exists(database, "ann")
    for _ in range(2):
        users.add_token(database, "ann", "t" * 40, "token file")
    assert users.any_token(database)
    found = users.authenticate(database, "t" * 40)
    assert found is not None
    assert found.name == "ann"
    users.ensure(database, "ann", most_running=7)
    users.ensure_exists(database, "ann")
    assert users.authenticate(database, "t" * 40) != found
    assert isinstance(database, Database)
    database.close()


@pytest.mark.parametrize(
    ("ray", "url", "words"),
    [
        (
            "head:8265",
            "postgresql:///x",
            "--ray must be like http://head:8265, but got 'head:8265'",
        ),
        ("http://head:8265", None, "--ray needs a store .* but got SQLite in the folder"),
        ("http://head:8265", "sqlite:///x.db", "but got another kind"),
    ],
)
def test_a_cluster_needs_an_address_and_a_shared_store(
    ray: str, url: str | None, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ServeError, match=words):
        serve(Serving(folder=tmp_path, url=url, ray=ray), print)
    assert not list(tmp_path.iterdir())


def test_a_cluster_token_that_cannot_be_read_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(ServeError, match=r"RAY_AUTH_TOKEN_PATH=.*: cannot be read"):
        serve(
            Serving(folder=tmp_path, url=new_url("postgresql", tmp_path), ray="http://h:1"), print
        )
