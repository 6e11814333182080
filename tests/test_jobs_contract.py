"""What a store promises, the same on SQLite and PostgreSQL."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from jobs_bucket import bucket
from jobs_stores import HOST, new_url, submission, take
from sqlalchemy import text

from jobs import advance, assets, attempts, control, events, executors, leases, users, views
from jobs.artifacts import Artifacts
from jobs.attempts import Progress
from jobs.claim import Claim, claim
from jobs.database import Database
from jobs.devices import Host
from jobs.errors import (
    StaleLeaseError,
    StateError,
    SubmissionError,
    UnknownError,
)
from jobs.migrate import upgrade
from jobs.schema import VERSION_TABLE, metadata
from jobs.submit import submit


@pytest.fixture(params=["folder", "s3"])
def files(
    request: pytest.FixtureRequest, store: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Artifacts:
    if request.param == "folder":
        return Artifacts(store, tmp_path / "artifacts")
    return Artifacts(store, bucket(monkeypatch))


def state(store: Database, job: str) -> str:
    return views.show(store, job).job.state


def kinds(store: Database, job: str) -> list[str]:
    return [event.kind for event in events.after(store, job)]


def put(files: Artifacts, folder: Path, content: str = "x") -> str:
    path = folder / "file"
    path.write_text(content)
    return files.put(path)


def run_stage(store: Database, files: Artifacts, folder: Path) -> Claim:
    """One stage from claim to end."""
    found = take(store)
    attempts.begin(store, found.lease, 1)
    attempts.finish(store, found.lease, {"out": put(files, folder, found.job + found.stage)})
    return found


def test_the_schema_is_what_the_migrations_make(store: Database) -> None:
    upgrade(store)
    with store.read() as tx:
        context = MigrationContext.configure(tx, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []
        names = set(tx.dialect.get_table_names(tx))
    assert VERSION_TABLE in names
    assert "alembic_version" not in names


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_an_older_schema_is_brought_up_to_date_with_what_it_holds(
    kind: str, tmp_path: Path
) -> None:
    store = Database(new_url(kind, tmp_path))
    upgrade(store, "0001")
    users.ensure(store, "ann")
    job = "0123456789abcdef"
    columns = {
        "jobs": {"number": 1, "id": job, "user": 1, "name": "old", "priority": 0,
                 "state": "queued", "wanted": "run", "spec": "{}", "submit_digest": "x",
                 "most_attempts": 3, "position": 0, "fencing": 0, "events": 0, "not_before": 0.0,
                 "created_at": 1.0},
        "stages": {"number": 1, "job": 1, "position": 0, "name": "s0", "after": "[]",
                   "settings": "{}", "cpu": "slot", "gpus": 0, "state": "waiting", "failures": 0},
    }  # fmt: skip
    with store.write() as tx:
        assert "candidates" in tx.dialect.get_table_names(tx)
        for table, row in columns.items():
            names = ", ".join(f'"{name}"' for name in row)
            values = ", ".join(f":{name}" for name in row)
            tx.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)
    upgrade(store)
    with store.read() as tx:
        assert "candidates" not in tx.dialect.get_table_names(tx)
    assert take(store).job == job
    assert views.show(store, job).job.state == "running"
    store.close()


def test_pages_follow_each_other_without_gaps(store: Database) -> None:
    for number in range(7):
        submit(store, "ann" if number % 2 else "bob", submission(f"job-{number}"))
    seen, cursor = [], None
    for _ in range(3):
        page = views.page(store, limit=3, cursor=cursor)
        seen += [job.name for job in page.jobs]
        cursor = page.cursor
    assert seen == [f"job-{number}" for number in reversed(range(7))]
    assert cursor is None
    assert [job.name for job in views.page(store, user="ann").jobs] == ["job-5", "job-3", "job-1"]
    assert [job.name for job in views.page(store, name="b-4").jobs] == ["job-4"]
    assert views.page(store, name="%").jobs == []
    assert views.page(store, state="paused").jobs == []
    for wrong in ({"cursor": "?"}, {"state": "done"}, {"limit": 0}, {"limit": 10_000}):
        with pytest.raises(SubmissionError):
            views.page(store, **wrong)


def test_a_job_runs_stage_by_stage_and_tells_of_it(
    store: Database, files: Artifacts, tmp_path: Path
) -> None:
    job, _ = submit(store, "ann", submission())
    first = take(store)
    assert claim(store, HOST, 9, 9) is None
    work = attempts.begin(store, first.lease, 4711)
    assert (work.job, work.stage, work.finished) == (job, "s0", {})
    assert attempts.beat(store, first.lease, Progress(done=1, total=4, note="one")) == "run"
    (listed,) = [job for job in views.page(store).jobs if job.state == "running"]
    assert (listed.done, listed.total) == (1, 4)
    digest = put(files, tmp_path)
    attempts.finish(store, first.lease, {"out": digest})
    second = take(store)
    work = attempts.begin(store, second.lease, 4712)
    assert work.finished == {"s0": {"out": digest}}
    attempts.finish(store, second.lease, {})
    detail = views.show(store, job)
    assert detail.job.state == "succeeded"
    assert [stage.state for stage in detail.stages] == ["done", "done"]
    assert [(a.stage, a.state, a.pid) for a in detail.attempts] == [
        ("s0", "done", 4711),
        ("s1", "done", 4712),
    ]
    assert detail.attempts[0].note == "one"
    told = events.after(store, job)
    assert [event.number for event in told] == list(range(1, len(told) + 1))
    assert [event.kind for event in told] == [
        "submitted",
        *("claimed", "started", "progress", "stage_done"),
        *("claimed", "started", "stage_done", "succeeded"),
    ]
    assert events.after(store, job, number=3) == told[3:]


def test_a_file_that_was_never_stored_finishes_nothing(store: Database) -> None:
    job, _ = submit(store, "ann", submission())
    lease = take(store).lease
    with pytest.raises(UnknownError, match="no artifact"):
        attempts.finish(store, lease, {"out": "0" * 64})
    assert state(store, job) == "running"


def test_a_late_holder_writes_nothing(store: Database, files: Artifacts, tmp_path: Path) -> None:
    job, _ = submit(store, "ann", submission(stages=1))
    late = take(store, lasts_s=0.0).lease
    attempts.begin(store, late, 1)
    assert [item.lease for item in leases.expired(store)] == [late]
    assert leases.give_up(store, late)
    assert not leases.give_up(store, late)
    fresh = take(store).lease
    assert fresh.fencing > late.fencing
    digest = put(files, tmp_path)
    writes: list[Callable[[], object]] = [
        lambda: attempts.begin(store, late, 1),
        lambda: attempts.beat(store, late, Progress()),
        lambda: attempts.finish(store, late, {"out": digest}),
        lambda: attempts.fail(store, late, "x"),
        lambda: attempts.interrupt(store, late, "x"),
    ]
    before = events.after(store, job)
    for write in writes:
        with pytest.raises(StaleLeaseError):
            write()
    assert events.after(store, job) == before
    attempts.finish(store, fresh, {"out": digest})
    assert state(store, job) == "succeeded"
    assert [a.state for a in views.show(store, job).attempts] == ["lost", "done"]


def test_one_that_answers_is_not_given_up(store: Database) -> None:
    submit(store, "ann", submission())
    lease = take(store, lasts_s=30.0).lease
    assert leases.expired(store) == []
    assert not leases.give_up(store, lease)


def test_poison_stops_after_three_and_keeps_every_error(store: Database) -> None:
    job, _ = submit(store, "ann", submission())
    for number in range(3):
        with store.write() as tx:  # Not to wait between the attempts.
            tx.execute(text("UPDATE jobs SET not_before = 0"))
        attempts.fail(store, take(store).lease, f"error {number}")
        if number < 2:
            assert "tries again in" in (views.show(store, job).job.waits or "")
    detail = views.show(store, job)
    assert (detail.job.state, detail.job.error) == ("failed", "s0: error 2")
    assert [attempt.error for attempt in detail.attempts] == ["error 0", "error 1", "error 2"]
    assert claim(store, HOST, 9, 9) is None


def test_lost_workers_count_only_once_they_had_started(store: Database) -> None:
    job, _ = submit(store, "ann", submission(most_attempts=1))
    assert leases.give_up(store, take(store, lasts_s=0.0).lease)
    assert state(store, job) == "queued"
    lease = take(store, lasts_s=0.0).lease
    attempts.begin(store, lease, 1)
    assert leases.give_up(store, lease)
    assert state(store, job) == "failed"


def test_retry_repeats_only_what_failed(store: Database, files: Artifacts, tmp_path: Path) -> None:
    job, _ = submit(store, "ann", submission(most_attempts=1))
    run_stage(store, files, tmp_path)
    attempts.fail(store, take(store).lease, "no")
    assert state(store, job) == "failed"
    control.retry(store, job)
    assert take(store).stage == "s1"
    assert [stage.failures for stage in views.show(store, job).stages] == [0, 0]


def test_pause_and_cancel_wait_for_the_one_who_runs_it(store: Database) -> None:
    job, _ = submit(store, "ann", submission())
    lease = take(store).lease
    control.pause(store, job)
    assert attempts.beat(store, lease, Progress()) == "pause"
    assert [item.wanted for item in leases.of_hosts(store, ["here"])] == ["pause"]
    attempts.interrupt(store, lease, "paused")
    assert state(store, job) == "paused"
    assert claim(store, HOST, 9, 9) is None
    control.resume(store, job)
    lease = take(store).lease
    control.cancel(store, job)
    control.cancel(store, job)
    assert attempts.beat(store, lease, Progress()) == "cancel"
    attempts.finish(store, lease, {})
    assert state(store, job) == "cancelled"
    assert kinds(store, job)[-1] == "cancelled"
    control.retry(store, job)
    assert take(store).stage == "s1"


ACTIONS: dict[str, Callable[[Database, str], None]] = {
    "cancel": control.cancel,
    "pause": control.pause,
    "resume": control.resume,
    "retry": control.retry,
}


@pytest.mark.parametrize(
    ("where", "refused"),
    [
        ("queued", {"resume", "retry"}),
        ("running", {"resume", "retry"}),
        ("paused", {"retry"}),
        ("succeeded", {"cancel", "pause", "resume", "retry"}),
        ("failed", {"cancel", "pause", "resume"}),
        ("cancelled", {"pause", "resume"}),
    ],
)
def test_what_may_be_asked_in_which_state(store: Database, where: str, refused: set[str]) -> None:
    for action in ACTIONS:
        job, _ = submit(store, "ann", submission(f"j-{action}", stages=1, most_attempts=1))
        if where in ("running", "succeeded", "failed"):
            lease = take(store, Host(name=action, cpu_slots=1)).lease
            if where == "succeeded":
                attempts.finish(store, lease, {})
            elif where == "failed":
                attempts.fail(store, lease, "x")
        elif where == "paused":
            control.pause(store, job)
        elif where == "cancelled":
            control.cancel(store, job)
        assert state(store, job) == where
        before = kinds(store, job)
        if action in refused:
            with pytest.raises(StateError, match=f"cannot {action} job {job}: it is {where}"):
                ACTIONS[action](store, job)
            assert kinds(store, job) == before
        else:
            ACTIONS[action](store, job)
        control.prioritise(store, job, 7) if where == "queued" and action == "pause" else None
    with pytest.raises(UnknownError, match="no job has the id 'nix'"):
        ACTIONS["cancel"](store, "nix")


def test_finished_stages_are_shared_by_their_inputs(
    store: Database, files: Artifacts, tmp_path: Path
) -> None:
    executors.announce(store, HOST, 60)
    first, second = (submit(store, "ann", submission("same"), key)[0] for key in ("a", "b"))
    running = take(store)
    # The second does not compute the same beside it.
    assert claim(store, HOST, 9, 9) is None
    assert views.show(store, second).job.waits == (
        f"job {first} computes the same s0; its result will be shared"
    )
    digest = put(files, tmp_path)
    attempts.finish(store, running.lease, {"out": digest})
    assert advance.reuse(store) == 1
    assert advance.reuse(store) == 0
    stage = views.show(store, second).stages[0]
    assert (stage.state, stage.files, stage.reused_from) == ("done", {"out": digest}, first)
    run_stage(store, files, tmp_path)
    assert advance.reuse(store) == 1
    assert state(store, second) == "succeeded"
    assert len(views.show(store, second).attempts) == 0
    # A later one is done at once; another spec is not.
    submit(store, "ann", submission("same"), "c")
    other = submit(store, "ann", submission("other"), "d")[0]
    assert advance.reuse(store) == 1
    assert take(store).job == other


def test_files_are_whole_hidden_until_named_and_swept(
    store: Database, files: Artifacts, tmp_path: Path
) -> None:
    digest = put(files, tmp_path, "hello")
    assert put(files, tmp_path, "hello") == digest
    with files.open(digest) as file:
        assert file.read() == b"hello"
    files.copy(digest, tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "hello"
    never = files.files.temporary()
    never.write_text("never named")
    files.files.keep(never, "ab" * 32)
    with pytest.raises(UnknownError):
        files.open("ab" * 32)
    assert files.sweep() == 0
    assert files.sweep(older_than_s=-60) == 1
    with pytest.raises(FileNotFoundError):
        files.files.open("ab" * 32)
    assert files.files.open(digest).read() == b"hello"
    for wrong in ("../../etc/passwd", "", "A" * 64, digest + "/", "é" * 64):
        with pytest.raises(UnknownError):
            files.open(wrong)
        with pytest.raises(UnknownError):
            files.hash_of(wrong)


def test_assets(store: Database, files: Artifacts, tmp_path: Path) -> None:
    job, _ = submit(store, "ann", submission())
    digest = put(files, tmp_path)
    kept = assets.register(store, "tables", digest, "epyc", {"rows": 3}, job)
    assert assets.register(store, "tables", digest, "again", {}) == kept
    (found,) = assets.assets(store, "tables")
    assert (found.name, found.details, found.job) == ("epyc", {"rows": 3}, job)
    assert assets.assets(store, "supernets") == []
    with pytest.raises(UnknownError):
        assets.register(store, "supernets", "0" * 64, "none", {})
    assert assets.asset(store, "tables", kept) == found
    with pytest.raises(UnknownError, match="none of the supernets"):
        assets.asset(store, "supernets", kept)


def test_tokens_are_hashed_and_end(store: Database) -> None:
    token = users.create_token(store, "ann", "laptop")
    found = users.authenticate(store, token)
    assert found is not None
    assert found.name == "ann"
    with store.read() as tx:
        row: Any = tx.execute(text("SELECT * FROM tokens")).mappings().one()
    assert token not in str(dict(row))
    assert users.authenticate(store, users.create_token(store, "ann", lasts_s=-1)) is None
    for wrong in ("", token + "x", "sp_", "\ud800"):
        assert users.authenticate(store, wrong) is None
    assert users.revoke(store, token)
    assert not users.revoke(store, token)
    assert users.authenticate(store, token) is None
    with pytest.raises(UnknownError, match="'eve'"):
        users.create_token(store, "eve")
    with pytest.raises(UnknownError, match="'eve'"):
        submit(store, "eve", submission())


def test_ids_tell_nothing(store: Database) -> None:
    ids = [submit(store, "ann", submission(f"j{n}"))[0] for n in range(20)]
    numbers = [int(job, 16) for job in ids]
    assert all(len(job) == 16 for job in ids)
    steps = {b - a for a, b in itertools.pairwise(numbers)}
    assert len(steps) == 19
