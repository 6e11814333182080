"""Any order of what clients, workers and crashes do, against a model in plain Python."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from jobs_stores import new_url, opened, submission
from sqlalchemy import text

from jobs import attempts, control, events, leases, views
from jobs.attempts import Progress
from jobs.claim import Claim, claim
from jobs.database import Database
from jobs.devices import Host
from jobs.errors import ConflictError, StaleLeaseError, StateError
from jobs.submit import submit

HOST = Host(name="here", cpu_slots=2)


class _Crash(Exception):
    """The process dies before it commits."""


class StoreMachine(RuleBasedStateMachine):
    """Two-stage jobs; stages differ by job, so none is shared."""

    kind = "sqlite"
    submitted = Bundle("submitted")

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.url = new_url(self.kind, Path(self.folder.name))
        self.database = opened(self.url)
        self.states: dict[str, str] = {}
        self.keys: dict[str, tuple[str, int]] = {}
        self.done: dict[str, int] = {}
        self.failures: dict[str, int] = {}
        self.wanted: dict[str, str] = {}
        self.held: dict[str, Claim] = {}
        self.stale: list[Claim] = []

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.close()
            self.folder.cleanup()

    @rule(target=submitted, key=st.sampled_from("abcdef"), priority=st.integers(0, 1))
    def submit(self, key: str, priority: int) -> str:
        new = key not in self.keys
        try:
            job, created = submit(
                self.database, "ann", submission(key, priority=priority, most_attempts=2), key
            )
        except ConflictError:
            assert self.keys[key][1] != priority
            return self.keys[key][0]
        assert created == new
        if new:
            self.keys[key] = (job, priority)
            self.states[job], self.done[job], self.failures[job] = "queued", 0, 0
            self.wanted[job] = "run"
        assert self.keys[key] == (job, priority)
        return job

    @rule()
    def claim(self) -> None:
        with self.database.write() as tx:
            tx.execute(text("UPDATE jobs SET not_before = 0"))
        found = claim(self.database, HOST, 1000, 1000)
        queued = [job for job, state in self.states.items() if state == "queued"]
        if found is None:
            assert not queued or len(self.held) == 2
            return
        assert len(self.held) < 2
        assert found.job in queued
        assert found.stage == f"s{self.done[found.job]}"
        by_job = dict(self.keys.values())
        assert by_job[found.job] == max(by_job[job] for job in queued)
        self.held[found.job] = found
        self.states[found.job] = "running"

    @precondition(lambda self: self.held)
    @rule(data=st.data(), how=st.sampled_from(["finish", "fail", "interrupt", "lose", "beat"]))
    def work(self, data: st.DataObject, how: str) -> None:
        job = data.draw(st.sampled_from(sorted(self.held)))
        lease = self.held[job].lease
        if how == "beat":
            assert attempts.beat(self.database, lease, Progress(done=1)) == self.wanted[job]
            return
        if how == "finish":
            attempts.finish(self.database, lease, {})
            self.done[job] += 1
            self.failures[job] = 0
        elif how == "fail":
            attempts.fail(self.database, lease, "error")
            self.failures[job] += 1
        elif how == "interrupt":
            attempts.interrupt(self.database, lease, "stop")
        else:
            with self.database.write() as tx:
                tx.execute(text("UPDATE leases SET expires_at = 0 WHERE fencing >= 0"))
            assert leases.give_up(self.database, lease)
            with self.database.write() as tx:
                tx.execute(text("UPDATE leases SET expires_at = 1e12"))
        self._ended(job)

    def _ended(self, job: str) -> None:
        """The model's state after an attempt."""
        self.stale.append(self.held.pop(job))
        wanted, self.wanted[job] = self.wanted[job], "run"
        if self.done[job] == 2:
            self.states[job] = "succeeded"
        elif wanted == "cancel":
            self.states[job] = "cancelled"
        elif self.failures[job] >= 2:
            self.states[job] = "failed"
        else:
            self.states[job] = {"run": "queued", "pause": "paused"}[wanted]

    @precondition(lambda self: self.stale)
    @rule(data=st.data())
    def write_late(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.stale)).lease
        for write in (
            lambda: attempts.finish(self.database, lease, {}),
            lambda: attempts.beat(self.database, lease, Progress(done=9)),
        ):
            try:
                write()
            except StaleLeaseError:
                continue
            raise AssertionError("a late write went through")

    @rule(job=submitted, verb=st.sampled_from(["cancel", "pause", "resume", "retry"]))
    def ask(self, job: str, verb: str) -> None:
        try:
            getattr(control, verb)(self.database, job)
        except StateError:
            return
        state, wanted = self.states[job], self.wanted[job]
        if verb == "cancel" and state == "running":
            self.wanted[job] = "cancel"
        elif verb == "pause" and state == "running":
            self.wanted[job] = "pause"
        elif verb == "resume" and state == "running":
            assert wanted == "pause"
            self.wanted[job] = "run"
        elif verb == "retry":
            assert state in ("failed", "cancelled")
            self.failures[job] = 0
            self.states[job] = "queued"
        else:
            after = {"cancel": "cancelled", "pause": "paused", "resume": "queued"}
            self.states[job] = after[verb]

    @rule(job=submitted)
    def crash(self, job: str) -> None:
        """A process dies half-way; others open the store afresh."""
        before = events.after(self.database, job)
        try:
            with self.database.write() as tx:
                tx.execute(text("UPDATE jobs SET state = 'failed', fencing = fencing + 9"))
                tx.execute(text("DELETE FROM leases"))
                raise _Crash
        except _Crash:
            self.database.close()
            self.database = Database(self.url)
        assert events.after(self.database, job) == before

    @invariant()
    def holds(self) -> None:
        if not hasattr(self, "database"):
            return
        shown = {job.id: job for job in views.page(self.database, limit=200).jobs}
        assert {job: view.state for job, view in shown.items()} == self.states
        for job, view in shown.items():
            assert view.wanted == self.wanted[job]
            numbers = [event.number for event in events.after(self.database, job)]
            assert numbers == list(range(1, len(numbers) + 1))
            assert (view.waits is None) == (view.state not in ("queued", "paused"))
        with self.database.read() as tx:
            held = tx.execute(text("SELECT count(*) FROM leases")).scalar_one()
            slots = tx.execute(text("SELECT count(*) FROM slots")).scalar_one()
        assert held == slots == len(self.held)


class PostgresMachine(StoreMachine):
    """The same on PostgreSQL."""

    kind = "postgresql"


_quick = settings(
    max_examples=12,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestSqlite = StoreMachine.TestCase
TestSqlite.settings = _quick
TestPostgres = PostgresMachine.TestCase
TestPostgres.settings = _quick
