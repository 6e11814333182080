"""Full disks, damaged files, wrong addresses: one clear line, and what was there stays readable."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path
from typing import Any

import pytest
from jobs_stores import opened, submission
from sqlalchemy import text

from benchmarks.service.postgres import PostgresServer
from jobs import attempts, views
from jobs.artifacts import Artifacts
from jobs.claim import claim
from jobs.database import Database
from jobs.devices import Host
from jobs.errors import (
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
    SubmissionError,
)
from jobs.files_local import LocalFiles
from jobs.migrate import upgrade
from jobs.submission import Needs, StageRequest, Submission
from jobs.submit import submit


@pytest.fixture
def store(tmp_path: Path) -> Database:
    return opened(f"sqlite:///{tmp_path / 'store.db'}")


def one_line(error: pytest.ExceptionInfo[Exception], *words: str) -> None:
    """The message is one line with these words."""
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_no_part_of_a_file(
    store: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    files = Artifacts(store, tmp_path / "artifacts")
    (tmp_path / "old").write_text("old")
    old = files.put(tmp_path / "old")
    (tmp_path / "new").write_text("new" * 100_000)

    def full(*arguments: Any, **options: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        if step == "write":
            patch.setattr("jobs.artifacts._copy", lambda source, target: _half(source, target))
        else:
            patch.setattr(os, step, full)
        with pytest.raises(StoreFullError) as caught:
            files.put(tmp_path / "new")
    one_line(caught, "new", "No space left")
    assert [path.name for path in (tmp_path / "artifacts").rglob("*") if path.is_file()] == [old]
    with store.read() as tx:
        assert tx.execute(text("SELECT hash FROM artifacts")).scalars().all() == [old]
    with files.open(old) as file:
        assert file.read() == b"old"
    assert len(files.put(tmp_path / "new")) == 64


def _half(source: Any, target: Path) -> tuple[str, int]:
    """Writes a part of the file, then the disk is full."""
    target.write_bytes(source.read(1000))
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_database_says_so_and_keeps_what_it_has(store: Database) -> None:
    job, _ = submit(store, "ann", submission(spec="x" * 1000))

    def fill() -> None:
        for number in range(100):
            submit(store, "ann", submission(f"j{number}", spec="x" * 100_000))

    with store.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    store.engine.dispose()
    from sqlalchemy import event

    @event.listens_for(store.engine, "connect")
    def limit(connection: Any, record: object) -> None:
        connection.execute(f"PRAGMA max_page_count={pages + 100}")

    with pytest.raises(StoreFullError) as caught:
        fill()
    one_line(caught, "no space is left for the database")
    assert views.show(store, job).job.state == "queued"
    assert all(shown.state == "queued" for shown in views.page(store).jobs)


def test_a_file_that_is_no_database_or_damaged_is_refused(store: Database, tmp_path: Path) -> None:
    for number in range(200):
        submit(store, "ann", submission(f"j{number}"))
    store.close()
    path = tmp_path / "store.db"
    with Database(store.url).engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    good = path.read_bytes()
    (tmp_path / "none.db").write_bytes(b"not a database at all" * 1000)
    with pytest.raises(StoreCorruptError) as caught:
        upgrade(Database(f"sqlite:///{tmp_path / 'none.db'}"))
    one_line(caught, "not a database", "restore it from a backup")
    path.write_bytes(good[: len(good) // 2 // 4096 * 4096])
    with pytest.raises(StoreCorruptError):
        upgrade(Database(store.url))
    chance, refused = random.Random(0), 0
    for _ in range(30):
        bad = bytearray(good)
        page = chance.randrange(1, len(good) // 4096) * 4096
        bad[page : page + 64] = chance.randbytes(64)
        path.write_bytes(bad)
        database = Database(store.url)
        try:
            upgrade(database)
            views.page(database)
        except StoreCorruptError:
            refused += 1
        finally:
            database.close()
    assert refused >= 25


def test_a_stored_file_that_changed_is_not_handed_on(store: Database, tmp_path: Path) -> None:
    files = Artifacts(store, tmp_path / "artifacts")
    (tmp_path / "a").write_text("right")
    digest = files.put(tmp_path / "a")
    path = LocalFiles(tmp_path / "artifacts").path(digest)
    path.write_text("wrong")
    with pytest.raises(StoreCorruptError, match="bytes are not what was stored"):
        files.copy(digest, tmp_path / "copy")
    assert list(tmp_path.glob("copy*")) == []
    path.write_text("longer than it was")
    with pytest.raises(StoreCorruptError, match="does not have 5 bytes"):
        files.open(digest)
    path.unlink()
    path.symlink_to("/etc/hostname")
    with pytest.raises(StoreCorruptError, match="is gone"):
        files.open(digest)
    assert files.put(tmp_path / "a") == digest
    with files.open(digest) as file:
        assert file.read() == b"right"


def test_a_schema_from_the_future_is_left_alone(store: Database) -> None:
    with store.write() as tx:
        tx.execute(text("UPDATE stairprune_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="'9999' is of a newer stairprune"):
        upgrade(store)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://x/y", "'mysql'"),
        ("sqlite://", "without a file"),
        ("sqlite:///:memory:", "without a file"),
        ("store.db", "no URL"),
    ],
)
def test_wrong_addresses(url: str, words: str) -> None:
    with pytest.raises(StoreError, match="a store must be sqlite:///FILE or postgresql://") as e:
        Database(url)
    one_line(e, words)


def test_a_server_that_is_not_there_and_no_password_in_words(tmp_path: Path) -> None:
    database = Database(f"postgresql://ann:secret@/none?host={tmp_path}")
    assert "secret" not in repr(database)
    with pytest.raises(StoreUnavailableError) as caught, database.read():
        pass
    one_line(caught, "the store does not answer")
    assert "secret" not in str(caught.value)


def test_a_server_that_restarts_is_found_again() -> None:
    # Of its own: one with the databases of many tests takes a minute to end in order.
    postgres = PostgresServer()
    database = opened(postgres.url())
    submit(database, "ann", submission(), "key")
    lease = claim(database, Host(name="h", cpu_slots=1), 60, 60)
    assert lease is not None
    postgres.stop()
    with pytest.raises(StoreUnavailableError):
        attempts.beat(database, lease.lease, attempts.Progress())
    postgres.start()
    assert attempts.beat(database, lease.lease, attempts.Progress()) == "run"
    assert submit(database, "ann", submission(), "key")[1] is False
    database.close()
    postgres.remove()


GOOD: dict[str, Any] = {"name": "j", "spec": "{}", "stages": (StageRequest(name="a"),)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "../x"}, "name must be 1 to 100 letters"),
        ({"name": ""}, "name must be"),
        ({"priority": 101}, "priority must be an integer -100 to 100, but got 101"),
        ({"priority": True}, "but got True"),
        ({"most_attempts": 0}, "most_attempts must be an integer 1 to 100"),
        ({"stages": ()}, "number of stages must be an integer 1 to 100, but got 0"),
        ({"stages": (StageRequest(name="a"),) * 2}, "different names, but got 'a'"),
        ({"stages": (StageRequest(name="a", after=("b",)),)}, r"before it \(none\), but got 'b'"),
        ({"spec": "x" * (1 << 20)}, "bytes of the job"),
    ],
)
def test_submissions_that_break_a_rule(change: dict[str, Any], words: str) -> None:
    with pytest.raises(SubmissionError, match=words):
        Submission(**{**GOOD, **change})


@pytest.mark.parametrize("settings", [{1, 2}, float("nan"), {"x": [float("inf")]}])
def test_settings_that_are_no_json(settings: object) -> None:
    with pytest.raises(SubmissionError, match="settings must be JSON"):
        StageRequest(name="a", settings=settings)


def test_needs_that_break_a_rule() -> None:
    with pytest.raises(SubmissionError, match="'slot' or 'all', but got 'half'"):
        Needs(cpu="half")  # type: ignore[arg-type]
    with pytest.raises(SubmissionError, match=r"needs\.gpus must be an integer 0 to 64"):
        Needs(gpus=-1)
