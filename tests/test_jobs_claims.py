"""Who runs next and where, the same on SQLite and PostgreSQL."""

from __future__ import annotations

from typing import Any

from jobs_stores import HOST, submission, take
from sqlalchemy import event

from jobs import attempts, control, executors, users, views
from jobs.claim import Claim, claim, claim_any
from jobs.database import Database
from jobs.devices import Host
from jobs.submit import submit


def test_order_is_priority_then_age(store: Database) -> None:
    low, old, new, high = (
        submit(store, "ann", submission(f"j{n}", priority=p))[0]
        for n, p in enumerate((-1, 0, 0, 5))
    )
    wide = Host(name="wide", cpu_slots=9)
    assert [take(store, wide).job for _ in range(4)] == [high, old, new, low]


def test_devices_are_given_once_and_measuring_takes_the_cpu_alone(store: Database) -> None:
    sharing = [submit(store, "ann", submission(f"s{n}"))[0] for n in range(2)]
    measuring = submit(store, "ann", submission("m", cpu="all"))[0]
    late = submit(store, "ann", submission("late"))[0]
    executors.announce(store, HOST, 60)
    first, second = take(store), take(store)
    assert [first.job, second.job] == sharing
    assert claim(store, HOST, 9, 9) is None
    waits = views.show(store, measuring).job.waits
    assert waits is not None
    assert "s0 needs the whole CPU; held: CPU by job" in waits
    # A slot comes free, but it is kept for the one that waits for all of them.
    attempts.interrupt(store, first.lease, "test")
    control.pause(store, first.job)
    assert claim(store, HOST, 9, 9) is None
    attempts.interrupt(store, second.lease, "test")
    control.pause(store, second.job)
    whole = take(store)
    assert whole.job == measuring
    assert claim(store, HOST, 9, 9) is None
    assert take(store, Host(name="there", cpu_slots=1)).job == late


def _near_and_far(store: Database, **needs: Any) -> tuple[Host, Host, list[Claim]]:
    """Two hosts that answer; the first runs one job with these needs, the second two."""
    near, far = (
        Host(name=name, cpu_slots=4, gpus=(f"GPU-{name}-a", f"GPU-{name}-b"))
        for name in ("near", "far")
    )
    for host in (near, far):
        executors.announce(store, host, 60)
    for number in range(3):
        submit(store, "ann", submission(f"s{number}", **needs))
    return near, far, [take(store, near), take(store, far), take(store, far)]


def _stop(store: Database, running: Claim) -> None:
    control.pause(store, running.job)
    attempts.interrupt(store, running.lease, "test")


def test_the_cpu_is_kept_only_where_least_is_lacking(store: Database) -> None:
    """Or a whole cluster would run empty for one stage that measures."""
    near, far, running = _near_and_far(store)
    measuring = submit(store, "ann", submission("whole", cpu="all", gpus=1))[0]
    late = submit(store, "ann", submission("late"))[0]
    assert claim(store, near, 9, 9) is None
    assert take(store, far).job == late
    _stop(store, running[0])
    assert take(store, near).job == measuring


def test_gpus_are_kept_only_where_least_is_lacking(store: Database) -> None:
    near, far, running = _near_and_far(store, gpus=1)
    pair = submit(store, "ann", submission("pair", gpus=2))[0]
    late = submit(store, "ann", submission("late", gpus=1))[0]
    assert claim(store, near, 9, 9) is None
    _stop(store, running[1])
    # Both lack one now, and far comes first by its name.
    assert claim(store, far, 9, 9) is None
    assert take(store, near).job == late
    _stop(store, running[2])
    assert take(store, far).job == pair


def test_gpus_are_taken_whole_by_uuid(store: Database) -> None:
    executors.announce(store, HOST, 60)
    jobs = [submit(store, "ann", submission(f"g{n}", gpus=1))[0] for n in range(2)]
    many = submit(store, "ann", submission("many", gpus=3))[0]
    plain = submit(store, "ann", submission("plain"))[0]
    assert take(store).gpus == ("GPU-a",)
    waits = [views.show(store, job).job.waits or "" for job in (jobs[1], many)]
    assert waits[0].startswith("s0 needs a CPU slot and 1 GPU; held: ")
    assert f"GPU-a by job {jobs[0]}" in waits[0]
    assert waits[1] == "needs 3 GPUs, but no executor has more than 1"
    assert take(store).job == plain
    assert claim(store, HOST, 9, 9) is None


def test_a_class_of_hosts_is_kept_to_and_named(store: Database) -> None:
    wanted = submission("measures", device="a100", cpu="all")
    job = submit(store, "ann", wanted)[0]
    executors.announce(store, HOST, 60)
    assert claim(store, HOST, 9, 9) is None
    assert views.show(store, job).job.waits == "needs a host of class a100, and none answers"
    card = Host(name="card", cpu_slots=2, classes=("fast", "a100"))
    executors.announce(store, card, 60)
    assert executors.hosts(store)[0] == card
    plain = submit(store, "ann", submission("plain"))[0]
    busy = submit(store, "ann", submission("busy", priority=9))[0]
    running = take(store, card)
    assert running.job == busy
    # The one host of the class keeps its CPU, however much nearer another is.
    assert claim(store, card, 9, 9) is None
    assert take(store).job == plain
    _stop(store, running)
    assert take(store, card).job == job
    seen = {host.name: host for host in executors.capacity(store)}
    assert (seen["card"].cpu_held, seen["card"].cpu_slots, seen["card"].jobs) == (2, 2, [job])
    assert (seen["here"].cpu_held, seen["here"].jobs) == (1, [plain])
    assert seen["card"].classes == ["fast", "a100"]


def test_caps_of_users_hold_and_are_named(store: Database) -> None:
    users.ensure(store, "ann", most_running=1)
    executors.announce(store, HOST, 60)
    submit(store, "ann", submission("a1"))
    second = submit(store, "ann", submission("a2"))[0]
    third = submit(store, "bob", submission("b"))[0]
    take(store)
    assert take(store).job == third
    assert views.show(store, second).job.waits == "ann has 1 running jobs, the most allowed"


def test_many_that_cannot_run_do_not_hide_one_that_can(store: Database) -> None:
    users.ensure(store, "ann", most_running=1)
    for number in range(60):
        submit(store, "ann", submission(f"a{number}", priority=1))
        submit(store, "bob", submission(f"g{number}", gpus=1, priority=1))
    last = submit(store, "bob", submission("plain"))[0]
    host = Host(name="wide", cpu_slots=9, gpus=("GPU-a",))
    assert [take(store, host).gpus for _ in range(2)] == [(), ("GPU-a",)]
    assert take(store, host).job == last
    assert claim(store, host, 9, 9) is None


def test_a_decision_asks_as_little_however_many_wait(store: Database) -> None:
    """Jobs that wait for GPUs, for a user's cap and for a twin are not gone through one by one."""
    users.ensure(store, "ann", most_running=1)
    host = Host(name="wide", cpu_slots=9, gpus=("GPU-a", "GPU-b"))
    submit(store, "bob", submission("first", gpus=1, priority=9))
    submit(store, "bob", submission("pair", gpus=2, priority=2))
    for number in range(150):
        submit(store, "bob", submission(f"g{number}", gpus=1 + number % 2, priority=1))
        submit(store, "ann", submission(f"a{number}", priority=1))
    assert take(store, host).gpus == ("GPU-a",)
    asked: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    # The second GPU is kept for the pair; the one of ann's runs, then none may.
    assert take(store, host).gpus == ()
    assert claim(store, host, 9, 9) is None
    assert len(asked) < 40


def test_full_hosts_are_passed_by_at_no_cost(store: Database) -> None:
    """One question for all of them, and the first host with room gets what is next."""
    hosts = [Host(name=f"h{n}", cpu_slots=4, gpus=(f"GPU-{n}",)) for n in range(6)]
    jobs = [submit(store, "ann", submission(f"g{n}", gpus=1))[0] for n in range(8)]
    for host in hosts[:-1]:
        take(store, host)
    questions = []

    def asked(conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        questions.append("NOT IN" in statement and "ORDER BY" in statement)

    event.listen(store.engine, "before_cursor_execute", asked)
    found = claim_any(store, hosts, 9, 9)
    assert found is not None
    assert (found.job, found.host, found.gpus) == (jobs[5], "h5", ("GPU-5",))
    assert sum(questions) == 1
    questions.clear()
    assert claim_any(store, hosts, 9, 9) is None
    assert sum(questions) == 1
    assert claim_any(store, [], 9, 9) is None
    event.remove(store.engine, "before_cursor_execute", asked)
