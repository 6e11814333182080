"""Stage capacity: can this data tell a large network from a small one at all?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from jobs.submission import Needs
from service.console import Report, say
from service.job import Job, Stage, always
from service.plain import fields
from service.ranks import device
from service.spec import JobSpec
from service.store import write_json
from training.recipe import decides


def settings(spec: JobSpec) -> object:
    """What decides the result."""
    return {
        "network": fields(spec.network),
        "data": spec.data.model_dump(mode="json"),
        "space": spec.space.model_dump(exclude={"narrow"}),
        "capacity": {
            **spec.capacity.model_dump(mode="json"),
            "recipe": decides(spec.capacity.recipe),
        },
        **spec.train.decides("device"),
        "seed": spec.seed,
        "cpu_threads": spec.cpu_threads,
    }


def run(job: Job, folder: Path, progress: Report) -> list[str]:
    """Trains the largest and the smallest config a few times."""
    from training.capacity import capacity_check

    space, spec = job.full_space(), job.spec
    result = capacity_check(
        spec.network,
        space.largest(),
        space.smallest(),
        job.data(),
        spec.capacity.recipe,
        seeds=[spec.seed + i for i in range(spec.capacity.seeds)],
        folder=folder,
        images=spec.capacity.images,
        device=device(spec.train.device),
        progress=progress,
    )
    write_json(folder / "capacity.json", {**asdict(result), "verdict": result.verdict()})
    say(f"  {result.verdict()}")
    return ["capacity.json"]


STAGE = Stage(
    name="capacity",
    summary="does this data need the capacity?",
    after=always(),
    settings=settings,
    needs=lambda spec: Needs(gpus=int(spec.train.device == "cuda")),
    run=run,
)
