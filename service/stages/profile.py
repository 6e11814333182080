"""Stage profile: measure blocks and networks on the target, find the stairs, narrow the space."""

from __future__ import annotations

from pathlib import Path

from latency_tables.table import LatencyTable, Target
from service.console import Report, say
from service.job import Job, Stage, always, own_target
from service.plain import fields
from service.spec import JobSpec
from service.store import write_json


def settings(spec: JobSpec) -> object:
    """What decides the result."""
    return {
        "network": fields(spec.network),
        "space": spec.space.model_dump(),
        "target": spec.target.model_dump(exclude_none=True),
        "profile": spec.profile.model_dump(mode="json"),
        "seed": spec.seed,
    }


def run(job: Job, folder: Path, progress: Report) -> list[str]:
    """Writes `table.json` and `space.json`."""
    from latency_tables.narrow import narrow
    from latency_tables.predict import Predictor

    found = table(job, folder, progress)
    found.save(folder / "table.json")
    predictor, space = Predictor(found), job.full_space()
    if job.spec.space.narrow:
        narrowed, _ = narrow(space, predictor)
    else:
        narrowed = space
    sizes = {"log10_before": space.log10_size, "log10_after": narrowed.log10_size}
    write_json(
        folder / "space.json",
        {"names": narrowed.names, "choices": narrowed.choices, **sizes},
    )
    held = predictor.held_out
    if found.target.modelled:
        say(f"  {found.target}")
    say(
        f"  {len(found.rows)} shapes; networks never fitted are predicted with "
        f"{held.mape_percent:.1f} % mean error; right edges narrow the space from "
        f"10^{space.log10_size:.1f} to 10^{narrowed.log10_size:.1f} configs"
    )
    return ["table.json", "space.json"]


def target(spec: JobSpec) -> Target:
    """The target a spec asks for, on this machine."""
    from profiler.backend import BackendError, load

    backend = load(spec.target.backend, spec.target.device)
    if reason := backend.unavailable():
        raise BackendError(f"backend {backend.name} cannot run here: {reason}")
    return backend.target(spec.target.precision, spec.target.batch, spec.target.threads)


def table(job: Job, folder: Path, progress: Report) -> LatencyTable:
    """The given table if it fits the target, else a new one."""
    from profiler.collect import collect
    from profiler.plan import Goals, Planner
    from profiler.protocol import Protocol

    spec, profile = job.spec, job.spec.profile
    if profile.table is not None:
        given = LatencyTable.load(profile.table)
        given.require(target(spec))
        return given
    return collect(
        target(spec),
        spec.network,
        Planner(
            job.full_space(),
            Goals(
                points_per_geometry=profile.points_per_geometry,
                target_error_percent=profile.target_error_percent,
                chains=profile.chains,
                networks_fit=profile.networks_fit,
                networks_held_out=profile.networks_held_out,
            ),
            spec.seed,
        ),
        folder / "journal.jsonl",
        Protocol(rounds=profile.rounds, seed=spec.seed),
        progress,
    )


STAGE = Stage(
    name="profile",
    summary="blocks and networks of the target, one by one",
    after=always(),
    settings=settings,
    run=run,
    measures=own_target,
)
