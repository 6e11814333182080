"""`python -m service.worker ATTEMPT FENCING`: one stage of a stored job, run by the pipeline.

Files of finished stages come from the store, so any worker on any machine can go on where
another one ended. The job's folder is kept between attempts for what a stage left half done.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from jobs import assets, variables, worker
from jobs.artifacts import Artifacts
from jobs.attempts import Work
from jobs.database import Database
from jobs.members import Meeting
from jobs.patience import patiently
from latency_tables.table import LatencyTable
from service.gathering import ALONE, Gathering
from service.job import Job, tables
from service.library import facts
from service.pipeline import run_stage, stage_key, stages
from service.spec import JobSpec
from service.store import RunError, RunFolder
from training.recipe import decides

RUNS = "STAIRPRUNE_RUNS"


def do(work: Work, artifacts: Artifacts, report: worker.Report) -> Mapping[str, Path]:
    """Runs the stage in the job's folder; returns its files by name."""
    spec = JobSpec.model_validate_json(work.spec)
    address = os.environ.get(variables.ADDRESS, ALONE.address)
    gathering = Gathering(hosts=work.hosts, address=address, call=work.meet)
    job = Job(spec, RunFolder(Path(os.environ[RUNS]) / work.job), gathering)
    by_name = {stage.name: stage for stage in stages(spec)}
    if work.stage not in by_name:
        raise RunError(f"this stairprune has no stage {work.stage!r}; valid: {', '.join(by_name)}")
    with job.folder.lock():
        for name, files in work.finished.items():
            restore(job, name, work.finished, files, artifacts)
        outputs = run_stage(
            job, by_name[work.stage], work.finished, label=f"[{work.job}]", also=report
        )
    return {name: job.file(work.stage, name) for name in outputs}


def join(meeting: Meeting, number: int) -> None:
    """Does a member's part of a stage, in the folder of the job that all hosts see."""
    assert meeting.place is not None
    spec = JobSpec.model_validate_json(meeting.spec)
    job = Job(spec, RunFolder(Path(os.environ[RUNS]) / meeting.job))
    stage = next(stage for stage in stages(spec) if stage.name == meeting.stage)
    assert stage.join is not None, f"{stage.name} is not for several hosts"
    stage.join(job, job.folder.stage(stage.name), json.loads(meeting.place), number)


def restore(
    job: Job,
    name: str,
    finished: dict[str, dict[str, str]],
    files: dict[str, str],
    artifacts: Artifacts,
) -> None:
    """Puts a finished stage's files in its folder, as if it had been run there.

    Raises:
        StoreCorruptError: a stored file is gone or damaged.
    """
    stage = next(stage for stage in stages(job.spec) if stage.name == name)
    key = stage_key(job, stage, finished)
    folder = job.folder.open(name, key)
    if (folder / "done.json").exists() and job.folder.finished(name, key) == files:
        return
    for file, digest in files.items():
        target = folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        patiently(functools.partial(artifacts.copy, digest, target))
    job.folder.finish(name, key, sorted(files), 0.0)


def register(
    database: Database, work: Work, paths: Mapping[str, Path], hashes: Mapping[str, str]
) -> None:
    """Lists a finished stage's table or supernet, so that it can be found without its job."""
    spec = JobSpec.model_validate_json(work.spec)
    if work.stage in tables(spec):
        details = facts(LatencyTable.load(paths["table.json"]))
        name = spec.name + work.stage.removeprefix("profile").replace("-", ".", 1)
        assets.register(database, "tables", hashes["table.json"], name, details, work.job)
    if work.stage == "supernet":
        details = {
            "network": asdict(spec.network),
            "data": spec.data.name,
            "recipe": decides(spec.supernet.recipe),
        }
        weights = hashes["supernet.safetensors"]
        assets.register(database, "supernets", weights, spec.name, details, work.job)


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    sys.exit(worker.main(do, sys.argv[1:], register, join))
