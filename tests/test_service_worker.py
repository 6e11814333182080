"""The real pipeline under the scheduler: a stage runs once, and its files serve other jobs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from service_server import scheduling

from jobs import users, views
from jobs.submit import submit
from service.instance import Instance, open_instance
from service.job import Job
from service.pipeline import STAGES
from service.spec import load
from service.store import RunFolder, read_json
from service.submission import submission
from service.worker import restore

MINI = Path(__file__).parent / "mini.yaml"
PRESETS = sorted((Path(__file__).parent.parent / "configs").glob("*.yaml"))


@contextmanager
def running(instance: Instance) -> Iterator[None]:
    """The scheduler in a thread, as the server has it."""
    with scheduling(instance.scheduler(cpu_slots=2)):
        yield


def wait(instance: Instance, job: str) -> views.JobDetail:
    """Until the job has ended."""
    deadline = time.monotonic() + 120
    while (detail := views.show(instance.database, job)).job.finished_at is None:
        assert time.monotonic() < deadline, detail
        time.sleep(0.1)
    return detail


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    root = str(MINI.parent.parent)
    monkeypatch.setenv("PYTHONPATH", root + os.pathsep + os.environ.get("PYTHONPATH", ""))
    made = open_instance(tmp_path / "instance")
    users.ensure(made.database, "ann")
    return made


@pytest.mark.slow
def test_a_stage_runs_under_the_scheduler_and_its_files_serve_other_jobs(
    instance: Instance,
) -> None:
    spec = load(MINI)
    first, _ = submit(instance.database, "ann", submission(spec, until="capacity"))
    with running(instance):
        detail = wait(instance, first)
        assert detail.job.state == "succeeded", instance.logs.read(detail.attempts[-1].id)
        again = spec.model_copy(update={"name": "again"})
        second, _ = submit(instance.database, "ann", submission(again, until="capacity"))
        shared = wait(instance, second)
    (attempt,) = detail.attempts
    assert attempt.done == attempt.total > 0
    assert "verdict" in read_json(instance.folder / "runs" / first / "capacity" / "capacity.json")
    assert shared.attempts == []
    assert shared.stages[0].reused_from == first
    assert shared.stages[0].files == detail.stages[0].files
    files = shared.stages[0].files
    assert files is not None
    job = Job(again, RunFolder(instance.folder / "runs" / second))
    restore(job, "capacity", {"capacity": files}, files, instance.artifacts)
    assert "verdict" in job.json("capacity", "capacity.json")
    restore(job, "capacity", {"capacity": files}, files, instance.artifacts)


@pytest.mark.slow
def test_what_the_pipeline_refuses_is_the_error_of_the_job(
    instance: Instance, tmp_path: Path
) -> None:
    spec = load(MINI)
    data = spec.data.model_copy(update={"name": "fashion_mnist", "path": tmp_path / "none"})
    wrong = spec.model_copy(update={"data": data})
    once = replace(submission(wrong, until="capacity"), most_attempts=1)
    job, _ = submit(instance.database, "ann", once)
    with running(instance):
        detail = wait(instance, job)
    assert detail.job.state == "failed"
    assert detail.job.error is not None
    assert detail.job.error.startswith("capacity: ")
    assert "Traceback" in instance.logs.read(detail.attempts[0].id)


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_every_preset_is_a_submission_and_measures_alone(path: Path) -> None:
    made = submission(load(path))
    names = [stage.name for stage in made.stages]
    assert names == [stage.name for stage in STAGES if stage.name in names]
    assert names[-1] == "report"
    alone = {stage.name for stage in made.stages if stage.needs.cpu == "all"}
    assert alone == {"profile", "select", "measure"}
    assert made.digest == submission(load(path)).digest
    for stage in made.stages:
        assert ("machine" in stage.settings) == (stage.name in alone)
