"""Stages on several hosts: all at once or as they come, one lease for all, and who is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from jobs_service import Service, until
from jobs_stores import submission, take

from jobs import attempts, control, events, executors, leases, members, views
from jobs.claim import claim_any
from jobs.database import Database
from jobs.devices import Host
from jobs.errors import StaleLeaseError, SubmissionError
from jobs.submission import Needs
from jobs.submit import submit

HOSTS = [Host(name=f"h{n}", cpu_slots=2, gpus=(f"{n}a", f"{n}b")) for n in range(3)]


@pytest.fixture
def announced(store: Database) -> Database:
    for host in HOSTS:
        executors.announce(store, host, 60)
    return store


def waits(store: Database, job: str) -> str:
    reason = views.show(store, job).job.waits
    assert reason is not None
    return reason


def test_needs_are_checked_and_usual_ones_keep_their_digest() -> None:
    with pytest.raises(SubmissionError, match="hosts must be an integer 1 to 256, but got 0"):
        Needs(hosts=0)
    assert Needs(gpus=1).canonical() == '{"cpu": "slot", "gpus": 1}'
    assert "hosts" in Needs(hosts=2).canonical()


def test_all_hosts_are_claimed_at_once_or_none(announced: Database) -> None:
    single = submit(announced, "ann", submission("single", gpus=2))[0]
    both = take(announced, HOSTS[0])
    assert both.job == single
    gang = submit(announced, "ann", submission("gang", gpus=2, hosts=3))[0]
    later = submit(announced, "ann", submission("later", gpus=1))[0]
    assert claim_any(announced, HOSTS, 9, 9) is None  # the others are kept for the gang
    assert "needs a CPU slot and 2 GPUs on each of 3 hosts; held" in waits(announced, gang)
    attempts.interrupt(announced, both.lease, "test")
    control.pause(announced, single)
    found = claim_any(announced, HOSTS, 9, 9)
    assert found is not None
    assert found.job == gang
    assert [(m.number, m.host, m.gpus) for m in found.members] == [
        (n, host.name, host.gpus) for n, host in enumerate(HOSTS)
    ]
    [held] = [item for item in leases.of_hosts(announced, ["h0"]) if item.hosts == 3]
    assert [m.host for m in held.others] == ["h1", "h2"]
    assert claim_any(announced, HOSTS, 9, 9) is None
    attempts.interrupt(announced, found.lease, "test")
    control.pause(announced, gang)
    after = claim_any(announced, HOSTS, 9, 9)
    assert after is not None
    assert after.job == later


def test_what_can_never_run_keeps_nothing(announced: Database) -> None:
    gang = submit(announced, "ann", submission("gang", gpus=1, hosts=4))[0]
    small = submit(announced, "ann", submission("small", hosts=2))[0]
    found = claim_any(announced, HOSTS, 9, 9)
    assert found is not None
    assert found.job == small
    assert waits(announced, gang) == "needs 4 such hosts at once, but 3 answer"


def test_two_of_three_hosts_are_kept_for_a_pair(announced: Database) -> None:
    running = [submit(announced, "ann", submission(f"r{n}", gpus=1))[0] for n in range(4)]
    held = [take(announced, host) for host in (*HOSTS, HOSTS[2])]
    assert [one.job for one in held] == running
    pair = submit(announced, "ann", submission("pair", gpus=2, hosts=2))[0]
    later = submit(announced, "ann", submission("later", gpus=1))[0]
    assert claim_any(announced, HOSTS, 9, 9) is None
    for one in (held[3], held[0]):
        attempts.interrupt(announced, one.lease, "test")
        control.pause(announced, one.job)
    found = claim_any(announced, HOSTS, 9, 9)
    assert found is not None
    assert (found.job, found.host) == (later, "h2")
    attempts.interrupt(announced, held[1].lease, "test")
    control.pause(announced, held[1].job)
    found = claim_any(announced, HOSTS, 9, 9)
    assert found is not None
    assert found.job == pair
    assert [m.host for m in found.members] == ["h0", "h1"]


def test_elastic_stages_start_with_one_and_grow_where_nobody_waits(announced: Database) -> None:
    job = submit(announced, "ann", submission("grows", 1, gpus=2, hosts=3, elastic=True))[0]
    found = claim_any(announced, HOSTS, 9, 9)
    assert found is not None
    assert found.job == job
    assert len(found.members) == 1
    first = members.extend(announced, HOSTS)
    assert first is not None
    assert (first.member.number, first.member.host) == (1, "h1")
    assert first.member.gpus == HOSTS[1].gpus
    whole = submit(announced, "ann", submission("whole", cpu="all", gpus=1))[0]
    assert members.extend(announced, HOSTS, without=[found.lease.attempt]) is None
    other = claim_any(announced, HOSTS, 9, 9)
    assert other is not None
    assert other.job == whole
    assert members.extend(announced, HOSTS) is None
    attempts.interrupt(announced, other.lease, "test")
    control.pause(announced, whole)
    members.lose(announced, found.lease, first.member, "test")
    again = [members.extend(announced, HOSTS) for _ in range(3)]
    assert [one and (one.member.number, one.member.host) for one in again] == [
        (2, "h1"), (3, "h2"), None,
    ]  # fmt: skip
    attempts.finish(announced, found.lease, {})
    with pytest.raises(StaleLeaseError):
        members.lose(announced, found.lease, first.member, "test")
    with pytest.raises(StaleLeaseError, match="is over; its members end"):
        members.meeting(announced, found.lease)
    assert [host.gpus_held for host in executors.capacity(announced)] == [0, 0, 0]


def test_members_make_way_for_whoever_waits(announced: Database) -> None:
    submit(announced, "ann", submission("grows", 1, gpus=2, hosts=3, elastic=True))
    assert claim_any(announced, HOSTS, 9, 9) is not None
    assert members.extend(announced, HOSTS) is not None
    assert members.extend(announced, HOSTS) is not None
    assert members.in_the_way(announced, HOSTS) is None
    for needs in ({"gpus": 1}, {"cpu": "all"}, {"gpus": 2, "hosts": 2}):
        waiting = submit(announced, "ann", submission("waits", **needs))[0]
        found = members.in_the_way(announced, HOSTS)
        assert found is not None
        assert found[1].host == "h2"
        members.lose(announced, *found, "test")
        assert members.extend(announced, HOSTS) is None
        control.cancel(announced, waiting)
        back = members.extend(announced, HOSTS)
        assert back is not None
        assert back.member.host == "h2"
    submit(announced, "ann", submission("never", hosts=4))
    assert members.in_the_way(announced, HOSTS) is None


@pytest.fixture(params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    made = Service(request.param, tmp_path, hosts=3, slots=1)
    made.start()
    yield made
    made.close()


def member_pids(service: Service, job: str) -> list[int]:
    """Of the attempt that gathered last."""
    places = sorted(
        (service.home / "runs" / job).glob("members-*"), key=lambda path: path.stat().st_mtime
    )
    return [int(path.name.split("-")[1]) for path in sorted(places[-1].iterdir())]


def at_work(service: Service, job: str) -> bool:
    """Whether the worker has what it waits for."""
    return any(attempt.done > 0 for attempt in service.show(job).attempts)


def test_a_stage_runs_on_three_hosts_and_its_members_end_with_it(service: Service) -> None:
    job = service.submit("gang", 2, all={"steps": 3}, hosts=3)
    service.wait(job, "succeeded")
    service.expect_right(job, "gang", 2)
    claimed = [e.data["hosts"] for e in events.after(service.database, job) if e.kind == "claimed"]
    assert claimed == [["toy", "toy-1", "toy-2"]] * 2
    until(lambda: not service.workers(), 5)


def test_a_lost_member_begins_the_stage_again_and_a_lost_worker_ends_them(
    service: Service,
) -> None:
    job = service.submit("gang", 1, all={"steps": 100}, hosts=3)
    until(lambda: at_work(service, job), 20, lambda: service.story(job))
    lost, kept = member_pids(service, job)
    psutil.Process(lost).kill()
    until(lambda: len(service.show(job).attempts) == 2, 20, lambda: service.story(job))
    assert not psutil.pid_exists(kept)
    first = service.show(job).attempts[0]
    assert first.error is not None
    assert "on toy-1 ended with signal 9" in first.error
    done = service.show(job).attempts[-1]
    until(lambda: service.show(job).attempts[-1].done > done.done, 20)
    pids = member_pids(service, job)
    psutil.Process(service.show(job).attempts[-1].pid).kill()
    until(lambda: not any(psutil.pid_exists(pid) for pid in pids), 10)
    control.cancel(service.database, job)
    service.wait(job, "cancelled")
    until(lambda: not service.workers(), 10)


def test_elastic_stages_outlive_their_members(service: Service) -> None:
    job = service.submit("grows", 1, all={"steps": 150, "members": 2}, hosts=3, elastic=True)
    until(lambda: at_work(service, job), 20, lambda: service.story(job))
    lost, _ = member_pids(service, job)
    psutil.Process(lost).kill()
    until(lambda: len(member_pids(service, job)) == 3, 20, lambda: service.story(job))
    service.wait(job, "succeeded")
    service.expect_right(job, "grows", 1)
    assert len(service.show(job).attempts) == 1
    told = [e for e in events.after(service.database, job) if e.kind.startswith("member")]
    assert [e.kind for e in told] == ["member_joined"] * 2 + ["member_lost", "member_joined"]
    assert "ended with signal 9" in told[2].data["error"]
    until(lambda: not service.workers(), 5)


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_member_ends_for_a_job_that_waits_and_comes_back(
    service: Service, stubborn: bool
) -> None:
    plan = {"steps": 4000, "members": 2, "stubborn": stubborn}
    job = service.submit("grows", 1, all=plan, hosts=3, elastic=True)
    until(lambda: at_work(service, job), 20, lambda: service.story(job))
    late = service.submit("late", 1, all={"steps": 3})
    service.wait(late, "succeeded")
    until(lambda: len(member_pids(service, job)) == 3, 20, lambda: service.story(job))
    assert len(service.show(job).attempts) == 1
    control.cancel(service.database, job)
    service.wait(job, "cancelled")
    until(lambda: not service.workers(), 10)


def test_a_worker_that_is_cut_off_leaves_no_member(service: Service) -> None:
    """A scheduler that was killed does not end them; the lease does."""
    job = service.submit("gang", 1, all={"steps": 4000}, hosts=2)
    until(lambda: at_work(service, job), 20, lambda: service.story(job))
    service.kill()
    control.cancel(service.database, job)
    until(lambda: not service.workers(), 15)
