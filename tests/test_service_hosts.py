"""Several hosts: who scores what changes nothing, trainings equal those of one, GPUs are held."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import AuthenticationError
from pathlib import Path
from typing import Any

import pytest
from service_server import instance_in, mini, scheduling, workers_find_us

from jobs import events, views
from jobs.devices import Host
from jobs.submit import submit
from search.scoring import Outcome
from service import pipeline, scoring_far
from service.ranks import device
from service.scoring_far import Far, serve
from service.spec import JobSpec
from service.store import RunError
from service.submission import submission
from supernet.config import ChannelConfig

ALIKE = ["weights", {"threads": 1}]


def some(count: int) -> list[ChannelConfig]:
    """Different configs."""
    return [ChannelConfig(stem=n, stages=(8,), inner=((2, 2),)) for n in range(1, count + 1)]


def outcome(config: ChannelConfig) -> Outcome:
    """What everybody finds."""
    if config.stem % 3 == 0:
        return Outcome(failure="odd")
    return Outcome(estimate=1 / (1 + config.stem))


def member(far: Far, score: Callable[[ChannelConfig], Outcome], **place: Any) -> threading.Thread:
    """One that scores, until the worker has no more."""
    thread = threading.Thread(target=serve, args=({**far.place, **place}, ALIKE, score))
    thread.start()
    return thread


class Counted:
    """Counts what it scores, and takes a while for it."""

    def __init__(self) -> None:
        self.seen: Counter[ChannelConfig] = Counter()

    def __call__(self, config: ChannelConfig) -> Outcome:
        time.sleep(0.01)
        self.seen[config] += 1
        return outcome(config)


def test_outcomes_come_in_order_whoever_scores() -> None:
    configs, here, there, pool = some(40), Counted(), Counted(), Counted()
    with Far("127.0.0.1", ALIKE) as far:
        threads = [member(far, there) for _ in range(2)]
        assert len(list(far.outcomes(configs[:4], None, []))) == 4  # they are there now
        there.seen.clear()
        for _ in range(3):
            assert list(far.outcomes(configs, here, [])) == [*map(outcome, configs)]
        assert list(far.outcomes(configs, None, [pool, pool])) == [*map(outcome, configs)]
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    assert all(one.seen.total() > 10 for one in (here, there, pool))
    assert sum((one.seen for one in (here, there, pool)), Counter()) == Counter(configs * 4)


def test_a_lost_process_costs_one_more_score_of_what_it_was_busy_with() -> None:
    configs, here, there, busy = some(20), Counted(), Counted(), threading.Event()

    def dies(config: ChannelConfig) -> Outcome:
        there.seen[config] += 1
        busy.set()
        raise KeyboardInterrupt

    def waits(config: ChannelConfig) -> Outcome:
        assert busy.wait(10)
        return here(config)

    with Far("127.0.0.1", ALIKE) as far:
        lost = threading.Thread(target=_suppressed, args=(far, dies))
        lost.start()
        assert list(far.outcomes(configs, waits, [])) == [*map(outcome, configs)]
        lost.join(5)
    assert there.seen.total() == 1
    assert here.seen == Counter(configs)


def _suppressed(far: Far, score: Callable[[ChannelConfig], Outcome]) -> None:
    with pytest.raises(KeyboardInterrupt):
        serve(far.place, ALIKE, score)


def test_one_that_is_stopped_is_not_waited_for_and_its_late_word_does_no_harm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scoring_far, "_PATIENCE_S", 0.2)
    configs, go_on, busy = some(12), threading.Event(), threading.Event()

    def stops(config: ChannelConfig) -> Outcome:
        if busy.is_set():
            return outcome(config)
        busy.set()
        go_on.wait(30)
        return Outcome(estimate=-1.0)  # so that its late word would be seen

    def waits(config: ChannelConfig) -> Outcome:
        assert busy.wait(10)
        return outcome(config)

    with Far("127.0.0.1", ALIKE) as far:
        thread = member(far, stops)
        assert list(far.outcomes(configs[:6], waits, [])) == [*map(outcome, configs[:6])]
        go_on.set()
        assert list(far.outcomes(configs[6:], Counted(), [])) == [*map(outcome, configs[6:])]
    thread.join(5)


def test_a_process_of_this_host_that_dies_ends_the_search_and_does_not_hang_it() -> None:
    def dies(config: ChannelConfig) -> Outcome:
        raise BrokenProcessPool("gone")

    with (
        Far("127.0.0.1", ALIKE) as far,
        pytest.raises(BrokenProcessPool, match="gone"),
    ):
        list(far.outcomes(some(5), None, [dies, Counted()]))


def test_strangers_and_those_that_compute_otherwise_get_nothing() -> None:
    configs, there = some(5), Counted()
    with Far("127.0.0.1", ALIKE) as far:
        with pytest.raises(AuthenticationError):
            serve({**far.place, "key": "00" * 32}, ALIKE, there)
        with pytest.raises(RunError, match="computes otherwise than this host"):
            serve(far.place, ["weights", {"threads": 2}], there)
        with socket.create_connection((far.place["address"], far.place["port"])) as silent:
            silent.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert list(far.outcomes(configs, Counted(), [])) == [*map(outcome, configs)]
    assert not there.seen


def test_gpus_are_held_where_stages_compute_on_them() -> None:
    changes = {
        "supernet": {"device": "cuda", "processes": 4, "hosts": 2, "workers": 3},
        "search": {"hosts": 5},
        "train": {"device": "cuda", "processes": 2},
    }
    spec = JobSpec.model_validate_json(json.dumps(mini(**changes)))
    needs = {stage.name: stage.needs for stage in submission(spec).stages}
    assert {name: need.gpus for name, need in needs.items() if need.gpus} == {
        "capacity": 1, "supernet": 4, "search": 3, "teacher": 1, "train": 2,
    }  # fmt: skip
    assert {name: (need.hosts, need.elastic) for name, need in needs.items() if need.hosts > 1} == {
        "supernet": (2, False), "search": (5, True),
    }  # fmt: skip
    plain = submission(JobSpec.model_validate_json(json.dumps(mini())))
    assert {stage.needs.gpus for stage in plain.stages} == {0}


def test_a_device_that_is_not_there_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert (device("cpu"), device("cuda")) == ("cpu", "cuda:0")
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(RunError, match=r"device: cuda needs 2 GPUs, but PyTorch .* sees 1 here"):
        device("cuda")


@pytest.mark.slow
def test_two_hosts_train_and_search_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workers_find_us(monkeypatch)
    target = {"backend": "modelled", "device": "a100", "precision": "int8", "batch": 128}
    together = {"processes": 2, "hosts": 1}
    one = mini(target=target, supernet=together, train=together)
    job = pipeline.run(JobSpec.model_validate_json(json.dumps(one)), tmp_path / "one", "train")
    apart = {"processes": 1, "hosts": 2}
    two = mini(target=target, supernet=apart, train=apart, search={"hosts": 2})
    instance, _ = instance_in(tmp_path / "two")
    spec = JobSpec.model_validate_json(json.dumps(two))
    number, _ = submit(instance.database, "ann", submission(spec, until="train"))
    scheduler = instance.scheduler(cpu_slots=1)
    hosts = [Host(name=name, cpu_slots=1) for name in ("one", "two")]
    monkeypatch.setattr(scheduler.launcher, "hosts", lambda: hosts)
    with scheduling(scheduler):
        deadline = time.monotonic() + 180
        while (detail := views.show(instance.database, number)).job.finished_at is None:
            assert time.monotonic() < deadline, detail
            time.sleep(0.1)
    assert detail.job.state == "succeeded", detail
    files = {stage.name: stage.files or {} for stage in detail.stages}
    for stage, name in (
        ("supernet", "supernet.safetensors"),
        ("search", "search.json"),
        ("train", "found-1/seed-0/weights.safetensors"),
        ("train", "accuracy.json"),
    ):
        mine = instance.artifacts.open(files[stage][name]).read()
        assert mine == job.file(stage, name).read_bytes(), (stage, name)
    told = events.after(instance.database, number)
    pairs = [e.data["stage"] for e in told if e.kind == "claimed" and "hosts" in e.data]
    assert pairs == ["supernet", "train"]
    assert "search" in [e.data["stage"] for e in told if e.kind == "member_joined"]
    instance.database.close()
