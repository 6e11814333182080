"""Taking jobs in, on both stores: once per key, within the caps, alone or several at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from jobs_stores import submission
from sqlalchemy import select

from jobs import events, schema, users, views
from jobs.database import Database
from jobs.errors import ConflictError, QuotaError, SubmissionError, UnknownError
from jobs.submission import Needs, StageRequest, Submission, stage_key
from jobs.submit import Asked, submit, submit_all


def test_one_key_is_one_job_for_64_at_once(store: Database) -> None:
    with ThreadPoolExecutor(64) as pool:
        found = list(pool.map(lambda _: submit(store, "ann", submission(), "key"), range(64)))
    assert len({job for job, _ in found}) == 1
    assert sum(new for _, new in found) == 1
    assert len(views.page(store).jobs) == 1
    with pytest.raises(ConflictError, match=r"'key' was used for another submission"):
        submit(store, "ann", submission(priority=1), "key")
    assert submit(store, "bob", submission(), "key")[1]


def test_a_submission_is_recognised_by_stores_of_earlier_versions() -> None:
    made = Submission(
        name="j",
        spec="{}",
        stages=(
            StageRequest(name="a", settings={"x": [1, 2.5, None]}, needs=Needs(cpu="all", gpus=1)),
            StageRequest(name="b", after=("a",)),
        ),
        priority=3,
    )
    assert made.digest == "05f4e2f62a775077ea1c1dbb9ffaa1ae100000e29fd4a445241922a7642c9fc9"


def test_stages_are_stored_as_given(store: Database) -> None:
    settings = {"b": 'ü "\\ \n {}', "a": [1, 2.5, None, True, {}], "c": 10**15}
    given = (
        StageRequest(name="one", settings=settings, needs=Needs(cpu="all", gpus=2)),
        StageRequest(name="two", after=("one",), settings=None),
        StageRequest(name="three", after=("one", "two"), settings="text"),
    )
    submit(store, "ann", Submission(name="j", spec="{}", stages=given))
    table = schema.stages
    with store.read() as tx:
        rows = tx.execute(select(table).order_by(table.c.position)).all()
    assert [(row.name, tuple(row.after), row.settings, row.cpu, row.gpus) for row in rows] == [
        (one.name, one.after, one.settings, one.needs.cpu, one.needs.gpus) for one in given
    ]
    assert rows[0].key == stage_key("one", settings, {})


def test_open_jobs_are_capped_exactly(store: Database) -> None:
    users.ensure(store, "ann", most_running=1, most_open=5)

    def one(number: int) -> bool:
        try:
            return submit(store, "ann", submission(f"j{number}"), f"k{number}")[1]
        except QuotaError:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(one, range(12))) == 5
    with pytest.raises(QuotaError, match="5 open jobs, and 5 are allowed"):
        submit(store, "ann", submission(), None)


def test_several_at_once_are_each_taken_or_refused_as_alone(store: Database) -> None:
    users.ensure(store, "eve", most_running=1, most_open=2)
    old, _ = submit(store, "ann", submission("old"), "old")
    asked = [
        *(Asked(user="ann", submission=submission(f"j{n}"), key=f"k{n}") for n in range(3)),
        Asked(user="ann", submission=submission("j0"), key="k0"),
        Asked(user="ann", submission=submission("old"), key="old"),
        Asked(user="bob", submission=submission("j0"), key="k0"),
        Asked(user="bob", submission=submission("any")),
    ]
    taken = submit_all(store, asked)
    assert [one[1] for one in taken if isinstance(one, tuple)] == [
        *[True] * 3,
        False,
        False,
        True,
        True,
    ]
    assert taken[3] == (taken[0][0], False)  # type: ignore[index]
    assert taken[4] == (old, False)
    wrong = [
        Asked(user="ann", submission=submission("other"), key="k1"),
        Asked(user="nobody", submission=submission()),
        Asked(user="ann", submission=submission(), key=""),
        *(Asked(user="eve", submission=submission(f"e{n}")) for n in range(3)),
    ]
    found = submit_all(store, [*wrong, Asked(user="ann", submission=submission("last"))])
    assert [type(one) for one in found] == [
        ConflictError, UnknownError, SubmissionError, tuple, tuple, QuotaError, tuple
    ]  # fmt: skip
    assert len(views.page(store).jobs) == 1 + 5 + 3
    for one in taken:
        assert isinstance(one, tuple)
        assert [event.kind for event in events.after(store, one[0])] == ["submitted"]
    assert submit_all(store, []) == []


def test_what_the_store_cannot_hold_harms_nobody_else(store: Database) -> None:
    names = ("before", "bad", "after")
    specs = ("{}", '"\ud800"', "{}")  # a lone surrogate has no bytes
    asked = [
        Asked(user="ann", submission=submission(name, spec=spec))
        for name, spec in zip(names, specs, strict=True)
    ]
    found = submit_all(store, asked)
    assert [type(one) for one in found] == [tuple, UnicodeEncodeError, tuple]
    assert [job.name for job in views.page(store).jobs] == ["after", "before"]
