"""Real searches whose workers are killed again and again end with the bytes of undisturbed ones.

`STAIRPRUNE_SEEDS` sets how many; `make chaos` runs 20.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from service_server import instance_in, mini, modelled, workers_find_us

from jobs import process, views
from jobs.devices import Host
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


def searched(folder: Path, seed: int, slots: int, chance: random.Random | None) -> tuple[str, int]:
    """The hash of a job's search, and how many workers were killed until it was there."""
    instance, _ = instance_in(folder)
    spec = JobSpec.model_validate_json(
        json.dumps(modelled(seed=seed, search={"evaluations": 400, "generation": 20}))
    )
    job, _ = submit(
        instance.database, "ann", replace(submission(spec, until="search"), most_attempts=100)
    )
    stop, kills = threading.Event(), 0
    thread = threading.Thread(target=instance.scheduler(cpu_slots=slots).run, args=(stop,))
    thread.start()
    try:
        deadline = time.monotonic() + 180
        while (detail := views.show(instance.database, job)).job.finished_at is None:
            assert time.monotonic() < deadline, detail
            time.sleep(0.05 if chance is None else chance.uniform(0.3, 1.2))
            if chance is not None and kills < MOST:
                for victim in workers(instance):
                    with contextlib.suppress(psutil.Error):
                        victim.kill()
                        kills += 1
    finally:
        stop.set()
        thread.join()
        instance.database.close()
    assert detail.job.state == "succeeded", detail
    files = detail.stages[-1].files
    assert files is not None
    return files["search.json"], kills


@pytest.mark.parametrize("slots", [1, 4] if SEEDS > 1 else [4])
def test_a_killed_search_ends_with_the_same_bytes(
    slots: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers_find_us(monkeypatch)
    killed = 0
    for seed in range(SEEDS):
        undisturbed, _ = searched(tmp_path / f"calm-{seed}", seed, slots, None)
        disturbed, kills = searched(tmp_path / f"wild-{seed}", seed, slots, random.Random(seed))
        assert disturbed == undisturbed, seed
        killed += kills
    assert killed >= SEEDS


def spread(folder: Path, seed: int, hosts: int, chance: random.Random | None) -> tuple[str, int]:
    """The hash of a search of estimates scored on some hosts, and how many processes were killed.

    One at a time, the worker of the search and its members alike, as they are now.
    """
    instance, _ = instance_in(folder)
    spec = mini(
        seed=seed,
        target={"backend": "modelled", "device": "a100", "precision": "int8", "batch": 128},
        search={"evaluations": 120, "generation": 20, "hosts": hosts},
    )
    plan = submission(JobSpec.model_validate_json(json.dumps(spec)), until="search")
    job, _ = submit(instance.database, "ann", replace(plan, most_attempts=100))
    scheduler = instance.scheduler(cpu_slots=1)
    several = [Host(name=f"h{n}", cpu_slots=1) for n in range(hosts)]
    scheduler.launcher.hosts = lambda: several  # type: ignore[method-assign]
    stop, kills = threading.Event(), 0
    thread = threading.Thread(target=scheduler.run, args=(stop,))
    thread.start()
    try:
        deadline = time.monotonic() + 300
        while (detail := views.show(instance.database, job)).job.finished_at is None:
            assert time.monotonic() < deadline, detail
            time.sleep(0.05 if chance is None else chance.uniform(0.5, 4.0))
            searching = detail.stages[-1].state == "running"
            victims = workers(instance) if chance is not None and searching else []
            if chance is not None and victims and kills < MOST:
                with contextlib.suppress(psutil.Error):
                    chance.choice(victims).kill()
                    kills += 1
    finally:
        stop.set()
        thread.join()
        instance.database.close()
    assert detail.job.state == "succeeded", detail
    files = detail.stages[-1].files
    assert files is not None
    return files["search.json"], kills


@pytest.mark.skipif(SEEDS == 1, reason="minutes; `make chaos` runs it")
def test_a_search_on_four_hosts_that_are_killed_ends_with_the_bytes_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers_find_us(monkeypatch)
    killed = 0
    for seed in range(SEEDS):
        wanted, _ = spread(tmp_path / f"{seed}-one", seed, 1, None)
        found, kills = spread(tmp_path / f"{seed}-four", seed, 4, random.Random(seed))
        assert found == wanted, f"seed {seed}: other bytes after {kills} kills"
        killed += kills
    assert killed >= SEEDS
    print(f"{SEEDS} seeds, {killed} kills")
