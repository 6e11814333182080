"""What is measured on further targets: profile-NAME, a table like the job's own, before the search;
and measure-NAME, the finalists as whole networks, once they are chosen."""

from __future__ import annotations

from pathlib import Path

from service.console import Report
from service.job import Job, Stage, always, further_stage, measured_stage
from service.spec import JobSpec
from service.stages import profile
from service.stages.measure import as_json
from service.stages.measure import settings as measure_settings
from service.stages.select import whole_networks
from service.store import write_json


def tables(spec: JobSpec) -> tuple[Stage, ...]:
    """One for every further limit that names a target instead of a table."""
    return tuple(_profile(name) for name in spec.limits.targets())


def measures(spec: JobSpec) -> tuple[Stage, ...]:
    """One for every such target that networks are run on."""
    return tuple(_measure(name) for name in spec.limits.run_on())


def _own(spec: JobSpec, name: str) -> JobSpec:
    """The job, if that target were its own."""
    target = spec.limits.targets()[name]
    measured = spec.profile.model_copy(update={"table": None})  # a table of the job's own target
    return spec.model_copy(update={"target": target, "profile": measured})


def _profile(name: str) -> Stage:
    def run(job: Job, folder: Path, progress: Report) -> list[str]:
        """Writes `table.json`."""
        own = Job(_own(job.spec, name), job.folder)
        profile.table(own, folder, progress).save(folder / "table.json")
        return ["table.json"]

    return Stage(
        name=further_stage(name),
        summary=f"blocks and networks of the further target {name}",
        after=always(),
        settings=lambda spec: profile.settings(_own(spec, name)),
        run=run,
        measures=lambda spec: _own(spec, name).target,
    )


def _measure(name: str) -> Stage:
    def run(job: Job, folder: Path, progress: Report) -> list[str]:
        """Writes `measured.json`, name to measurement."""
        goal = profile.target(_own(job.spec, name))
        found = whole_networks(job, goal, job.finalists(), progress)
        write_json(folder / "measured.json", {n: as_json(m) for n, m in found.items()})
        return ["measured.json"]

    return Stage(
        name=measured_stage(name),
        summary=f"the finalists on the further target {name}, end to end",
        after=always("select"),
        settings=lambda spec: measure_settings(_own(spec, name)),
        run=run,
        measures=lambda spec: _own(spec, name).target,
    )
