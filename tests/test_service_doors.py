"""A finished job through every door: API, client and command line; and the inventory of them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from service_server import MINI, Server, instance_in, modelled, served, workers_find_us
from typer.testing import CliRunner

from latency_tables.table import LatencyTable
from service.cli import app
from service.client.client import Client
from service.client.errors import ClientError, InvalidError, NotFoundError, StateConflictError
from service.client.where import find
from service.spec import load
from supernet.arithmetic import count
from supernet.config import ChannelConfig

SHIPPED = "resnet50-224-ort-fp32-1t-epyc"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A server that works, and a job of it that has searched on a computed table."""
    with pytest.MonkeyPatch.context() as patch:
        workers_find_us(patch)
        instance, token = instance_in(tmp_path_factory.mktemp("doors") / "home")
        with served(instance, token, work=True) as server:
            with server.client() as client:
                job = client.submit(spec=modelled(), until="select").id
                kinds = [event.kind for event in client.events(job)]
                assert kinds[-1] == "succeeded", client.log(job)
            yield server, job
        instance.database.close()


@pytest.fixture
def cli(finished: tuple[Server, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a verb against the server: exit code and output."""
    server = finished[0]
    monkeypatch.setenv("STAIRPRUNE_SERVER", server.address)
    monkeypatch.setenv("STAIRPRUNE_TOKEN", server.token)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, list(words))
        assert done.exit_code == code, (done.exit_code, done.output, done.exception)
        return done.stdout

    return run


def test_a_candidate_is_exported_before_any_training(
    finished: tuple[Server, str], cli: Any, tmp_path: Path
) -> None:
    """Of its widths, in the job's batch size, and running; its weights are random, as it says."""
    server, job = finished
    file = tmp_path / "net.onnx"
    assert "saved" in cli("candidates", job, "--export", "found-1", "--out", str(file))
    with server.client() as client:
        config = ChannelConfig.from_json(client.candidate(job, "found-1").config)
        client.export(job, "found-1", tmp_path / "fp32.onnx", "fp32")
        with pytest.raises(NotFoundError):
            client.export(job, "c99999", tmp_path / "none.onnx")
        with pytest.raises(InvalidError, match="precision"):
            client.export(job, "found-1", tmp_path / "none.onnx", "fp4")
    assert not (tmp_path / "none.onnx").exists()
    assert any(node.op_type == "QuantizeLinear" for node in onnx.load(file).graph.node)
    model = onnx.load(tmp_path / "fp32.onnx")
    assert "not to classify" in model.doc_string
    session = onnxruntime.InferenceSession(tmp_path / "fp32.onnx")
    [images] = session.get_inputs()
    out = session.run(None, {images.name: np.zeros(images.shape, dtype=np.float32)})[0]
    network = load(MINI).network
    assert images.shape[0] == 128
    assert out.shape == (128, network.classes)
    weights = sum(math.prod(tensor.dims) for tensor in model.graph.initializer)
    # Batch norm's two values a channel are one bias here.
    assert weights == pytest.approx(count(network, config)[1], rel=0.05)


def test_every_call_of_the_api_is_a_method_of_the_client(finished: tuple[Server, str]) -> None:
    source = Path(Client.__module__.replace(".", "/") + ".py")
    text = (MINI.parent.parent / source).read_text(encoding="utf-8")
    called = {re.sub(r"\{[^}]*\}", "{}", path) for path in re.findall(r'f?"(/[a-z][^"]*|/)"', text)}
    with finished[0].client() as client:
        described = client._to.object("GET", "/openapi.json")["paths"]
    known = {
        re.sub(r"\{[^}]*\}", "{}", path.removeprefix("/api/v1")): list(verbs)
        for path, verbs in described.items()
    }
    verbs = {f"/jobs/{{}}/{verb}" for verb in ("cancel", "pause", "resume", "retry")}
    assert set(known) - called - verbs == set()


def test_candidates_say_what_is_an_estimate(finished: tuple[Server, str]) -> None:
    server, job = finished
    with server.client() as client:
        found = client.candidates(job)
        assert found.metrics == ["macs", "params", "latency_ms"]
        assert set(found.budget) == set(found.metrics)
        assert {"dense", "uniform"} <= set(found.others)
        assert sum(c.finalist == "found-1" for c in found.candidates) == 1
        front = [c.figures for c in found.candidates if c.front]
        for one in front:
            assert not any(
                (o["estimate"] or 0) > (one["estimate"] or 0)
                and (o["latency_ms"] or 0) < (one["latency_ms"] or 0)
                for o in (c.figures for c in found.candidates)
            )
        middle = sorted(c.figures["latency_ms"] or 0 for c in found.candidates)[5]
        best = client.best(job, under=middle)
        assert (best.figures["latency_ms"] or 0) <= middle
        with pytest.raises(NotFoundError, match="latency_ms <= 1e-09"):
            client.best(job, under=1e-9)
        with pytest.raises(NotFoundError, match="metric must be one of"):
            client.best(job, under=1, metric="speed")
        assert client.candidate(job, "found-1").id == next(
            c.id for c in found.candidates if c.finalist == "found-1"
        )


def test_a_job_without_a_search_has_no_candidates_yet(finished: tuple[Server, str]) -> None:
    with finished[0].client() as client:
        job = client.submit(spec=modelled(seed=9), until="profile", priority=-100)
        client.cancel(job.id)
        with pytest.raises(StateConflictError, match="no finished search"):
            client.candidates(job.id)


def test_chosen_candidates_are_trained_by_a_job_that_reuses_the_rest(
    finished: tuple[Server, str],
) -> None:
    server, job = finished
    with server.client() as client:
        for wrong, kind in ((["nosuch"], NotFoundError), ([], InvalidError)):
            with pytest.raises(kind):
                client.train(job, wrong)
        chosen = [c for c in client.candidates(job).candidates if c.finalist is None][:2]
        new = client.train(job, [c.id for c in chosen], key="once")
        assert client.train(job, [c.id for c in chosen], key="once").id == new.id
        assert new.name.endswith("-".join(c.id for c in chosen))
        for event in client.events(new.id):
            if event.kind == "stage_done" and event.data["stage"] == "select":
                break
        detail = client.show(new.id)
        client.cancel(new.id)
    states = {stage["name"]: stage for stage in detail.stages}
    for name in ("profile", "search"):
        assert states[name]["reused_from"] == job
    assert [c.config for c in chosen] == detail.spec["train"]["configs"]
    select = next(f for f in detail.stages if f["name"] == "select")["files"]["finalists.json"]
    with server.instance.artifacts.open(select) as file:
        configs = json.load(file)["configs"]
    assert [configs["found-1"], configs["found-2"]] == [c.config for c in chosen]


def test_a_table_is_listed_shown_compared_and_goes_in_and_out(
    finished: tuple[Server, str], tmp_path: Path
) -> None:
    server, job = finished
    with server.client() as client:
        (made,) = [table for table in client.tables() if table.job == job]
        assert made.details["origin"] == "modelled"
        shown = client.table(SHIPPED)
        assert shown["held_out"]["errors"]["points"] == 40
        steps = client.stairs(SHIPPED)
        assert [s["label"] for s in steps] == [c["label"] for c in shown["curves"]]
        assert client.held_out(SHIPPED) == shown["held_out"]
        stair = max(steps, key=lambda c: len(c["right_edges"]))
        curve = client.curve(SHIPPED, stair["block"], stair["gene"])
        assert curve["right_edges"] == stair["right_edges"]
        assert len(curve["widths"]) == len(curve["ms"]) == len(curve["rounds"])
        assert all(len(rounds) >= 3 for rounds in curve["rounds"])
        with pytest.raises(InvalidError, match="x9"):
            client.curve(SHIPPED, stair["block"], "x9")
        rows = client.rows(SHIPPED, limit=10)
        assert (len(rows["rows"]), rows["next"]) == (10, 10)
        assert rows["total"] == shown["details"]["rows"]
        roof = client.roof(SHIPPED)
        assert roof is not None
        assert len(roof["points"]) == rows["total"]
        file = tmp_path / "t.json"
        client.download_table(SHIPPED, file)
        assert LatencyTable.load(file).fingerprint == shown["details"]["fingerprint"]
        mine = client.upload_table(file, "mine")
        assert client.upload_table(file, "again").id == mine.id
        assert client.diff(SHIPPED, mine.id)["rows"]["median"] == 1.0
        assert not list(tmp_path.glob("*.part"))


def test_jobs_side_by_side(finished: tuple[Server, str]) -> None:
    server, job = finished
    with server.client() as client:
        other = client.submit(spec=modelled(seed=5), until="profile", priority=-100).id
        first, second = client.compare([job, other])
        client.cancel(other)
        assert first["best"]["figures"]["estimate"] > 0
        assert {f["name"] for f in first["finalists"]} == {"found-1", "dense", "uniform"}
        assert second["best"] is None
        with pytest.raises(InvalidError, match="2 to 8"):
            client.compare([job, job])


def test_the_verbs_do_what_the_api_does(
    cli: Any, finished: tuple[Server, str], tmp_path: Path
) -> None:
    job = finished[1]
    file = tmp_path / "job.yaml"
    file.write_text(json.dumps(modelled(seed=6)))
    assert "report" in cli("submit", str(file), "--check")
    words = ("--until", "profile", "--priority", "-100")
    made = json.loads(cli("submit", str(file), *words, "--json"))
    assert json.loads(cli("prioritise", made["id"], "--json", "--", "-99"))["priority"] == -99
    for verb, states in (
        ("pause", ("paused", "running")),
        ("resume", ("queued", "running")),
        ("cancel", ("cancelled", "running")),
    ):
        assert json.loads(cli(verb, made["id"], "--json"))["state"] in states, verb
    assert made["id"] in cli("jobs", "--name", "mini")
    assert json.loads(cli("jobs", "--state", "cancelled", "--json"))["jobs"]
    [host] = json.loads(cli("hosts", "--json"))
    assert (host["cpu_slots"] >= 1, host["gpus"], host["classes"]) == (True, 0, [])
    assert host["name"] in cli("hosts")
    assert "profile" in cli("show", job)
    assert json.loads(cli("show", job, "--json"))["job"]["state"] == "succeeded"
    assert cli("logs", job)
    assert "found-1" in cli("candidates", job)
    best = json.loads(cli("candidates", job, "--under", "1e9", "--json"))
    assert best["figures"]["estimate"] > 0
    assert "search/search.json" in cli("download", job)
    target = tmp_path / "s.json"
    cli("download", job, "search/search.json", "--out", str(target))
    assert json.loads(target.read_text())["candidates"]
    assert "succeeded" in cli("watch", job)
    assert SHIPPED in cli("tables", "list")
    assert "right edges" in cli("tables", "show", SHIPPED)
    assert json.loads(cli("compare", job, made["id"], "--json"))[0]["id"] == job


def test_what_is_wrong_is_one_line_and_exit_code_2(
    cli: Any, finished: tuple[Server, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(NotFoundError, match="no job has the id 'nosuch'"):
        raise CliRunner().invoke(app, ["show", "nosuch"]).exception or AssertionError
    with pytest.raises(InvalidError, match="preset must be one of"):
        raise CliRunner().invoke(app, ["submit", "nosuch"]).exception or AssertionError
    cli("jobs", "--limit", "0", code=2)
    monkeypatch.setenv("STAIRPRUNE_TOKEN", "sp_wrong")
    with pytest.raises(ClientError, match="a token is needed"):
        raise CliRunner().invoke(app, ["jobs"]).exception or AssertionError
    monkeypatch.setenv("STAIRPRUNE_SERVER", "http://127.0.0.1:9")
    with pytest.raises(ClientError, match="does not answer"):
        raise CliRunner().invoke(app, ["jobs"]).exception or AssertionError
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("STAIRPRUNE_SERVER")
    with pytest.raises(ClientError, match="no server is known"):
        find()
    with pytest.raises(ClientError, match="http://HOST:PORT"):
        find("localhost:8321")
    monkeypatch.delenv("STAIRPRUNE_TOKEN")
    with pytest.raises(ClientError, match="no token"):
        find("http://localhost:8321")
