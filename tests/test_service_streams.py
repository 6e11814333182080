"""Streams and files over a real server: they go on where they broke, and come in parts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from service_server import Server, instance_in, mini, served

from jobs import attempts, control, members, views
from jobs.claim import claim
from jobs.devices import Host
from jobs.files_local import LocalFiles
from jobs.logs import Logs
from service.client.errors import BusyError
from service.client.sse import Message, messages
from service.http.ranges import _range
from service.http.settings import ServerSettings


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Without a scheduler: what happens to a job is done by the tests."""
    instance, token = instance_in(tmp_path_factory.mktemp("served") / "home")
    settings = ServerSettings(poll_s=0.02, most_streams=3)
    with served(instance, token, settings=settings) as found:
        yield found
    instance.database.close()


def raw(server: Server, path: str, **headers: str) -> httpx2.Response:
    return httpx2.get(
        server.address + path,
        headers={"Authorization": f"Bearer {server.token}", **headers},
        timeout=10,
    )


def test_a_stream_tells_all_then_what_comes_and_ends_with_the_job(server: Server) -> None:
    database = server.instance.database
    with server.client() as client:
        job = client.submit(spec=mini()).id

        def later() -> None:
            for verb in (control.pause, control.resume, control.cancel):
                time.sleep(0.1)
                verb(database, job)

        thread = threading.Thread(target=later)
        thread.start()
        told = [(event.number, event.kind) for event in client.events(job)]
        thread.join()
        assert [number for number, _ in told] == list(range(1, len(told) + 1))
        kinds = [kind for _, kind in told]
        assert kinds[0] == "submitted"
        assert kinds[-1] == "cancelled"
        assert {"paused", "resumed"} <= set(kinds)
        rest = list(range(3, len(told) + 1))
        assert [event.number for event in client.events(job, after=2)] == rest
        assert [e.number for e in client.events(job, after=2, follow=False)] == rest


def test_last_event_id_goes_on_after_it(server: Server) -> None:
    with server.client() as client:
        job = client.submit(spec=mini()).id
        client.cancel(job)
    path = f"/api/v1/jobs/{job}/events"
    for known, expected in (
        ("1", [2, 3]),
        ("0", [1, 2, 3]),
        ("x", [1, 2, 3]),
        ("9" * 30, [1, 2, 3]),
    ):
        answer = raw(server, path, **{"Last-Event-ID": known})
        assert answer.headers["content-type"].startswith("text/event-stream")
        found = [m.id for m in messages(answer.text.splitlines()) if m.id is not None]
        assert found == expected, known


def test_only_so_many_streams_are_open_and_places_come_back(server: Server) -> None:
    with server.client() as client:
        job = client.submit(spec=mini()).id
        open_ones = [client.events(job) for _ in range(3)]
        assert all(next(events).number == 1 for events in open_ones)
        with pytest.raises(BusyError, match="3 streams"):
            next(client.events(job))
        del open_ones
        client.cancel(job)
        deadline = time.monotonic() + 5
        while True:
            try:
                assert next(client.events(job)).number == 1
                break
            except BusyError:
                assert time.monotonic() < deadline
                time.sleep(0.05)


def test_a_message_that_breaks_off_is_left_out() -> None:
    lines = ["id: 1", "event: a", 'data: {"x": 1}', "", ": still here", "id: 2", "event: b"]
    assert list(messages(lines)) == [Message(kind="a", data={"x": 1}, id=1)]


def test_a_log_is_told_in_whole_lines_and_begins_again_after_a_trim(tmp_path: Path) -> None:
    logs = Logs(tmp_path, limit=8)
    assert logs.part("a", -1, 100, 100) == ("", 0)
    logs.path("a").write_bytes("one\ntwo é\nthr".encode())
    assert logs.part("a", 0, 100, 100) == ("one\ntwo é\n", 11)
    assert logs.part("a", 11, 100, 100) == ("thr", 14)
    assert logs.part("a", -1, 100, 3) == ("thr", 14)
    assert logs.part("a", 0, 5, 100) == ("one\n", 4)
    logs.trim("a")
    assert logs.part("a", 14, 100, 100) == ("", 0)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", (0, 1)), ("bytes=2-", (2, 10)), ("bytes=-3", (7, 10)),
        ("bytes=-30", (0, 10)), ("bytes=4-100", (4, 10)), ("bytes=12-", (12, 10)),
        ("bytes=5-4", None),
        ("bytes=-0", None), ("bytes=a-b", None), ("bytes=1-2,4-5", None), ("lines=1-2", None),
        ("bytes=", None), ("bytes=-", None), ("bytes=1", None),
    ],
)  # fmt: skip
def test_ranges_as_the_standard_has_them(header: str, expected: tuple[int, int] | None) -> None:
    assert _range(header, 10) == expected


def test_a_file_comes_whole_in_parts_or_not_at_all(server: Server, tmp_path: Path) -> None:
    source = tmp_path / "file"
    source.write_bytes(bytes(range(256)) * 2000)
    whole = source.read_bytes()
    artifacts = server.instance.artifacts
    digest = artifacts.put(source)
    path = f"/api/v1/artifacts/{artifacts.ids([digest])[digest]}"
    answer = raw(server, path)
    assert answer.content == whole
    assert answer.headers["etag"] == f'"{digest}"'
    part = raw(server, path, Range="bytes=1000-300999")
    assert part.status_code == 206
    assert part.content == whole[1000:301_000]
    assert part.headers["content-range"] == f"bytes 1000-300999/{len(whole)}"
    assert raw(server, path, Range=f"bytes={len(whole)}-").status_code == 416
    assert raw(server, path, **{"If-None-Match": f'"{digest}"'}).status_code == 304
    head = httpx2.head(server.address + path, headers={"Authorization": f"Bearer {server.token}"})
    assert int(head.headers["content-length"]) == len(whole)
    assert raw(server, f"/api/v1/artifacts/{digest}").status_code == 404
    stored = LocalFiles(Path(artifacts.files.address)).path(digest)
    stored.unlink()
    stored.symlink_to(source)
    assert raw(server, path).status_code == 500


def test_an_attempt_of_another_job_is_none_of_this_one(server: Server) -> None:
    with server.client() as client:
        job = client.submit(spec=mini()).id
    assert views.show(server.instance.database, job).attempts == []
    assert raw(server, f"/api/v1/jobs/{job}/log").text == ""
    assert raw(server, f"/api/v1/jobs/{job}/log?attempt=x").status_code == 404


def test_members_have_logs_of_their_own(server: Server) -> None:
    database, logs = server.instance.database, server.instance.logs
    with server.client() as client:
        job = client.submit(spec=mini()).id
        control.prioritise(database, job, 9)
        mine = claim(database, Host(name="here", cpu_slots=9), 60, 60)
        assert mine is not None
        assert mine.job == job
        logs.root.mkdir(exist_ok=True)
        for member in (0, 2):
            process = members.process_id(mine.lease.attempt, member)
            logs.path(process).write_text(f"of member {member}\n")
        attempts.interrupt(database, mine.lease, "test")
        assert [client.log(job, member=n) for n in (0, 2, 3)] == [
            "of member 0\n",
            "of member 2\n",
            "",
        ]
        assert list(client.follow_log(job, mine.lease.attempt, member=2)) == ["of member 2\n"]
        control.cancel(database, job)
    assert raw(server, f"/api/v1/jobs/{job}/log?member=-1").status_code == 422
