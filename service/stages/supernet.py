"""Stage supernet: train the weight-sharing network that estimates every config's accuracy."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from service.console import Report
from service.job import Job, Stage, always
from service.spec import JobSpec

if TYPE_CHECKING:
    from supernet.estimate import Estimator


def settings(spec: JobSpec) -> object:
    """What decides the result."""
    return {
        "network": asdict(spec.network),
        "data": spec.data.model_dump(mode="json"),
        "space": spec.space.model_dump(exclude={"narrow"}),
        "recipe": asdict(spec.supernet.recipe),
        "seed": spec.seed,
        "cpu_threads": spec.cpu_threads,
    }


def run(job: Job, folder: Path, progress: Report) -> list[str]:
    """Writes `supernet.safetensors` and `history.json`."""
    import torch

    from service.store import write_json
    from supernet.sliced import SlicedSupernet
    from supernet.weights import save_weights
    from training.supernet_loop import train_supernet

    torch.manual_seed(job.spec.seed)
    space = job.full_space()
    supernet = SlicedSupernet(space)
    result = train_supernet(
        supernet,
        space,
        job.data(),
        job.spec.supernet.recipe,
        folder / "checkpoints",
        seed=job.spec.seed,
        progress=progress,
    )
    save_weights(supernet, folder / "supernet.safetensors")
    write_json(folder / "history.json", result.history)
    return ["supernet.safetensors", "history.json"]


def estimator(job: Job) -> Estimator:
    """The trained supernet as an accuracy estimate.

    Recalibrates on a fixed list of training images under evaluation transforms, and judges on
    the search-validation split, which was cut from the training data.
    """
    from supernet.estimate import Estimator
    from supernet.sliced import SlicedSupernet
    from supernet.weights import load_weights
    from training.images import evaluation_batches

    data, spec = job.data(), job.spec.supernet
    supernet = SlicedSupernet(job.full_space())
    load_weights(supernet, job.file("supernet", "supernet.safetensors"))
    recalibration = evaluation_batches(data.train, limit=spec.recalibration_images)
    validation = evaluation_batches(data.val, limit=spec.validation_images)
    return Estimator(supernet, [images for images, _ in recalibration], list(validation))


STAGE = Stage(
    name="supernet",
    summary="training the weight-sharing network",
    after=always("capacity"),
    settings=settings,
    run=run,
)
