"""kill -9 at random moments and at every step of a transaction or file; stores that go away.

`STAIRPRUNE_KILLS` sets the number of random kills per store.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from jobs_service import Service, until
from jobs_stores import server

KILLS = int(os.environ.get("STAIRPRUNE_KILLS", "10"))
STAGES = 2
pytestmark = pytest.mark.slow


@pytest.fixture(params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    made = Service(request.param, tmp_path, heartbeat=0.5, start=4)
    yield made
    made.close()


def points(service: Service, all_points: list[str]) -> list[str]:
    """All on SQLite; on PostgreSQL those around the commits that matter most."""
    sqlite = service.database.sqlite
    return [
        point
        for point in all_points
        if sqlite or point in ("commit 2", "commit 5", "committed 2", "committed 5")
    ]


def test_random_kills_lose_and_double_nothing(service: Service) -> None:
    chance, ledger = random.Random(KILLS), {}
    service.start()
    for kill in range(KILLS):
        if kill % 2 == 0:
            name = f"job-{kill}"
            plan = {"steps": 4, "sleep": 0.05}
            ledger[name] = service.submit(name, STAGES, all=plan, most_attempts=100)
        time.sleep(chance.uniform(0.0, 0.6))
        victims = service.workers()
        if victims and chance.random() < 0.6:
            with contextlib.suppress(psutil.Error):
                chance.choice(victims).kill()
        else:
            service.kill()
            service.start()
    for name, job in ledger.items():
        service.wait(job, "succeeded", seconds=90)
        service.expect_right(job, name, STAGES)
    until(lambda: service.workers() == [], 5)


WORKER_POINTS = [
    *("commit 1", "committed 1", "commit 2", "committed 2"),  # the file's row; the stage's end
    *("fsync 1", "fsync 2", "fsync 3"),  # the file, its folder, the folder above
    *("replace 2", "replaced 2", "replace 3", "replaced 3"),  # a step's marker; the file
]
SCHEDULER_POINTS = [f"{what} {n}" for n in (1, 5, 6) for what in ("commit", "committed")]


def test_a_worker_killed_at_any_step_is_repeated_and_counts_once(service: Service) -> None:
    service.start()
    wanted = points(service, WORKER_POINTS)
    jobs = {
        point: service.submit(point.replace(" ", "-"), 1, s0={"crash": point}) for point in wanted
    }
    for point, job in jobs.items():
        service.wait(job, "succeeded", seconds=60)
        service.expect_right(job, point.replace(" ", "-"), 1)
    hit = [point for point, job in jobs.items() if list((service.home / "runs" / job).glob("cr*"))]
    assert hit == wanted


def test_a_scheduler_killed_at_any_step_loses_nothing(service: Service) -> None:
    jobs = {f"job-{n}": service.submit(f"job-{n}", 1, most_attempts=100) for n in range(4)}
    wanted = points(service, SCHEDULER_POINTS)
    for point in wanted:
        service.start(TOY_CRASH=point)
        assert service.process is not None
        with contextlib.suppress(Exception):
            service.process.wait(3)
        service.kill()
    hit = list(service.home.glob("crashed *"))
    assert len(hit) == len(wanted)
    service.start()
    for name, job in jobs.items():
        service.wait(job, "succeeded", seconds=60)
        service.expect_right(job, name, 1)


def test_a_database_that_crashes_under_running_jobs_is_waited_for(tmp_path: Path) -> None:
    service = Service("postgresql", tmp_path, heartbeat=0.5)
    try:
        service.start()
        jobs = {
            f"j{n}": service.submit(f"j{n}", 2, all={"steps": 30, "sleep": 0.05}) for n in range(2)
        }
        for job in jobs.values():
            service.wait_running(job)
        server().stop(signal.SIGQUIT)
        time.sleep(2.0)
        server().start()
        for name, job in jobs.items():
            detail = service.wait(job, "succeeded")
            service.expect_right(job, name, 2)
            assert [a.state for a in detail.attempts] == ["done", "done"]
    finally:
        service.close()


def test_workers_go_on_while_nobody_schedules(tmp_path: Path) -> None:
    service = Service("sqlite", tmp_path)
    try:
        service.start()
        job = service.submit("j", 1, s0={"steps": 30})
        service.wait_running(job)
        service.kill()
        took = until(lambda: service.show(job).job.state == "succeeded", 10)
        assert took < 10
    finally:
        service.close()
