"""A toy service as processes, for tests that kill it: store, scheduler, workers, what came out."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jobs_toy
import psutil
from jobs_stores import new_url, opened, submission

from jobs import events, process, variables, views
from jobs.artifacts import Artifacts
from jobs.submit import submit
from jobs.views import JobDetail

TOY = Path(jobs_toy.__file__)


class Service:
    """A store of a kind, and a scheduler that can be started and killed."""

    def __init__(self, kind: str, home: Path, **settings: object) -> None:
        self.home = home
        self.url = new_url(kind, home)
        self.database = opened(self.url, "ann")
        self.artifacts = Artifacts(self.database, home / "artifacts")
        self.process: subprocess.Popen[bytes] | None = None
        self.settings = {f"TOY_{name.upper()}": str(value) for name, value in settings.items()}

    def start(self, **environment: str) -> None:
        """Starts the scheduler."""
        known = {
            variables.URL: self.url,
            variables.FILES: self.artifacts.files.address,
            jobs_toy.HOME: str(self.home),
        }
        with (self.home / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(TOY), "serve"],
                env={**os.environ, **known, **self.settings, **environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Ends the scheduler alone; returns its exit code."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        return self.process.wait(30)

    def close(self) -> None:
        """Ends everything."""
        if self.process is not None:
            self.kill()
        for victim in self.workers():
            with contextlib.suppress(psutil.Error):
                victim.kill()
        self.database.close()

    def submit(self, name: str, stages: int = 1, **plan: Any) -> str:
        """A job whose spec is `plan`; acknowledged when it returns."""
        names = ("most_attempts", "cpu", "gpus", "device", "hosts", "elastic")
        options = {key: plan.pop(key) for key in names if key in plan}
        spec = json.dumps({"seed": name, **plan})
        return submit(self.database, "ann", submission(name, stages, spec=spec, **options), name)[0]

    def show(self, job: str) -> JobDetail:
        """A job in detail."""
        return views.show(self.database, job)

    def wait(self, job: str, *states: str, seconds: float = 30) -> JobDetail:
        """Until the job is in one of the states."""
        until(lambda: self.show(job).job.state in states, seconds, lambda: self.story(job))
        return self.show(job)

    def wait_running(self, job: str) -> JobDetail:
        """Until the job's worker has come up."""
        until(
            lambda: any(e.kind == "started" for e in events.after(self.database, job)),
            30,
            lambda: self.story(job),
        )
        return self.show(job)

    def workers(self) -> list[psutil.Process]:
        """All processes of all attempts of this service."""
        found = []
        for candidate in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                environment = candidate.environ()
                ours = environment.get(jobs_toy.HOME) == str(self.home)
                marked = ours and process.MARK in environment
                if marked and candidate.status() != psutil.STATUS_ZOMBIE:
                    found.append(candidate)
        return found

    def story(self, job: str) -> str:
        """All that is known of a job, for a failed test."""
        detail = self.show(job)
        log = (self.home / "serve.log").read_text()[-2000:]
        told = "\n".join(f"{e.number} {e.kind} {e.data}" for e in events.after(self.database, job))
        return f"{detail.job}\n{detail.attempts}\n{told}\n{log}"

    def expect_right(self, job: str, name: str, stages: int) -> None:
        """The job succeeded, each stage once, with the bytes of an undisturbed run."""
        detail = self.show(job)
        assert detail.job.state == "succeeded", self.story(job)
        before: list[str] = []
        for stage in detail.stages:
            before.append(jobs_toy.outcome(name, stage.name, before))
            assert stage.files is not None
            with self.artifacts.open(stage.files["out.txt"]) as file:
                assert file.read().decode() == before[-1]
        told = events.after(self.database, job)
        assert [event.number for event in told] == list(range(1, len(told) + 1))
        assert [e.kind for e in told].count("stage_done") == stages
        assert [e.kind for e in told].count("succeeded") == 1


def until(
    holds: Callable[[], bool], seconds: float, story: Callable[[], str] = lambda: ""
) -> float:
    """Waits until something holds; returns the seconds it took."""
    start = time.monotonic()
    while not holds():
        assert time.monotonic() - start < seconds, story()
        time.sleep(0.05)
    return time.monotonic() - start
