"""Stages profile-NAME: the tables of further targets, each measured as the job's own is."""

from __future__ import annotations

from pathlib import Path

from service.console import Report
from service.job import Job, Stage, always, further_stage
from service.spec import JobSpec
from service.stages import profile


def stages(spec: JobSpec) -> tuple[Stage, ...]:
    """One for every further limit that names a target instead of a table."""
    return tuple(_stage(name) for name in spec.limits.targets())


def _stage(name: str) -> Stage:
    def own(spec: JobSpec) -> JobSpec:
        """The job, if that target were its own."""
        target = spec.limits.targets()[name]
        measured = spec.profile.model_copy(update={"table": None})  # a table of the job's own
        return spec.model_copy(update={"target": target, "profile": measured})

    def run(job: Job, folder: Path, progress: Report) -> list[str]:
        """Writes `table.json`."""
        profile.table(Job(own(job.spec), job.folder), folder, progress).save(folder / "table.json")
        return ["table.json"]

    return Stage(
        name=further_stage(name),
        summary=f"blocks and networks of the further target {name}",
        after=always(),
        settings=lambda spec: profile.settings(own(spec)),
        run=run,
        measures=lambda spec: own(spec).target,
    )
