"""Real worker processes: they run, stop when told, and are given up when they do not answer."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from jobs_service import Service, until

from jobs import control, executors, process
from jobs.logs import Logs

LONG = {"steps": 3000, "sleep": 0.02}


@pytest.fixture(params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    made = Service(request.param, tmp_path)
    yield made
    made.close()


def pid_of(service: Service, job: str) -> int:
    """The worker's process."""
    pid = service.wait_running(job).attempts[-1].pid
    assert pid is not None
    return pid


def test_dead_and_stopped_workers_are_noticed_within_three_heartbeats(service: Service) -> None:
    heartbeat = float(service.settings.setdefault("TOY_HEARTBEAT", "0.7"))
    service.start()
    killed = service.submit("killed", s0={"steps": 40}, cpu="slot")
    stopped = service.submit("stopped", s0={"steps": 40})
    os.kill(pid_of(service, killed), signal.SIGKILL)
    frozen = pid_of(service, stopped)
    os.kill(frozen, signal.SIGSTOP)
    lost = until(
        lambda: service.show(stopped).attempts[0].state == "lost",
        10,
        lambda: service.story(stopped),
    )
    assert lost <= 3 * heartbeat
    assert not [w for w in service.workers() if w.pid == frozen]
    for job, name in ((killed, "killed"), (stopped, "stopped")):
        detail = service.wait(job, "succeeded")
        assert len(detail.attempts) == 2
        assert detail.attempts[0].error
        service.expect_right(job, name, 1)


def test_cancel_pause_resume_and_sigterm_leave_no_process(service: Service) -> None:
    service.start()
    stubborn = {**LONG, "child": True}
    job = service.submit("job", s0=stubborn)
    until(lambda: len(service.workers()) == 2, 10, lambda: service.story(job))
    start = time.monotonic()
    control.pause(service.database, job)
    assert time.monotonic() - start <= 1.0
    service.wait(job, "paused", seconds=15)
    assert service.workers() == []
    done = service.show(job).attempts[0].done
    control.resume(service.database, job)
    until(lambda: len(service.show(job).attempts) == 2, 10)
    until(lambda: service.show(job).attempts[1].done > done, 10, lambda: service.story(job))
    assert service.kill(signal.SIGTERM) == 0
    assert service.workers() == []
    assert executors.hosts(service.database) == []
    detail = service.show(job)
    assert [a.state for a in detail.attempts] == ["interrupted", "interrupted"]
    assert (detail.job.state, detail.stages[0].failures) == ("queued", 0)
    service.start()
    until(lambda: len(service.workers()) == 2, 10)
    control.cancel(service.database, job)
    service.wait(job, "cancelled", seconds=15)
    assert service.workers() == []


def test_poison_is_stopped_and_its_log_is_kept_short(tmp_path: Path) -> None:
    service = Service("sqlite", tmp_path)
    service.start()
    try:
        failing = service.submit("failing", all={"end": "fail", "noise": 120_000}, most_attempts=2)
        dying = service.submit("dying", all={"end": "die"}, most_attempts=2)
        fine = service.submit("fine", stages=2)
        detail = service.wait(failing, "failed")
        assert [a.error for a in detail.attempts] == ["ValueError: this stage always fails"] * 2
        detail = service.wait(dying, "failed")
        for attempt in detail.attempts:
            assert attempt.error is not None
            assert attempt.error.startswith("the worker ended with signal 9\nstage s0")
        service.wait(fine, "succeeded")
        service.expect_right(fine, "fine", 2)
    finally:
        service.close()
    log = Logs(tmp_path / "logs", limit=50_000)
    first = service.show(failing).attempts[0].id
    assert log.path(first).stat().st_size <= 50_000
    assert len(log.read(first)) < 240_000
    assert "ValueError" in log.read(first, 1000)


def test_a_worker_outlives_its_scheduler_and_is_found_by_the_next(tmp_path: Path) -> None:
    service = Service("sqlite", tmp_path)
    service.start()
    try:
        ending = service.submit("ending", s0={"steps": 60})
        cancelled = service.submit("cancelled", s0=LONG)
        first = pid_of(service, ending)
        pid_of(service, cancelled)
        service.kill()
        service.wait(ending, "queued", "succeeded")
        service.start()
        detail = service.wait(ending, "succeeded")
        assert [a.pid for a in detail.attempts] == [first]
        control.cancel(service.database, cancelled)
        service.wait(cancelled, "cancelled", seconds=15)
        assert service.workers() == []
    finally:
        service.close()


def test_processes_are_found_by_their_mark_wherever_they_went(tmp_path: Path) -> None:
    command = ["sh", "-c", "setsid sleep 300 & setsid sh -c 'sleep 300; :' & wait"]
    child = process.start(command, "a1", {}, tmp_path / "log")
    try:
        until(lambda: len(process.alive("a1")) >= 4, 10)
        assert process.alive("a2") == []
        assert process.kill("a1")
        assert process.alive("a1") == []
    finally:
        child.kill()
        child.wait()
