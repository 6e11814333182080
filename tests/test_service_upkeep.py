"""Clearing away: what ended long ago goes, what is needed stays, and results stay for ever."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from jobs_stores import new_url
from service_server import instance_in, mini
from sqlalchemy import update

from jobs import control, schema
from jobs.claim import claim
from jobs.devices import Host
from jobs.members import process_id
from jobs.submit import submit
from service.instance import Instance
from service.spec import from_data
from service.submission import submission
from service.upkeep import Retention, keep_tidy, tidy


@pytest.fixture(params=["sqlite", "postgresql"])
def instance(request: pytest.FixtureRequest, tmp_path: Path) -> Instance:
    return instance_in(tmp_path / "home", new_url(request.param, tmp_path))[0]


def made(instance: Instance, seed: int, days_ago: float | None) -> str:
    """A job with a working folder; cancelled some days ago, or still open."""
    job, _ = submit(instance.database, "ann", submission(from_data(mini(seed=seed))))
    (instance.folder / "runs" / job / "profile").mkdir(parents=True)
    if days_ago is not None:
        control.cancel(instance.database, job)
        with instance.database.write() as tx:
            when = schema.jobs.c.finished_at - days_ago * 86_400
            tx.execute(update(schema.jobs).where(schema.jobs.c.id == job).values(finished_at=when))
    return job


def runs(instance: Instance) -> set[str]:
    return {path.name for path in (instance.folder / "runs").iterdir()}


def test_only_what_ended_long_ago_goes(instance: Instance, tmp_path: Path) -> None:
    open_one, fresh, old = made(instance, 1, None), made(instance, 2, 1.0), made(instance, 3, 8.0)
    instance.logs.root.mkdir(exist_ok=True)
    running = claim(instance.database, Host(name="here", cpu_slots=9), 60, 60)
    assert running is not None
    kept = [instance.logs.path(process_id(running.lease.attempt, member)) for member in (0, 1)]
    for path in (*kept, *(instance.logs.root / name for name in ("unknown.log", "unknown.log.1"))):
        path.write_text("x")
    (tmp_path / "file").write_text("kept")
    digest = instance.artifacts.put(tmp_path / "file")
    planned = tidy(instance, Retention(), dry=True)
    assert [path.name for path in planned.runs] == [old]
    assert runs(instance) == {open_one, fresh, old}
    cleared = tidy(instance, Retention())
    assert (cleared.logs, cleared.runs) == (planned.logs, planned.runs)
    assert len(cleared.logs) == 2
    assert all(path.exists() for path in kept)
    assert runs(instance) == {open_one, fresh}
    assert instance.artifacts.open(digest).read() == b"kept"
    assert tidy(instance, Retention(runs=0.0)).runs != []
    assert runs(instance) == {open_one}


def test_more_than_one_question_is_asked_where_there_are_many(instance: Instance) -> None:
    needed = made(instance, 1, None)
    for number in range(1200):
        (instance.folder / "runs" / f"gone-{number}").mkdir()
    assert len(tidy(instance, Retention()).runs) == 1200
    assert runs(instance) == {needed}


def test_it_goes_on_until_told_and_says_what_it_did(instance: Instance) -> None:
    made(instance, 1, 30.0)
    stop, said = threading.Event(), list[str]()

    def say(text: str) -> None:
        said.append(text)
        stop.set()

    keep_tidy(instance, Retention(), stop, say, every_s=0.01)
    assert said == ["cleared away: 0 logs, 1 working folders, 0 files that nothing refers to"]
