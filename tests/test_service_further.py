"""Further targets that are measured: by a run, one after another; by a server, on other hosts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from service_server import instance_in, mini, modelled, scheduling, served

from jobs import devices, views
from jobs.launcher_local import LocalLauncher
from service import pipeline
from service.instance import Instance
from service.report_further import on_further
from service.spec import SpecError, from_data
from service.submission import helpers, submission
from service.verdict import elsewhere

T4 = {"backend": "modelled", "device": "t4", "precision": "int8", "batch": 8}
EDGE = {"edge": {"target": {**T4, "on": "edge"}, "latency_ms": "90%"}}


def limits(further: dict[str, Any], own: str = "90%") -> dict[str, Any]:
    return {"limits": {"macs": None, "params": None, "latency_ms": own, "further": further}}


@pytest.mark.parametrize(
    ("further", "message"),
    [
        ({"x": {"latency_ms": 1}}, "either table or target, but has neither"),
        ({"x": {"table": "a", "target": T4, "latency_ms": 1}}, "target, but has both"),
        ({"x" * 41: {"target": T4, "latency_ms": 1}}, "at most 40 characters"),
        ({"x y": {"target": T4, "latency_ms": 1}}, "a name in limits.further must match"),
        ({"x": {"target": {**T4, "on": "a b"}, "latency_ms": 1}}, "limits.further.x.target.on"),
    ],
)
def test_a_wrong_further_limit_is_named(further: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        from_data(modelled(**limits(further)))


def test_a_run_measures_one_after_another_and_holds_both(tmp_path: Path) -> None:
    """Up to the finalists' measurement there, and what a report says of it."""
    # Wide limits: networks of a few microseconds, measured beside other work.
    further = {"batch": {"target": {"batch": 4}, "latency_ms": "900%"}}
    few = {"points_per_geometry": 8, "chains": 0, "networks_fit": 5, "networks_held_out": 5}
    spec = from_data(mini(search={"objective": "macs"}, profile=few, **limits(further, "900%")))
    job = pipeline.run(spec, tmp_path, until="measure-batch")
    own, other = (found.table.target for found in job.predictors().values())
    assert (own.batch, other.batch) == (1, 4)
    limit = job.json("search", "budget.json")
    assert set(limit) == {"latency_ms", "latency_ms:batch"}
    tried = [one["costs"] for one in job.json("search", "search.json")["candidates"]]
    assert any(all(costs[m] <= limit[m] for m in limit) for costs in tried)
    before = (tmp_path / "profile-batch" / "done.json").read_bytes()
    pipeline.run(spec, tmp_path, until="measure-batch")
    assert (tmp_path / "profile-batch" / "done.json").read_bytes() == before
    predictors = job.predictors()
    del predictors["latency_ms"]
    found = on_further(job, predictors, limit)
    assert set(found) == set(job.finalists()) == {"dense", "uniform", "found-1"}
    dense, pruned = (found[name]["latency_ms:batch"] for name in ("dense", "found-1"))
    assert dense["lo"] <= dense["measured"] <= dense["hi"]
    assert limit["latency_ms:batch"] == pytest.approx(9 * dense["measured"])
    assert dense["within"]
    assert pruned["within"] in (True, False)
    assert pruned["lo"] <= pruned["measured"] <= pruned["hi"]
    assert elsewhere(spec.limits) == ""


def test_what_is_measured_elsewhere_is_for_a_server(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"edge\.target\.on: 'edge' is measured by a server"):
        pipeline.run(from_data(modelled(**limits(EDGE))), tmp_path)


def test_a_modelled_target_measures_nothing_and_says_so() -> None:
    spec = from_data(modelled(**limits(EDGE)))
    assert "measure-edge" not in [stage.name for stage in pipeline.stages(spec)]
    assert elsewhere(spec.limits) == (
        "limits on edge are held by prediction, and were not measured"
    )


def test_a_helper_is_the_jobs_own_stage_on_other_hosts() -> None:
    spec = from_data(modelled(**limits({**EDGE, "here": {"target": T4, "latency_ms": 1}})))
    job = submission(spec, until="search", priority=7)
    names = [stage.name for stage in job.stages]
    assert names == ["profile", "profile-edge", "profile-here", "search"]
    by_name = {stage.name: stage for stage in job.stages}
    assert set(by_name["search"].after) == {"profile", "profile-edge", "profile-here"}
    assert by_name["profile-edge"].needs.device == "edge"
    assert by_name["profile-edge"].settings["machine"] == ["class", "edge"]
    (helper,) = helpers(spec, job)
    assert helper.stages == (by_name["profile-edge"],)
    assert (helper.name, helper.priority) == ("mini.profile-edge", 7)
    assert helpers(spec, submission(spec, until="profile")) == []
    long = from_data(modelled(name="n" * 100, **limits(EDGE)))
    (helper,) = helpers(long, submission(long))
    assert len(helper.name) == 100


@contextmanager
def edge_host(instance: Instance) -> Iterator[None]:
    """A host of the class beside the server's, in this process."""
    scheduler = instance.scheduler(cpu_slots=1)
    host = replace(devices.this_host(1, ("edge",)), name="edge-host")
    assert isinstance(scheduler.launcher, LocalLauncher)
    scheduler.launcher.host = host
    with scheduling(scheduler):
        yield


def test_a_server_measures_on_the_hosts_of_the_class_and_searches_under_all(
    tmp_path: Path,
) -> None:
    instance, token = instance_in(tmp_path / "home")
    with served(instance, token, work=True) as server, server.client() as client:
        job = client.submit(spec=modelled(**limits(EDGE)), until="search", key="k").id
        assert client.submit(spec=modelled(**limits(EDGE)), until="search", key="k").id == job
        helper, own = client.jobs().jobs
        assert (own.id, helper.name) == (job, "mini.profile-edge")
        with edge_host(instance):
            kinds = [event.kind for event in client.events(job)]
        assert kinds[-1] == "succeeded"
        where = {
            attempt.stage: attempt.host
            for one in (job, helper.id)
            for attempt in views.show(instance.database, one).attempts
        }
        assert where["profile-edge"] == "edge-host"
        assert views.show(instance.database, helper.id).job.state == "succeeded"
        assert {"mini", "mini.edge"} <= {table.name for table in client.tables()}
        found = client.candidates(job)
        assert "latency_ms:edge" in found.metrics
        assert set(found.budget) == {"latency_ms", "latency_ms:edge"}
        assert found.candidates[0].figures["latency_ms:edge"]
    instance.database.close()
