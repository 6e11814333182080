"""Runs a job's stages in order; finished stages are reused, an interrupted one continues."""

from __future__ import annotations

import time
from pathlib import Path

from service.console import Report, progress, say
from service.job import Job, Stage, tables
from service.spec import JobSpec, SpecError
from service.stages import (
    bundle,
    capacity,
    export,
    further,
    measure,
    profile,
    quantise,
    report,
    search,
    select,
    supernet,
    teacher,
    train,
)
from service.store import RunFolder, digest

STAGES: tuple[Stage, ...] = (
    capacity.STAGE,
    profile.STAGE,
    supernet.STAGE,
    search.STAGE,
    select.STAGE,
    teacher.STAGE,
    train.STAGE,
    export.STAGE,
    quantise.STAGE,
    measure.STAGE,
    bundle.STAGE,
    report.STAGE,
)


def stages(spec: JobSpec) -> tuple[Stage, ...]:
    """Those of a job, in order: all of `STAGES`, and of each further target the table before the
    search, which is the first to read it, and the finalists after their own measurement."""
    at, end = STAGES.index(search.STAGE), STAGES.index(measure.STAGE) + 1
    return (
        *STAGES[:at], *further.tables(spec), *STAGES[at:end], *further.measures(spec), *STAGES[end:]
    )  # fmt: skip


def run(spec: JobSpec, folder: Path, until: str | None = None) -> Job:
    """Brings a job to its end, or to the end of the stage `until`.

    Raises:
        SpecError: no such stage.
        RunError: another process works on this run.
    """
    for name, target in spec.limits.targets().items():
        if target.on is not None:
            raise SpecError(
                f"limits.further.{name}.target.on: {target.on!r} is measured by a server's hosts; "
                "submit the job to a server, give a table, or leave `on` out to measure here"
            )
    names = [stage.name for stage in stages(spec)]
    if until is not None and until not in names:
        raise SpecError(f"stage must be one of {', '.join(names)}, but got {until!r}")
    wanted = in_order(spec, until or names[-1])
    job = Job(spec, RunFolder(folder))
    with job.folder.lock():
        files: dict[str, dict[str, str]] = {}
        for stage in wanted:
            label = f"[{names.index(stage.name) + 1}/{len(names)}]"
            files[stage.name] = run_stage(job, stage, files, label=label)
    return job


def in_order(spec: JobSpec, until: str) -> list[Stage]:
    """The stage and everything it reads, directly or not.

    In the order of `stages`, but what is read comes first: some specs read from later stages.
    """
    by_name = {stage.name: stage for stage in stages(spec)}
    wanted, todo = set(), [until]
    while todo:
        name = todo.pop()
        if name not in wanted:
            wanted.add(name)
            todo.extend(by_name[name].after(spec))
    found: dict[str, Stage] = {}

    def add(name: str) -> None:
        if name in found:
            return
        for before in by_name[name].after(spec):
            add(before)
        found.setdefault(name, by_name[name])

    for stage in by_name.values():
        if stage.name in wanted:
            add(stage.name)
    return list(found.values())


def stage_key(job: Job, stage: Stage, files: dict[str, dict[str, str]]) -> str:
    """The key of a stage's inputs: its settings, and the hashes of the files it reads."""
    reads = {name: files[name] for name in stage.after(job.spec)}
    return digest({"settings": stage.settings(job.spec), "reads": reads})


def run_stage(
    job: Job,
    stage: Stage,
    files: dict[str, dict[str, str]],
    *,
    label: str,
    also: Report = lambda done, total, note: None,
) -> dict[str, str]:
    """Brings one stage to its end; returns the hashes of its files by name.

    Args:
        files: those of the stages before.
        also: told the progress, beside the person watching.
    """
    key = stage_key(job, stage, files)
    folder = job.folder.open(stage.name, key)
    if (done := job.folder.finished(stage.name, key)) is not None:
        say(f"{label} {stage.name}: finished before")
        return done
    if files.keys() >= {*tables(job.spec)}:
        stage.checks(job)
    say(f"{label} {stage.name}: {stage.summary}")
    start = time.monotonic()
    with progress(stage.name) as shown:

        def report(done: int, total: int, note: str) -> None:
            shown(done, total, note)
            also(done, total, note)

        outputs = stage.run(job, folder, report)
    return job.folder.finish(stage.name, key, outputs, time.monotonic() - start)
