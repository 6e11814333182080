"""Requests nobody meant: paths that climb, and thousands made up from the API's own description.

`STAIRPRUNE_GENERATED=10000` makes up that many in all instead of some hundreds.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from httpx2 import InvalidURL
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok
from service_server import instance_in, mini
from starlette.testclient import TestClient

from service.http.app import create_app
from service.http.ranges import plain
from service.http.settings import ServerSettings

SECRET = "a secret beside the instance"
GENERATED = int(os.environ.get("STAIRPRUNE_GENERATED", "400"))
SLOWEST_S = 1.0

UPS = ("../", "..\\", "%2e%2e/", "%2e%2e%2f", "..%2f", "..%5c", "%252e%252e%252f", "....//",
       "..;/", "%c0%ae%c0%ae/", "..%00/", ".%2e/")  # fmt: skip
AIMS = ("secret.txt", "home/stairprune.db", "etc/passwd", "home/logs/x.log", "")
PAYLOADS = sorted(
    {up * depth + aim for up, depth, aim in itertools.product(UPS, (1, 2, 3, 6, 9), (*AIMS, "a"))}
    | {
        prefix + aim
        for prefix in ("/", "//", "file:///", "\\\\", "C:\\", "~/", "%2f", "/proc/self/cwd/", "./")
        for aim in (*AIMS, "etc/passwd%00.json", "..", "../..", "a" * 300)
    }
    | {"%00", "\x01", "nul", "con", ".", "..", "*", "?", "#", "%", "%zz", "\u202e", "🙂" * 40}
    | {f"{number}" for number in (-1, 0, 1 << 70)}
    | {up + "x" + "/.." * depth for up in UPS for depth in (1, 2, 3, 5)}
    | {"x" * length + up for up in UPS for length in (1, 64, 65, 100)}
)
PATHS = (
    "/api/v1/jobs/{}", "/api/v1/jobs/{}/events", "/api/v1/jobs/{}/log", "/api/v1/jobs/{}/files",
    "/api/v1/jobs/{}/candidates", "/api/v1/jobs/{}/candidates/x", "/api/v1/jobs/x/candidates/{}",
    "/api/v1/jobs/{}/report", "/api/v1/artifacts/{}", "/api/v1/tables/{}",
    "/api/v1/tables/{}/download", "/api/v1/tables/{}/curve?block=x&gene=y",
    "/api/v1/tables/{}/diff/x", "/api/v1/tables/x/diff/{}", "/static/{}", "/{}",
)  # fmt: skip
QUERIES = (
    "/api/v1/jobs?name={}", "/api/v1/jobs?cursor={}", "/api/v1/jobs?user={}",
    "/api/v1/jobs/JOB/log?attempt={}", "/api/v1/jobs/JOB/events?follow=false&after={}",
    "/api/v1/tables/TABLE/curve?block={}&gene=w", "/api/v1/tables/TABLE/curve?block=x&gene={}",
    "/api/v1/tables/TABLE/rows?block={}", "/api/v1/compare?job=JOB&job={}",
    "/api/v1/jobs/JOB/best?under=1&metric={}",
)  # fmt: skip
TABLE = "resnet50-224-ort-fp32-1t-epyc"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, Path, str]]:
    """A client of ann, the folder around the instance, and a job."""
    folder = tmp_path_factory.mktemp("attacked")
    (folder / "secret.txt").write_text(SECRET)
    instance, token = instance_in(folder / "home")
    (instance.logs.root).mkdir(exist_ok=True)
    (instance.logs.root / "x.log").write_text(SECRET)
    app = create_app(instance, ServerSettings(hosts=("localhost",), poll_s=0.01))
    headers = {"Authorization": f"Bearer {token}"}
    with TestClient(
        app, base_url="http://localhost", headers=headers, raise_server_exceptions=False
    ) as client:
        job = client.post("/api/v1/jobs", json={"spec": mini()}).json()["id"]
        yield client, folder, job
    instance.database.close()


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_the_corpus_is_large() -> None:
    assert len(PAYLOADS) >= 500


def fetched(client: TestClient, path: str) -> Any | None:
    """The answer; None for a URL that no client sends."""
    try:
        return client.get(path)
    except (UnicodeError, InvalidURL):
        return None


def test_no_path_leads_outside(home: tuple[TestClient, Path, str]) -> None:
    client, folder, job = home
    before = files(folder)
    wrong = []
    # Each payload in some places, each place with some payloads: every pair would take minutes.
    for number, payload in enumerate(PAYLOADS):
        for place in range(3):
            known = (*PATHS, *QUERIES)
            path = known[(number + 9 * place) % len(known)].format(payload)
            path = path.replace("JOB", job).replace("TABLE", TABLE)
            answer = fetched(client, path)
            if answer is None:
                continue
            if answer.status_code >= 500 or SECRET in answer.text or "root:x:" in answer.text:
                wrong.append((path, answer.status_code))
    assert not wrong, wrong[:5]
    assert files(folder) - before <= {name for name in files(folder) if "stairprune.db" in name}


def test_names_of_uploads_and_downloads_are_only_names(
    home: tuple[TestClient, Path, str],
) -> None:
    client, folder, _ = home
    data = client.get(f"/api/v1/tables/{TABLE}/download").content
    before = {name for name in files(folder) if "artifacts" not in name}
    for name in ("../../evil", "/etc/evil", "a\r\nSet-Cookie: x=1", 'x"; filename="y', "..", "🙂"):
        answer = client.post("/api/v1/tables", params={"name": name}, content=data)
        assert answer.status_code == 201, answer.text
        table = answer.json()["id"]
        headers = client.get(f"/api/v1/tables/{table}/download").headers
        offered = headers["content-disposition"].removeprefix("attachment; filename=")
        assert set(offered) <= set(
            '"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-'
        )
        assert "set-cookie" not in headers
    assert {name for name in files(folder) if "artifacts" not in name} - before == set()


@given(st.text(max_size=200))
def test_a_name_offered_for_saving_is_plain(name: str) -> None:
    found = plain(name)
    assert found
    assert not found.startswith(".")
    assert all(c.isascii() and (c.isalnum() or c in "._-") for c in found)


UPLOADS = [
    b"", b"{}", b"[]", b"x", b"\x80\x04\x95", b"PK\x03\x04", b'{"schema": 2}', b"\xff" * 100,
    b'{"schema": 2, "rows": ' + b"[" * 10_000, b'{"a": 1, "a": 2}', b"NaN",
]  # fmt: skip


@pytest.mark.parametrize("content", UPLOADS, ids=lambda content: repr(content[:14]))
def test_what_is_no_table_is_refused(home: tuple[TestClient, Path, str], content: bytes) -> None:
    client = home[0]
    known = len(client.get("/api/v1/tables").json())
    answer = client.post("/api/v1/tables", content=content)
    assert answer.status_code == 422
    assert answer.json()["error"]["message"]
    assert len(client.get("/api/v1/tables").json()) == known


def sent(client: TestClient, case: Any) -> Any:
    """The answer to a made-up case, sent as ann."""
    words = case.as_transport_kwargs(base_url="http://localhost")
    headers = {k: v for k, v in words["headers"].items() if k.lower() not in ("host", "cookie")}
    body = {"content": words["data"]} if "data" in words else {}
    if "json" in words:
        body = {"json": words["json"]}
    return client.request(
        words["method"], words["url"], params=words.get("params"),
        headers={**headers, **client.headers}, **body,
    )  # fmt: skip


def test_made_up_requests_are_never_an_error_of_ours(home: tuple[TestClient, Path, str]) -> None:
    client, _, job = home
    schema = schemathesis.openapi.from_dict(client.get("/api/v1/openapi.json").json())
    operations = [f.ok() for f in schema.get_all_operations() if isinstance(f, Ok)]
    assert len(operations) > 25
    each = max(3, 3 * GENERATED // (2 * len(operations)))  # some have nothing to vary
    worst, count = 0.0, 0
    wrong: list[str] = []

    def attack(operation: Any) -> None:
        @settings(
            max_examples=each, deadline=None, database=None,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy(), real=st.booleans())
        def run(case: Any, real: bool) -> None:
            nonlocal worst, count
            if real and "job" in case.path_parameters:
                case.path_parameters["job"] = job
            if case.path.endswith(("/events", "/log")):
                case.query = {**(case.query or {}), "follow": "false"}
            start = time.perf_counter()
            answer = sent(client, case)
            took = time.perf_counter() - start
            worst, count = max(worst, took), count + 1
            if answer.status_code >= 500:
                wrong.append(f"{case.method} {case.formatted_path}: {answer.status_code}")

        run()

    for operation in operations:
        attack(operation)
    print(f"{count} requests, slowest {worst:.3f} s")
    assert not wrong, wrong[:5]
    assert count >= 0.9 * GENERATED
