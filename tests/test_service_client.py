"""The client and its verbs over connections that break, and the verbs' exit codes."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from service_server import Server, instance_in, mini, served
from typer.testing import CliRunner

from jobs import control, views
from service.cli import app
from service.client import transport
from service.client.client import Client
from service.client.errors import ClientError, UnreachableError
from service.http.settings import ServerSettings

TABLE = "resnet50-224-ort-fp32-1t-epyc"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    instance, token = instance_in(tmp_path_factory.mktemp("client") / "home")
    with served(instance, token, settings=ServerSettings(poll_s=0.02)) as found:
        yield found
    instance.database.close()


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_WAIT_S", 0.01)


Allowed = Callable[[int], int | None]
"""Number of the connection to bytes of the answer that arrive; None for all of them."""


@contextmanager
def between(server: Server, allowed: Allowed) -> Iterator[tuple[Client, list[int]]]:
    """A client behind a wire that breaks, and the bytes that each connection brought."""
    port = int(server.address.rsplit(":", 1)[1])
    listener = socket.create_server(("127.0.0.1", 0))
    brought: list[int] = []

    def forward(
        source: socket.socket, target: socket.socket, left: int | None, number: int
    ) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                part = data if left is None else data[:left]
                target.sendall(part)
                brought[number] += len(part)
                if left is not None and (left := left - len(part)) <= 0:
                    break
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def upward(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)

    def accept() -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", port))
                brought.append(0)
                number = len(brought) - 1
                down = (far, near, allowed(number), number)
                threading.Thread(target=forward, args=down, daemon=True).start()
                threading.Thread(target=upward, args=(near, far), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    client = Client(f"http://127.0.0.1:{listener.getsockname()[1]}", server.token)
    try:
        yield client, brought
    finally:
        client.close()
        listener.close()


@pytest.mark.parametrize("arrives", [0, 1, 40, 200])
def test_a_submission_whose_answer_is_lost_is_sent_again_and_is_one_job(
    server: Server, arrives: int
) -> None:
    before = len(views.page(server.instance.database, limit=200).jobs)
    with between(server, lambda n: arrives if n < 2 else None) as (client, brought):
        job = client.submit(spec=mini()).id
    assert len(brought) == 3
    after = views.page(server.instance.database, limit=200).jobs
    assert len(after) == before + 1
    assert after[0].id == job


def test_a_dead_server_is_told_in_one_line(server: Server) -> None:
    with between(server, lambda n: 0) as (client, brought):
        with pytest.raises(UnreachableError, match="does not answer"):
            client.submit(spec=mini())
        assert len(brought) == 4
        with pytest.raises(UnreachableError, match="does not answer"):
            client.jobs()


def test_events_go_on_where_the_stream_broke(server: Server) -> None:
    database = server.instance.database
    with server.client() as direct:
        job = direct.submit(spec=mini()).id
    for verb in (control.pause, control.resume) * 4 + (control.cancel,):
        verb(database, job)
    with server.client() as direct:
        whole = [(event.number, event.kind) for event in direct.events(job)]
    with between(server, lambda n: 900 if n < 30 else None) as (client, brought):
        found = [(event.number, event.kind) for event in client.events(job)]
    assert found == whole
    assert len(brought) > 2


def test_a_stream_that_never_brings_anything_ends(server: Server) -> None:
    with server.client() as direct:
        job = direct.submit(spec=mini()).id
    with (
        between(server, lambda n: 60) as (client, brought),
        pytest.raises(UnreachableError),
    ):
        list(client.events(job))
    assert len(brought) == 4


def test_a_download_that_breaks_leaves_nothing(server: Server, tmp_path: Path) -> None:
    with between(server, lambda n: 5000) as (client, _), pytest.raises(UnreachableError):
        client.download_table(TABLE, tmp_path / "table.json")
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_is_none_of_ours() -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                near.recv(65536)
                page = b"<html>Sign in</html>"
                head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(page)}"
                near.sendall(f"{head}\r\nConnection: close\r\n\r\n".encode() + page)
                near.close()

    threading.Thread(target=answer, daemon=True).start()
    with Client(f"http://127.0.0.1:{listener.getsockname()[1]}", "token") as client:
        for call in (client.jobs, lambda: list(client.events("x")), lambda: client.show("x")):
            with pytest.raises(ClientError, match="none of ours"):
                call()
    listener.close()


def call(
    server: Server, *words: str, monkeypatch: pytest.MonkeyPatch | None = None
) -> tuple[int, str]:
    """Exit code and output of a verb."""
    environment = {"STAIRPRUNE_SERVER": server.address, "STAIRPRUNE_TOKEN": server.token}
    done = CliRunner().invoke(app, list(words), env=environment)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        return 2, str(done.exception)
    return done.exit_code, done.stdout


def test_watching_ends_with_the_job_and_its_exit_code(server: Server, tmp_path: Path) -> None:
    (tmp_path / "mini.yaml").write_text((Path(__file__).parent / "mini.yaml").read_text())
    code, text = call(server, "submit", str(tmp_path / "mini.yaml"), "--json")
    assert code == 0, text
    job = json.loads(text)["id"]

    def later() -> None:
        time.sleep(0.3)
        control.cancel(server.instance.database, job)

    thread = threading.Thread(target=later)
    thread.start()
    code, text = call(server, "watch", job)
    thread.join()
    assert code == 1
    assert "cancelled" in text
    assert call(server, "retry", job)[0] == 0
    code, text = call(server, "show", job, "--json")
    assert json.loads(text)["job"]["state"] == "queued"
    for verb, state in (("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled")):
        assert call(server, verb, job)[0] == 0
        assert json.loads(call(server, "show", job, "--json")[1])["job"]["state"] == state
    code, text = call(server, "resume", job)
    assert code == 2
    assert "cancelled" in text
    code, text = call(server, "train", job, "c1")
    assert code == 2
    assert "candidates" in text


def test_tables_come_and_go(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "table.json"
    assert call(server, "tables", "download", TABLE, "--out", str(file))[0] == 0
    code, text = call(server, "tables", "upload", str(file), "--name", "mine", "--json")
    assert code == 0, text
    mine = json.loads(text)["id"]
    listed = json.loads(call(server, "tables", "list", "--json")[1])
    assert mine in [table["id"] for table in listed]
    curves = json.loads(call(server, "tables", "show", mine, "--json")[1])["curves"]
    code, text = call(
        server, "tables", "curve", mine, curves[0]["block"], curves[0]["gene"], "--json"
    )
    assert code == 0, text
    assert json.loads(text)
    code, text = call(server, "tables", "diff", mine, TABLE, "--json")
    assert code == 0, text
    file.write_text("no table")
    code, text = call(server, "tables", "upload", str(file))
    assert code == 2
    assert "\n" not in text.strip()
