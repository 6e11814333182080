"""Over 200 requests that are wrong by hand: each names what is wrong, none is a server error."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from service_server import instance_in, mini
from starlette.testclient import TestClient

from service.http.app import create_app
from service.http.settings import ServerSettings

# fmt: off
RECIPE = {"epochs": 2, "batch": 8, "lr": 0.1}
NEITHER: tuple[object, ...] = ("x", [], {}, None)

FIELDS: dict[str, tuple[object, ...]] = {
    "name": ("", ".hidden", "a/b", "../x", "a b", "x" * 101, "é", 3, None, []),
    "seed": (-1, 1.5, "0", None, True, 10**30 * -1),
    "cpu_threads": (0, -2, 1.5, "2", []),
    "network.depths": ([], [0], [-1], ["3"], "3,4", 3, [3, 4, None]),
    "network.width": (0, -1, 17, "1", None, [1]),
    "network.stem": ("", "5x5", "7x7", 3, None, ["3x3/1"]),
    "network.resolution": (0, -8, 8.5, "8", None, 10**9),
    "network.channels": (0, -1, "1", None, 10**9),
    "network.classes": (0, -1, 2.5, "10", 10**9),
    "network.depth": (3, [3]),
    "data.validation": (0, -5, 1.5, "10", None),
    "data.limit": (0, -1, "5", 2.5),
    "data.path": (3, [], {}),
    "data.nmae": ("digits",),
    "space.lowest": (0, -0.5, 1.5, "0.5", None),
    "space.step": (0, -1, 2, "0.1", None),
    "space.divisor": (0, -8, 1.5, "8"),
    "space.tied": ("yes", 1, None),
    "space.removable": ("no", 0),
    "space.narrow": ("maybe", 2),
    "target.precision": ("fp8", "FP32", "", 32, None),
    "target.batch": (0, -1, 1.5, "8"),
    "target.threads": (0, -1, 1.5, "1"),
    "profile.points_per_geometry": (0, 7, 10.5, "80"),
    "profile.target_error_percent": (0, -1, "2"),
    "profile.chains": (-1, 1.5),
    "profile.networks_fit": (0, 4, "5"),
    "profile.networks_held_out": (0, 4),
    "profile.rounds": (0, 2, 3.5),
    "limits.macs": (0, -1, "60", "x%", "-5%", "0%", "%", [], {}, True),
    "limits.params": (0, "60", "nan%", "inf%", []),
    "limits.latency_ms": (0, -3, "", "1e999%"),
    "limits.latency": ("50%",),
    "limits.at_least": ({"macs": "x"}, {"depth": 3}, {"macs": -1}, []),
    "limits.further": ({"a b": {"table": "t", "latency_ms": 1}}, {"a": {}}, {"a": 3}, []),
    "capacity.seeds": (0, 1, 2.5, "2"),
    "capacity.images": (0, -1, "5"),
    "capacity.recipe": ({}, {"epochs": 1}, {**RECIPE, "lr": 0}, {**RECIPE, "momentum": 1}),
    "supernet.kind": ("", "ofa", 3, None),
    "supernet.recipe": (
        {**RECIPE, "policy": "best"}, {**RECIPE, "random_subnets": -1}, {**RECIPE, "removal": 2},
        {**RECIPE, "batch": 0},
    ),
    "supernet.start": ("pretrained", 1),
    "supernet.processes": (0, 65, 1.5),
    "supernet.workers": (0, 257, "2"),
    "supernet.recalibration_images": (0, -1),
    "search.objective": ("speed", 3),
    "search.evaluations": (0, -1, 1.5),
    "search.generation": (0, -1),
    "search.finalists": (0, -1, "1"),
    "search.first": (["magic"], "l1", [3]),
    "search.at_least": ("high", [1]),
    "train.recipe": (
        {**RECIPE, "epochs": 0}, {**RECIPE, "mixup": -1}, {**RECIPE, "cutmix": "x"},
        {**RECIPE, "hints": -0.1}, {**RECIPE, "alpha": 1.1}, {**RECIPE, "temperature": 0},
        {**RECIPE, "warmup_epochs": 2}, {**RECIPE, "accumulate": 9}, {**RECIPE, "lr": "0.1"},
        {**RECIPE, "epcohs": 3},
    ),
    "train.teacher": (None, [], {"epochs": 1, "batch": 1}),
    "train.seeds": (0, -1, 1.5),
    "train.configs": ([{}], [{"stem": 1}], ["x"], 3, [{"stem": 8, "stages": [8], "inner": []}]),
    "quantise.methods": ([], ["best"], "max", [3]),
    "quantise.images": (0, -1, 1.5),
    "quantise.percentile": (50, 101, "99", None),
    "quantise.form": ("int4", 3),
    "quantise.keep": (["conv9"], ["layer1"], [3], "fc"),
    "quantise.finetune": ({}, {**RECIPE, "lr": -1}, "short"),
    "verify.rounds": (0, 4, 5.5),
    "verify.round": (5,),
}
SPECS = [(field, value) for field, values in FIELDS.items() for value in values]

GETS = (
    "/api/v1/jobs?limit=-1", "/api/v1/jobs?limit=1e3", "/api/v1/jobs?limit=",
    "/api/v1/jobs?cursor=-",
    "/api/v1/jobs?cursor=eyJ9", "/api/v1/jobs?state=Queued", "/api/v1/jobs?state=all",
    "/api/v1/jobs?name=" + "n" * 101, "/api/v1/jobs?user=" + "u" * 101, "/api/v1/jobs/0",
    "/api/v1/jobs/" + "f" * 16, "/api/v1/jobs/" + "f" * 65,
    "/api/v1/jobs/JOB/best?under=x&metric=macs",
    "/api/v1/jobs/JOB/best?under=1", "/api/v1/jobs/JOB/candidates",
    "/api/v1/jobs/JOB/candidates/c1",
    "/api/v1/jobs/JOB/report", "/api/v1/jobs/JOB/log?attempt=none",
    "/api/v1/jobs/JOB/events?after=-1",
    "/api/v1/jobs/JOB/events?after=x", "/api/v1/jobs/JOB/nothing", "/api/v1/artifacts/none",
    "/api/v1/artifacts/" + "0" * 64, "/api/v1/tables/none", "/api/v1/tables/none/stairs",
    "/api/v1/tables/none/download", "/api/v1/tables/TABLE/curve",
    "/api/v1/tables/TABLE/curve?block=x",
    "/api/v1/tables/TABLE/curve?block=x&gene=w", "/api/v1/tables/TABLE/rows?block=none",
    "/api/v1/tables/TABLE/diff/none", "/api/v1/tables/none/diff/TABLE", "/api/v1/compare",
    "/api/v1/compare?job=none", "/api/v1/compare?job=JOB&job=none", "/api/v2/jobs", "/api/v1",
)
POSTS: tuple[tuple[str, object], ...] = (
    ("/api/v1/jobs", {}), ("/api/v1/jobs", {"preset": "none"}), ("/api/v1/jobs", {"spec": 3}),
    ("/api/v1/jobs", {"spec": {}, "preset": "quickstart"}), ("/api/v1/jobs", {"specs": {}}),
    ("/api/v1/jobs", {"preset": "quickstart", "changes": []}),
    ("/api/v1/jobs", {"preset": "quickstart", "priority": 101}),
    ("/api/v1/jobs", {"preset": "quickstart", "priority": "high"}),
    ("/api/v1/jobs", {"preset": "quickstart", "until": "nowhere"}),
    ("/api/v1/jobs", {"preset": "quickstart", "until": 3}),
    ("/api/v1/jobs", {"preset": "../quickstart"}), ("/api/v1/jobs", {"preset": "q" * 200}),
    ("/api/v1/jobs/none/cancel", None), ("/api/v1/jobs/JOB/stop", None),
    ("/api/v1/jobs/JOB/resume", None), ("/api/v1/jobs/JOB/retry", None),
    ("/api/v1/jobs/JOB/train", {}), ("/api/v1/jobs/JOB/train", {"candidates": []}),
    ("/api/v1/jobs/JOB/train", {"candidates": ["c1"] * 17}),
    ("/api/v1/jobs/JOB/train", {"candidates": "c1"}), ("/api/v1/jobs/JOB/train",
    {"candidates": [""]}),
    ("/api/v1/jobs/JOB/train", {"candidates": ["c1"], "priority": 1000}),
    ("/api/v1/tables", {}), ("/api/v1/tables", []), ("/api/v1/health", None), ("/api/v1/me", None),
)


# fmt: on
@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, str]]:
    """A client, and a job that waits."""
    instance, token = instance_in(tmp_path_factory.mktemp("corpus") / "home")
    app = create_app(instance, ServerSettings(hosts=("localhost",), poll_s=0.01))
    headers = {"Authorization": f"Bearer {token}"}
    with TestClient(
        app, base_url="http://localhost", headers=headers, raise_server_exceptions=False
    ) as client:
        yield client, client.post("/api/v1/jobs", json={"spec": mini()}).json()["id"]
    instance.database.close()


def told(answer: Any, began: float) -> dict[str, Any]:
    """The error of an answer that refuses, in time and in one line."""
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:300])
    assert time.monotonic() - began < 1
    found: dict[str, Any] = answer.json()["error"]
    assert set(found) == {"message", "field", "id"}
    assert found["message"]
    assert "\n" not in found["message"]
    assert len(found["message"]) < 1000
    return found


def test_there_are_enough() -> None:
    assert len(SPECS) + len(GETS) + len(POSTS) >= 200


@pytest.mark.parametrize(("field", "value"), SPECS, ids=lambda value: str(value)[:30])
def test_a_wrong_field_is_named(api: tuple[TestClient, str], field: str, value: object) -> None:
    spec = mini()
    section, _, key = field.partition(".")
    if key:
        spec.setdefault(section, {})[key] = value
    else:
        spec[section] = value
    began = time.monotonic()
    found = told(api[0].post("/api/v1/jobs/check", json={"spec": spec}), began)
    assert section in f"{found['field']} {found['message']}"
    assert key.split(".")[-1] in f"{found['field']} {found['message']}"


@pytest.mark.parametrize("path", GETS)
def test_what_is_asked_for_wrongly(api: tuple[TestClient, str], path: str) -> None:
    path = path.replace("JOB", api[1]).replace("TABLE", "resnet50-224-ort-fp32-1t-epyc")
    began = time.monotonic()
    told(api[0].get(path), began)


@pytest.mark.parametrize(("path", "body"), POSTS, ids=lambda value: str(value)[:40])
def test_what_is_done_wrongly(api: tuple[TestClient, str], path: str, body: object) -> None:
    began = time.monotonic()
    told(api[0].post(path.replace("JOB", api[1]), json=body), began)
