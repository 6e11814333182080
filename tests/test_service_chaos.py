"""Real searches whose workers are killed again and again end with the bytes of undisturbed ones.

`STAIRPRUNE_SEEDS` sets how many; `make chaos` runs 20.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from service_server import instance_in, modelled, workers_find_us

from jobs import process, views
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
    import json

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
