"""Stage supernet: train the weight-sharing network that estimates every config's accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.submission import Needs
from service.console import Report
from service.job import Job, Stage
from service.plain import fields
from service.ranks import count, device, join, launch, leads
from service.spec import JobSpec
from training.recipe import decides

if TYPE_CHECKING:
    from supernet.estimate import Estimator
    from supernet.source import WeightSource

WEIGHTS = "supernet.safetensors"


def settings(spec: JobSpec) -> object:
    """What decides the result."""
    return {
        "network": fields(spec.network),
        "data": spec.data.model_dump(mode="json"),
        "space": spec.space.model_dump(exclude={"narrow"}),
        "recipe": decides(spec.supernet.recipe),
        "supernet": spec.supernet.decides(),
        "seed": spec.seed,
        "cpu_threads": spec.cpu_threads,
    }


def reads(spec: JobSpec) -> tuple[str, ...]:
    """The table where its stairs choose the widths, the teacher where its weights are the start."""
    return (
        "capacity",
        *(("profile",) if spec.supernet.widths == "narrowed" else ()),
        *(("teacher",) if spec.supernet.start != "random" else ()),
    )


def run(job: Job, folder: Path, progress: Report) -> list[str]:
    """Writes `supernet.safetensors` and `history.json`."""
    spec = job.spec.supernet
    if (processes := count(spec.hosts, spec.processes, job)) * job.gathering.hosts > 1:
        launch(job, "supernet", folder, progress, processes)
    else:
        train(job, folder, progress)
    return [WEIGHTS, "history.json"]


def train(job: Job, folder: Path, progress: Report) -> None:
    """The work of `run`, in each of the processes that train together."""
    import torch

    from service.store import write_json
    from supernet.source import build
    from supernet.weights import save_weights
    from training.scalars import tensorboard
    from training.supernet_loop import train_supernet
    from training.task import Control

    spec = job.spec.supernet
    data = job.data()
    torch.manual_seed(job.spec.seed)
    supernet = build(spec.kind, job.full_space())
    if spec.start != "random":
        _adopt(supernet, job)
    supernet.to(device(spec.device))
    with (
        tensorboard(folder / "tensorboard")
        if spec.tensorboard and leads()
        else nullcontext() as chart
    ):
        result = train_supernet(
            supernet,
            job.space() if spec.widths == "narrowed" else job.full_space(),
            data,
            spec.recipe,
            folder / "checkpoints",
            seed=job.spec.seed,
            progress=progress,
            control=Control(chart=chart),
        )
    if leads():
        save_weights(supernet, folder / WEIGHTS)
        write_json(folder / "history.json", result.history)


def _adopt(supernet: WeightSource, job: Job) -> None:
    from service.stages.teacher import teacher
    from supernet.sliced import SlicedSupernet
    from supernet.sorting import sort_channels

    assert isinstance(supernet, SlicedSupernet)
    net = teacher(job)
    if job.spec.supernet.start == "sorted":
        sort_channels(net)
    supernet.adopt(net)


def needs(spec: JobSpec) -> Needs:
    """With cuda a GPU for each process."""
    own = spec.supernet
    return Needs(gpus=own.processes if own.device == "cuda" else 0, hosts=own.hosts)


def joined(job: Job, folder: Path, place: Mapping[str, Any], number: int) -> None:
    """The part of another host."""
    join(job, "supernet", folder, place, number)


def estimator(job: Job, *, keeps: bool = True) -> Estimator:
    """The trained supernet as an accuracy estimate.

    Recalibrates on a fixed list of training images under evaluation transforms, and judges on
    the search-validation split, which was cut from the training data.

    Args:
        keeps: scores in the job's file of them.
    """
    import torch

    from supernet.estimate import Estimator
    from supernet.scores import Scores
    from supernet.source import build
    from supernet.weights import load_weights
    from training.images import evaluation_batches

    data, spec = job.data(), job.spec.supernet
    if spec.worker_threads is not None:
        torch.set_num_threads(spec.worker_threads)
    supernet = build(spec.kind, job.full_space())
    load_weights(supernet, job.file("supernet", WEIGHTS))
    supernet.to(device(spec.device))
    scores = Scores(spec.scores or job.folder.path / "scores.sqlite") if keeps else None
    if scores is not None:
        scores.known([""])  # a damaged file ends the job here, and not every candidate
    recalibration = evaluation_batches(data.train, limit=spec.recalibration_images)
    validation = evaluation_batches(data.val, limit=spec.validation_images)
    return Estimator(
        supernet,
        [images for images, _ in recalibration],
        list(validation),
        scores,
    )


STAGE = Stage(
    name="supernet",
    summary="training the weight-sharing network",
    after=reads,
    settings=settings,
    needs=needs,
    checks=Job.feasible,
    run=run,
    join=joined,
)
