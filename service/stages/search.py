"""Stage search: propose configs within the limits, estimate them, keep the history."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.submission import Needs
from service.console import Report
from service.job import Job, Stage, tables
from service.proposals import proposals
from service.scoring import join, mapper
from service.spec import JobSpec
from service.stages.supernet import estimator
from service.store import write_json
from supernet.arithmetic import count

if TYPE_CHECKING:
    from search.searcher import Evaluator

FIRST = "first.json"


def settings(spec: JobSpec) -> object:
    """What decides the result; the space and the table come with the stages read."""
    return {
        "limits": spec.limits.model_dump(exclude_defaults=True),
        "further": {
            name: _hash(limit.table)
            for name, limit in spec.limits.further.items()
            if limit.table is not None
        },
        "search": _without_unset(spec.search.model_dump(exclude={"finalists", "hosts"})),
        "estimate": spec.supernet.judges(),
        "seed": spec.seed,
    }


def _without_unset(search: dict[str, Any]) -> dict[str, Any]:
    """So that searches of before there were goals and criteria stay finished."""
    unset: dict[str, Any] = {"at_least": None, "first": ()}
    return {key: value for key, value in search.items() if key not in unset or value != unset[key]}


def _hash(table: str) -> str:
    from latency_tables.shipped import find

    return hashlib.sha256(find(table).read_bytes()).hexdigest()


def run(job: Job, folder: Path, progress: Report) -> list[str]:
    """Writes `search.json`, `budget.json`, and what criteria proposed as `first.json`."""
    from search.baselines import uniform_seeds
    from search.loop import run as search
    from search.problem import SearchError
    from search.searcher import describe

    problem, spec = job.problem(), job.spec
    write_json(folder / "budget.json", {c.metric: c.limit for c in problem.constraints})
    options = dict(spec.search.options)
    takes_seeds = any(option.name == "seeds" for option in describe(spec.search.searcher)[1])
    if takes_seeds:
        options.setdefault("seeds", uniform_seeds(problem))
    outputs = ["search.json", "budget.json"]
    if spec.search.first:
        if not takes_seeds:
            raise SearchError(
                "search.first needs a searcher with the option seeds, but got "
                f"{spec.search.searcher}"
            )
        found = proposals(job, problem, spec.search.first, progress)
        write_json(folder / FIRST, {name: config.to_json() for name, config in found.items()})
        options["seeds"] = list(dict.fromkeys([*found.values(), *options["seeds"]]))
        outputs.append(FIRST)
    evaluate, source = _objective(job)
    with mapper(job, evaluate) as scoring:
        search(
            problem,
            spec.search.searcher,
            options,
            evaluate,
            evaluator_id=source,
            seed=spec.seed,
            evaluations=spec.search.evaluations,
            generation=spec.search.generation,
            folder=folder,
            goal=job.goal(problem),
            mapper=scoring,
            progress=progress,
        )
    return outputs


def _objective(job: Job) -> tuple[Evaluator, str]:
    """What is maximised, and its name with a digest of what decides it."""
    if job.spec.search.objective == "macs":
        return lambda config: count(job.spec.network, config)[0], "macs"
    from supernet.estimate import weights_hash

    evaluate = estimator(job)
    return evaluate, f"supernet {weights_hash(evaluate.supernet)} {evaluate.images_hash}"


def reads(spec: JobSpec) -> tuple[str, ...]:
    """The supernet only where accuracy is estimated, the teacher where criteria look at it."""
    return (
        *tables(spec),
        *(("supernet",) if spec.search.objective == "estimate" else ()),
        *(("teacher",) if spec.search.first else ()),
    )


def needs(spec: JobSpec) -> Needs:
    """With cuda a GPU for each process that scores; other hosts help once they are free."""
    own, scores = spec.supernet, spec.search.objective == "estimate"
    gpus = own.workers if scores and own.device == "cuda" else 0
    return Needs(gpus=gpus, hosts=spec.search.hosts if scores else 1, elastic=True)


def joined(job: Job, folder: Path, place: Mapping[str, Any], number: int) -> None:
    """The part of another host."""
    join(job, folder, place, number)


STAGE = Stage(
    name="search",
    summary="searching configs within the limits",
    after=reads,
    settings=settings,
    needs=needs,
    checks=Job.feasible,
    run=run,
    join=joined,
)
