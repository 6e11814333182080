"""The API: who may ask what, and what is answered; on both stores where the store matters."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from jobs_stores import new_url
from service_server import Server, instance_in, mini, served
from starlette.routing import BaseRoute, Route
from starlette.testclient import TestClient

from jobs import users, views
from service.client.errors import InvalidError
from service.http.app import create_app
from service.http.security import OPEN
from service.http.sessions import COOKIE, OneTimeCodes
from service.http.settings import ServerSettings

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
HERE = "http://localhost"
STAGES = ["capacity", "profile", "supernet", "search"]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[TestClient]:
    """A client without a token; the one of ann is in its `state`."""
    instance, token = instance_in(tmp_path / "home")
    app = create_app(instance, ServerSettings(hosts=("localhost",)))
    with TestClient(app, base_url=HERE, follow_redirects=False) as client:
        client.ann = {"Authorization": f"Bearer {token}"}  # type: ignore[attr-defined]
        yield client
    instance.database.close()


def ann(api: TestClient) -> dict[str, str]:
    found: dict[str, str] = api.ann  # type: ignore[attr-defined]
    return found


def routes(api: TestClient) -> list[Route]:
    """Every route of the application, whatever holds it."""

    def walk(found: list[BaseRoute]) -> Iterator[Route]:
        for route in found:
            if isinstance(route, Route | APIRoute):
                yield route
            else:
                yield from walk(list(getattr(route, "routes", None) or []))
                included = getattr(route, "original_router", None)
                yield from walk(list(getattr(included, "routes", None) or []))

    return list(walk(api.app.routes))  # type: ignore[attr-defined]


def error(answer: Any) -> dict[str, Any]:
    """An error's body, which has this form everywhere."""
    body: dict[str, Any] = answer.json()["error"]
    assert set(body) == {"message", "field", "id"}, body
    assert "Traceback" not in body["message"]
    return body


def submitted(api: TestClient, **body: Any) -> dict[str, Any]:
    answer = api.post("/api/v1/jobs", json={"spec": mini(), **body}, headers=ann(api))
    assert answer.status_code == 201, answer.text
    job: dict[str, Any] = answer.json()
    return job


def test_every_route_and_method_is_refused_without_a_token(api: TestClient) -> None:
    known = routes(api)
    assert len(known) > 30
    paths = {route.path.replace("{", "").replace("}", "") for route in known}
    for path in sorted(paths | {"/", "/static/x.js", "/docs", "/nothing", "/api/v1/nothing"}):
        for method in METHODS:
            if (method, path) in OPEN:
                continue
            answer = api.request(method, path, headers={"Authorization": "Bearer sp_wrong"})
            assert answer.status_code == 401, (method, path, answer.status_code)
            if method != "HEAD":
                error(answer)


def test_what_is_open_says_no_more_than_it_must(api: TestClient) -> None:
    assert set(api.get("/api/v1/health").json()) == {"status", "version"}
    assert {path for _, path in OPEN} == {"/api/v1/health", "/login"}
    answer = api.get("/anything", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "", "[::1", "127.0.0.2"]
)
def test_an_unknown_host_is_refused(api: TestClient, host: str) -> None:
    for path in ("/api/v1/health", "/api/v1/jobs", "/login"):
        answer = api.get(path, headers={**ann(api), "Host": host})
        assert answer.status_code == 403
        assert error(answer)["field"] == "Host"


def test_headers_that_keep_browsers_safe(api: TestClient) -> None:
    for answer in (api.get("/api/v1/health"), api.get("/api/v1/jobs"), api.get("/login")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe-eval" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"


def test_a_session_signs_in_once_writes_only_from_our_page_and_ends(api: TestClient) -> None:
    code = api.app.state.context.codes.create("ann")  # type: ignore[attr-defined]
    answer = api.get(f"/login?code={code}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert api.get(f"/login?code={code}").status_code == 401
    job = submitted(api)["id"]
    assert api.get("/api/v1/me").json()["name"] == "ann"
    path = f"/api/v1/jobs/{job}/pause"
    for headers in (
        {},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": HERE},
        {"Origin": "http://localhost:81"},
    ):
        assert api.post(path, headers=headers).status_code == 403, headers
    assert api.post(path, headers={"Origin": HERE}).status_code == 200
    session = {COOKIE: api.cookies[COOKIE]}
    assert api.post("/logout", headers={"Origin": HERE}).status_code == 303
    api.cookies.update(session)
    assert api.get("/api/v1/me").status_code == 401


def test_a_token_signs_a_browser_in(api: TestClient) -> None:
    token = ann(api)["Authorization"].split()[1]
    assert api.post("/login", data={"token": "sp_wrong"}).status_code == 401
    assert api.post("/login", data={"token": token}, headers={"Origin": HERE}).status_code == 303
    assert api.get("/api/v1/me").status_code == 200
    foreign = {"Origin": "http://evil.example"}
    assert api.post("/login", data={"token": token}, headers=foreign).status_code == 403


def test_codes_end_with_time_and_are_few() -> None:
    now = [0.0]
    codes = OneTimeCodes(clock=lambda: now[0])
    old = codes.create("ann", lasts_s=10)
    now[0] = 11.0
    assert codes.take(old) is None
    first = codes.create("ann")
    for _ in range(100):
        codes.create("bob")
    assert codes.take(first) is None


def test_a_revoked_or_expired_token_is_refused(api: TestClient) -> None:
    database = api.app.state.context.instance.database  # type: ignore[attr-defined]
    ended = users.create_token(database, "ann", lasts_s=-1)
    revoked = users.create_token(database, "ann")
    users.revoke(database, revoked)
    for token in (ended, revoked, "", "x" * 5000):
        answer = api.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401


def test_a_job_is_checked_submitted_listed_and_shown(api: TestClient) -> None:
    checked = api.post("/api/v1/jobs/check", json={"preset": "quickstart"}, headers=ann(api))
    assert checked.json()["stages"][-1] == "report"
    job = submitted(api, until="search", priority=7)
    assert (job["state"], job["priority"], job["user"]) == ("queued", 7, "ann")
    shown = api.get(f"/api/v1/jobs/{job['id']}", headers=ann(api)).json()
    assert [stage["name"] for stage in shown["stages"]] == STAGES
    assert shown["spec"]["name"] == "mini"
    for _ in range(4):
        submitted(api)
    first = api.get("/api/v1/jobs?limit=3", headers=ann(api)).json()
    rest = api.get(f"/api/v1/jobs?limit=3&cursor={first['cursor']}", headers=ann(api)).json()
    assert len(first["jobs"]) == 3
    assert len(rest["jobs"]) == 2
    assert rest["cursor"] is None
    assert api.get("/api/v1/jobs?user=bob", headers=ann(api)).json()["jobs"] == []
    events = api.get(f"/api/v1/jobs/{job['id']}/events?follow=false", headers=ann(api)).json()
    assert [event["kind"] for event in events] == ["submitted"]


def test_verbs_change_a_job_and_refuse_what_does_not_fit(api: TestClient) -> None:
    job = f"/api/v1/jobs/{submitted(api)['id']}"
    assert api.post(f"{job}/pause", headers=ann(api)).json()["state"] == "paused"
    assert api.post(f"{job}/resume", headers=ann(api)).json()["state"] == "queued"
    changed = api.put(f"{job}/priority", json={"priority": -5}, headers=ann(api))
    assert changed.json()["priority"] == -5
    assert api.post(f"{job}/cancel", headers=ann(api)).json()["state"] == "cancelled"
    assert api.post(f"{job}/cancel", headers=ann(api)).json()["state"] == "cancelled"
    refused = api.post(f"{job}/pause", headers=ann(api))
    assert refused.status_code == 409
    assert "cancelled" in error(refused)["message"]
    assert api.post(f"{job}/retry", headers=ann(api)).json()["state"] == "queued"


def test_only_its_owner_changes_a_job(api: TestClient) -> None:
    job = submitted(api)["id"]
    database = api.app.state.context.instance.database  # type: ignore[attr-defined]
    bob = {"Authorization": f"Bearer {users.create_token(database, 'bob')}"}
    for verb in ("cancel", "pause", "resume", "retry"):
        answer = api.post(f"/api/v1/jobs/{job}/{verb}", headers=bob)
        assert answer.status_code == 403
        assert "belongs to ann" in error(answer)["message"]
    assert api.get(f"/api/v1/jobs/{job}", headers=bob).status_code == 200


def test_a_quota_is_an_answer(api: TestClient) -> None:
    database = api.app.state.context.instance.database  # type: ignore[attr-defined]
    users.ensure(database, "ann", most_running=1, most_open=1)
    submitted(api)
    answer = api.post("/api/v1/jobs", json={"preset": "quickstart"}, headers=ann(api))
    assert answer.status_code == 429
    assert "1 open jobs" in error(answer)["message"]


def test_a_body_has_its_limit_whatever_its_header_says(api: TestClient) -> None:
    big = b"x" * ((1 << 20) + 1)
    assert api.post("/api/v1/jobs", content=big, headers=ann(api)).status_code == 413

    def unannounced() -> Iterator[bytes]:
        for _ in range(300):
            yield b"[" * 10_000

    answer = api.post("/api/v1/jobs", content=unannounced(), headers=ann(api))
    assert 400 <= answer.status_code < 500


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "either spec or preset"),
    ({"spec": {}, "preset": "quickstart"}, "not both"),
    ({"preset": "nosuch"}, "preset must be one of"),
    ({"preset": "quickstart", "until": "nosuch"}, "until|stage"),
    ({"preset": "quickstart", "priority": 101}, "priority"),
    ({"preset": "quickstart", "priority": "1"}, "priority"),
    ({"preset": "quickstart", "priority": 1.5}, "priority"),
    ({"preset": "quickstart", "extra": 1}, "extra"),
    ({"preset": 3}, "preset"),
    ({"spec": []}, "spec"),
    ({"spec": "x"}, "spec"),
    ({"preset": "quickstart", "changes": []}, "changes"),
    ({"spec": {}, "changes": {"a": 1}}, "changes go with a preset"),
]
FIELDS: list[tuple[str, Any]] = [
    ("name", ""), ("name", "a/b"), ("name", 3), ("name", "x" * 200), ("seed", -1), ("seed", "0"),
    ("cpu_threads", 0), ("network.depths", []), ("network.depths", [0]), ("network.width", 0),
    ("network.width", -1), ("network.stem", "9x9"), ("network.resolution", 0),
    ("network.classes", 0), ("network.channels", -3), ("network.nosuch", 1),
    ("data.name", "nosuch"), ("data.validation", -1), ("data.limit", 0), ("space.lowest", 0),
    ("space.lowest", 2), ("space.step", 0), ("target.backend", "nosuch"),
    ("target.precision", "fp7"), ("target.batch", 0), ("target.threads", 0),
    ("profile.points_per_geometry", 0), ("profile.rounds", 0), ("limits.macs", "x%"),
    ("limits.macs", -1), ("limits.latency_ms", "0%"), ("limits.latency_ms", None),
    ("limits.params", []), ("limits.at_least", {"macs": "1"}), ("limits.further", {"a b": {}}),
    ("supernet.recipe", {}), ("supernet.recalibration_images", 0), ("search.searcher", 3),
    ("search.evaluations", 0), ("search.generation", 0), ("search.finalists", 0),
    ("search.objective", "speed"), ("train.seeds", 0), ("train.configs", [{}]),
    ("train.configs", [{"stem": 1, "stages": [1], "inner": []}]), ("verify.rounds", 0),
    ("nosuch", 1),
]  # fmt: skip


@pytest.mark.parametrize(("body", "message"), WRONG, ids=lambda value: str(value)[:40])
def test_a_wrong_submission_is_named(api: TestClient, body: dict[str, Any], message: str) -> None:
    answer = api.post("/api/v1/jobs", json=body, headers=ann(api))
    assert answer.status_code == 422
    found = error(answer)
    assert any(part in f"{found['message']} {found['field']}" for part in message.split("|")), found


@pytest.mark.parametrize(("field", "value"), FIELDS, ids=lambda value: str(value)[:40])
def test_a_wrong_field_of_a_job_is_named(api: TestClient, field: str, value: object) -> None:
    changes: Any = value
    for part in reversed(field.split(".")):
        changes = {part: changes}
    section, _, key = field.partition(".")
    spec = mini()
    if key:
        spec[section][key] = value
    else:
        spec[section] = value
    for body in ({"spec": spec}, {"preset": "quickstart", "changes": changes}):
        answer = api.post("/api/v1/jobs/check", json=body, headers=ann(api))
        assert answer.status_code in (200, 422), answer.text
        if answer.status_code == 422:
            found = error(answer)
            assert section in f"{found['field']} {found['message']}"
    if field not in MAY_BE:
        assert answer.status_code == 422, (field, value)


MAY_BE = (
    "limits.latency_ms",
    "search.searcher",
    "supernet.recipe",
    "target.backend",
    "space.lowest",
    "data.name",
)
"""Fields that some of these values are allowed in, or that are looked at when the stage runs."""


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"3", b'"x"', b"{}{}", b"\xff\xfe", b"[" * 100_000, b"NaN",
     b'{"spec": NaN}', b'{"preset": "quickstart", "changes": {"seed": Infinity}}',
     b'{"preset": "\\ud800"}', b'{"a":' * 50_000],
    ids=lambda content: repr(content[:12]),
)  # fmt: skip
def test_what_is_no_json_object_is_refused(api: TestClient, content: bytes) -> None:
    headers = {**ann(api), "Content-Type": "application/json"}
    answer = api.post("/api/v1/jobs", content=content, headers=headers)
    assert answer.status_code in (400, 422), answer.text
    error(answer)


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=x", "limit=1.5", "cursor=%00", "cursor=zzz", "cursor=LTE=",
     "state=nosuch", "state=" + "x" * 50, "limit=99999999999999999999"],
)  # fmt: skip
def test_a_wrong_page_is_refused(api: TestClient, query: str) -> None:
    answer = api.get(f"/api/v1/jobs?{query}", headers=ann(api))
    assert answer.status_code == 422
    error(answer)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_one_key_from_64_threads_is_one_job(kind: str, tmp_path: Path) -> None:
    instance, token = instance_in(tmp_path / "home", new_url(kind, tmp_path))
    with served(instance, token) as server:
        answers: list[str] = []

        def post() -> None:
            with server.client() as client:
                answers.append(client.submit(key="one", spec=mini()).id)

        threads = [threading.Thread(target=post) for _ in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers) == 64
        assert len(set(answers)) == 1
        assert len(views.page(instance.database).jobs) == 1
        with server.client() as client, pytest.raises(InvalidError, match="another submission"):
            client.submit(key="one", spec=mini(seed=4))
    instance.database.close()


def test_metrics_count_by_route_and_not_by_path(api: TestClient) -> None:
    submitted(api)
    api.get("/api/v1/jobs/nosuch", headers=ann(api))
    text = api.get("/api/v1/metrics", headers=ann(api)).text
    assert 'stairprune_jobs{state="queued"} 1.0' in text
    assert 'route="/api/v1/jobs/{job}",status="404"' in text
    assert "nosuch" not in text


def test_an_error_of_ours_shows_an_id_and_nothing_else(
    api: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(views, "page", broken)
    with TestClient(api.app, base_url=HERE, raise_server_exceptions=False) as client:
        answer = client.get("/api/v1/jobs", headers=ann(api))
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert error(answer)["id"] in caplog.text
    assert "a secret" in caplog.text


def test_a_store_that_is_away_is_a_503(api: TestClient) -> None:
    server: Server = api.app.state.context  # type: ignore[attr-defined]
    database = server.instance.database
    path = Path(str(database.engine.url.database))
    database.close()
    path.unlink()
    path.mkdir()
    answer = api.get("/api/v1/jobs", headers=ann(api))
    assert answer.status_code == 503
    assert "store" in error(answer)["message"]
