"""Real searches whose workers are killed again and again end with the bytes of undisturbed ones.

`STAIRPRUNE_SEEDS` sets how many; `make chaos` runs 20.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from service_server import instance_in, mini, modelled, scheduling, workers_find_us

from jobs import process, views
from jobs.devices import Host
from jobs.scheduler import Scheduler
from jobs.submit import submit
from service.instance import Instance
from service.spec import JobSpec
from service.submission import submission

SEEDS = int(os.environ.get("STAIRPRUNE_SEEDS", "1"))
MOST = 3  # kills per search: after each, the next attempt waits longer
pytestmark = pytest.mark.slow


def workers(instance: Instance) -> list[psutil.Process]:
    """Processes of the instance's attempts."""
    found = []
    for candidate in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            environment = candidate.environ()
            runs = environment.get("STAIRPRUNE_RUNS", "")
            if process.MARK in environment and runs.startswith(str(instance.folder)):
                found.append(candidate)
    return found


def on_slots(seed: int, count: int, folder: Path) -> tuple[Instance, dict[str, Any], Scheduler]:
    """A search of MACs on one host with some slots."""
    instance, _ = instance_in(folder)
    spec = modelled(seed=seed, search={"evaluations": 400, "generation": 20})
    return instance, spec, instance.scheduler(cpu_slots=count)


def on_hosts(seed: int, count: int, folder: Path) -> tuple[Instance, dict[str, Any], Scheduler]:
    """A search of estimates, scored on some hosts of one slot."""
    instance, _ = instance_in(folder)
    target = {"backend": "modelled", "device": "a100", "precision": "int8", "batch": 128}
    search = {"evaluations": 120, "generation": 20, "hosts": count}
    scheduler = instance.scheduler(cpu_slots=1)
    several = [Host(name=f"h{n}", cpu_slots=1) for n in range(count)]
    scheduler.launcher.hosts = lambda: several  # type: ignore[method-assign]
    return instance, mini(seed=seed, target=target, search=search), scheduler


Way = Callable[[int, int, Path], tuple[Instance, dict[str, Any], Scheduler]]


def searched(
    way: Way, seed: int, count: int, folder: Path, chance: random.Random | None
) -> tuple[str, int]:
    """The hash of a job's search, and how many of its processes were killed until it was there.

    One at a time: where there are several hosts, the worker or a member.
    """
    instance, spec, scheduler = way(seed, count, folder)
    plan = submission(JobSpec.model_validate_json(json.dumps(spec)), until="search")
    job, _ = submit(instance.database, "ann", replace(plan, most_attempts=100))
    kills = 0
    with scheduling(scheduler):
        deadline = time.monotonic() + 300
        while (detail := views.show(instance.database, job)).job.finished_at is None:
            assert time.monotonic() < deadline, detail
            time.sleep(0.05 if chance is None else chance.uniform(0.3, 1.5))
            searching = detail.stages[-1].state == "running"
            victims = workers(instance) if searching and kills < MOST else []
            if chance is not None and victims:
                with contextlib.suppress(psutil.Error):
                    chance.choice(victims).kill()
                    kills += 1
    instance.database.close()
    assert detail.job.state == "succeeded", detail
    files = detail.stages[-1].files
    assert files is not None
    return files["search.json"], kills


WAYS = [(on_slots, 1, 1), (on_slots, 4, 4), (on_hosts, 1, 4)]
"""How it is searched, on how many calmly, and on how many under kills."""


@pytest.mark.parametrize(("way", "calm", "wild"), WAYS if SEEDS > 1 else WAYS[2:])
def test_a_killed_search_ends_with_the_same_bytes(
    way: Way, calm: int, wild: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers_find_us(monkeypatch)
    killed = 0
    for seed in range(SEEDS):
        undisturbed, _ = searched(way, seed, calm, tmp_path / f"calm-{seed}", None)
        chance = random.Random(seed)
        disturbed, kills = searched(way, seed, wild, tmp_path / f"wild-{seed}", chance)
        assert disturbed == undisturbed, f"seed {seed}: other bytes after {kills} kills"
        killed += kills
    assert killed >= SEEDS
    print(f"{SEEDS} seeds, {killed} kills")
